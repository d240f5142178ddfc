import CyxCore
package import CyxOverlay

/// What it costs one peer to know whom it knows of a network: memory, and what it sends, while
/// everybody stays and while members come and go.
package struct ViewFigures: Sendable, Equatable {
    package struct Traffic: Sendable, Equatable {
        /// Per peer and second.
        package var messages: Double
        package var bytes: Double

        init(_ traffic: ViewRun.Traffic) {
            messages = Double(traffic.messages) / traffic.memberSeconds
            bytes = Double(traffic.bytes) / traffic.memberSeconds
        }
    }

    package var peers: Int
    /// Members that a peer keeps, on average.
    package var known: Double
    package var isPartial: Bool
    package var idle: Traffic
    package var churn: Traffic
    /// Seconds from a death until one that watches the member knows, for all of those.
    package var detection: Spread
    package var missed: Int
    package var falseDeaths: Int
    /// Of one machine that has heard of everybody.
    package var heapBytes: Int

    /// How long members stay under churn, on average.
    package static let stay = Duration.seconds(3600)

    /// `running` machines or more run for `seconds` twice; `heapBytes` tells what this process has
    /// allocated.
    package static func measure(
        peers: Int, running: Int, seconds: Int, limits: ViewLimits = ViewLimits(), seed: UInt64,
        heapBytes: () -> Int
    ) -> ViewFigures {
        let heap = memory(peers: peers, limits: limits, seed: seed, heapBytes)
        let start = ViewRun(peers: peers, running: running, limits: limits, seed: seed)
        var idle = start
        let quiet = idle.run(for: .seconds(Int64(seconds)))
        let known = idle.machines.reduce(0) { $0 + $1.reachableCount }
        var churn = start
        let busy = churn.run(for: .seconds(Int64(seconds)), stay: stay)
        return ViewFigures(
            peers: peers, known: Double(known) / Double(idle.machines.count),
            isPartial: idle.machines.allSatisfy(\.isPartial), idle: Traffic(quiet),
            churn: Traffic(busy), detection: Spread(churn.detection.seconds),
            missed: churn.detection.missed, falseDeaths: churn.detection.falseDeaths,
            heapBytes: heap)
    }

    /// Heap of a machine that all members of the network introduced themselves to.
    private static func memory(
        peers: Int, limits: ViewLimits, seed: UInt64, _ heapBytes: () -> Int
    ) -> Int {
        var generator = SeededGenerator(seed: seed)
        let keys = ViewRun.makeKeys(peers, &generator)
        let before = heapBytes()
        let machine = ViewRun.machine(
            knowing: keys.map { ViewRun.statement($0) }, own: 0, isPartial: false, limits: limits,
            seed: seed)
        // Nothing but the machine may come or go between the two measurements.
        return withExtendedLifetime((keys, machine)) { heapBytes() - before }
    }
}

extension ProtocolFigures {
    /// Beyond the size of a full view neither may grow with the network by more than this.
    private static let growth = 1.2

    static func views(
        _ sizes: [Int], _ seed: UInt64, _ heapBytes: () -> Int, _ print: (String) -> Void
    ) -> Bool {
        var partial: [ViewFigures] = []
        for peers in sizes {
            let figures = ViewFigures.measure(
                peers: peers, running: 500, seconds: 60, seed: seed, heapBytes: heapBytes)
            show(figures, print)
            if figures.isPartial {
                partial.append(figures)
                show(
                    WatchFigures.measure(peers: peers, holders: 500, lookups: 500, seed: seed),
                    print)
            }
        }
        guard let first = partial.first else { return true }
        return partial.allSatisfy { figures in
            figures.idle.bytes <= first.idle.bytes * growth
                && Double(figures.heapBytes) <= Double(first.heapBytes) * growth
        }
    }

    private static func show(_ figures: ViewFigures, _ print: (String) -> Void) {
        func traffic(_ traffic: ViewFigures.Traffic) -> String {
            "\(rounded(traffic.messages)) messages/s, \(Int(traffic.bytes)) bytes/s"
        }
        print(
            "\(figures.peers) members: each keeps \(Int(figures.known.rounded())) others"
                + "\(figures.isPartial ? "" : " (all)"), "
                + "\(rounded(Double(figures.heapBytes) / 1e6)) MB of heap, and sends "
                + traffic(figures.idle))
        print(
            "  while members stay for \(Int(ViewFigures.stay.inSeconds)) s: "
                + "\(traffic(figures.churn)); those who watch a member know of its death after p50 "
                + "\(rounded(figures.detection.percentile(0.5))) s, p99 "
                + "\(rounded(figures.detection.percentile(0.99))) s "
                + "(\(figures.detection.count) times), \(figures.missed) do not within 30 s; "
                + "\(figures.falseDeaths) times one that is there is held dead")
    }

    private static func show(_ figures: WatchFigures, _ print: (String) -> Void) {
        func share(_ count: Int) -> String { percent(Double(count) / Double(figures.lookups)) }
        func seconds(_ spread: Spread) -> String {
            "p50 \(Int(spread.percentile(0.5))) s, p99 \(Int(spread.percentile(0.99))) s"
        }
        print(
            "  others are asked after: a custodian's death is known after "
                + "\(seconds(figures.custodians)), a holder's after \(seconds(figures.holders))")
        print(
            "  with a tenth dead, the 8 peers closest to a partition are found by "
                + "\(share(figures.exact)) of lookups, and one who was taught its view by "
                + "\(share(figures.found))")
    }
}
