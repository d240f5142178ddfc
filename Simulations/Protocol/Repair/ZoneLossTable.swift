internal import CyxCore
internal import CyxDurability

/// `simulate repair`: what a network of 100 GiB does when a zone of four is lost for good.
enum ZoneLossTable {
    /// Bytes moved may be so many times the least that rebuilding needs.
    static let bytesShare = 1.3
    /// The users' 99th percentile may grow so many times while repair goes on.
    static let latencyShare = 2.0

    static func run(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var setup = ZoneLossSetup()
        setup.fleet.peers = max(peers, setup.fleet.peers)
        let figures = ZoneLossFigures.measure(setup, seed: seed)
        let gibibyte = Double(1 << 30)
        let content = Double(setup.fleet.segments * setup.fleet.segmentBytes) / gibibyte
        let share = Double(figures.bytesMoved) / Double(max(1, figures.leastBytes))
        let margins = figures.margins.sorted { $0.key < $1.key }
            .map { "\($0.value) bear \($0.key)" }.joined(separator: ", ")
        print(
            "\(setup.fleet.peers) peers in \(setup.fleet.zones) zones on lines of 1 Gbit/s, "
                + "\(rounded(content)) GiB in \(figures.segments) segments of \(setup.fleet.code); "
                + "one zone is lost: \(figures.lostShards) shards, more losses: \(margins)")
        print(
            "  no segment bears only one more loss after \(rounded(figures.secondsToSafety)) s; "
                + "all are full after \(rounded(figures.secondsToFull)) s, of which the storm "
                + "guard holds those that bear two back for an hour; \(figures.lost) lost")
        print(
            "  \(rounded(Double(figures.bytesMoved) / gibibyte)) GiB moved, "
                + "\(rounded(share)) of the least (\(rounded(Double(figures.leastBytes) / gibibyte))"
                + " GiB)")
        let reads = compare("reads", figures.before.reads, figures.during.reads, print)
        let writes = compare("writes", figures.before.writes, figures.during.writes, print)
        setup.isRepairBackground = false
        let rude = ZoneLossFigures.measure(setup, seed: seed)
        func growth(_ figures: ZoneLossFigures) -> Double {
            ZoneLossFigures.Latencies.percentile(figures.during.reads, 0.99)
                / max(ZoneLossFigures.Latencies.percentile(figures.before.reads, 0.99), 1e-9)
        }
        print(
            "  with repair as urgent as users, reads' p99 would be \(rounded(growth(rude))) times")
        return figures.isFull && figures.lost == 0 && share <= bytesShare
            && max(reads, writes) <= latencyShare
    }

    /// Prints, and returns how much the 99th percentile grew.
    private static func compare(
        _ name: String, _ before: [Double], _ during: [Double], _ print: (String) -> Void
    ) -> Double {
        func at(_ values: [Double], _ share: Double) -> Double {
            ZoneLossFigures.Latencies.percentile(values, share)
        }
        let ratio = at(during, 0.99) / max(at(before, 0.99), 1e-9)
        print(
            "  \(name) of 1 MiB: p50 \(rounded(at(before, 0.5))) ms, p99 "
                + "\(rounded(at(before, 0.99))) ms before (\(before.count)); p50 "
                + "\(rounded(at(during, 0.5))) ms, p99 \(rounded(at(during, 0.99))) ms while repair "
                + "goes on (\(during.count)): \(rounded(ratio)) times")
        return during.isEmpty ? .infinity : ratio
    }

    static func rounded(_ value: Double) -> String {
        value.isFinite ? ProtocolFigures.rounded(value) : "\(value)"
    }
}
