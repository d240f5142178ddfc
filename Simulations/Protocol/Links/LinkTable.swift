internal import CyxTransport

/// `simulate links`: one long transfer over lossy and clean links with each congestion controller,
/// beside its model, and two transfers that share a link.
enum LinkTable {
    /// How far goodput may be from its model: random losses come in clumps and bring timeouts,
    /// which the models leave out, and probing for the round trip costs BBR some percent.
    static let bounds = 0.75...1.25

    /// Of the model's goodput, what few messages have to reach.
    static let filledShare = 0.9

    static func paths(_ bandwidth: Double) -> [LinkPath] {
        [
            LinkPath(name: "20 ms, 1 % loss", bandwidth: bandwidth, roundTrip: 0.02, loss: 0.01),
            LinkPath(name: "100 ms, 5 % loss", bandwidth: bandwidth, roundTrip: 0.1, loss: 0.05),
            LinkPath(name: "50 ms, no loss", bandwidth: bandwidth, roundTrip: 0.05, loss: 0),
        ]
    }

    /// False if a goodput is out of its model's bounds.
    static func run(seed: UInt64, print: (String) -> Void) -> Bool {
        var holds = true
        print("one transfer, queue of one bandwidth-delay product, seed \(seed); Mbit/s:")
        for bandwidth in [1e8, 1e9] {
            for path in paths(bandwidth) {
                for algorithm in CongestionAlgorithm.allCases {
                    let figures = LinkFigures.measure(path, [algorithm], seed: seed)
                    var line =
                        "  \(Int(bandwidth / 1e6)) Mbit/s, \(path.name), \(algorithm): goodput "
                        + mbits(figures.goodput[0])
                    if let model = figures.model, let ratio = figures.ratio {
                        let isWithin = bounds.contains(ratio)
                        holds = holds && isWithin
                        line +=
                            ", model \(mbits(model)), ratio \(ProtocolFigures.rounded(ratio))"
                            + (isWithin ? "" : " OUT OF BOUNDS")
                    } else {
                        line += ", no model: the loss is above its threshold of 2 %"
                    }
                    print(line)
                }
            }
        }
        holds = windows(seed: seed, print: print) && holds
        print("two transfers over 100 Mbit/s, 50 ms, no loss; Mbit/s:")
        for flows in [[CongestionAlgorithm.cubic, .cubic], [.bbr, .bbr], [.cubic, .bbr]] {
            var path = paths(1e8)[2]
            path.seconds = 30
            let figures = LinkFigures.measure(path, flows, seed: seed)
            print(
                "  \(flows[0]) \(mbits(figures.goodput[0])), \(flows[1]) "
                    + "\(mbits(figures.goodput[1])): fairness (Jain) "
                    + ProtocolFigures.rounded(figures.fairness))
        }
        return holds
    }

    /// Few large messages over a long fat path: whether its credit grows with them, and no further
    /// than its bound.
    private static func windows(seed: UInt64, print: (String) -> Void) -> Bool {
        var path = LinkPath(name: "", bandwidth: 1e9, roundTrip: 0.1, loss: 0)
        path.seconds = 5
        let tuned = LinkLoad.large
        var fixed = tuned
        fixed.limits.streamWindowMax = fixed.limits.streamWindow
        fixed.limits.connectionWindowMax = fixed.limits.connectionWindow
        print(
            "\(tuned.messagesUnderWay) messages of 8 MiB at a time, 1 Gbit/s, 100 ms, no loss; "
                + "Mbit/s and KiB:")
        var holds = true
        for (name, load) in [("tuned windows", tuned), ("first windows", fixed)] {
            let figures = LinkFigures.measure(path, [.cubic], load: load, seed: seed)
            let (connection, stream) = figures.window
            // Only the tuned ones have to fill the link.
            let isWithin =
                connection <= load.limits.connectionWindowMax
                && stream <= load.limits.streamWindowMax
                && (name == "first windows" || (figures.ratio ?? 0) >= filledShare)
            holds = holds && isWithin
            print(
                "  \(name): goodput \(mbits(figures.goodput[0])), ratio "
                    + "\(ProtocolFigures.rounded(figures.ratio ?? 0)); connection "
                    + "\(connection >> 10) of at most \(load.limits.connectionWindowMax >> 10), "
                    + "stream \(stream >> 10) of at most \(load.limits.streamWindowMax >> 10)"
                    + (isWithin ? "" : " OUT OF BOUNDS"))
        }
        return holds
    }

    private static func mbits(_ bits: Double) -> String {
        ProtocolFigures.rounded(bits / 1e6)
    }
}
