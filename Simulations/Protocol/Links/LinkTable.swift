internal import CyxTransport

/// `simulate links`: one long transfer over lossy and clean links with each congestion controller,
/// beside its model, and two transfers that share a link.
enum LinkTable {
    /// How far goodput may be from its model: random losses come in clumps and bring timeouts,
    /// which the models leave out, and probing for the round trip costs BBR some percent.
    static let bounds = 0.75...1.25

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

    private static func mbits(_ bits: Double) -> String {
        ProtocolFigures.rounded(bits / 1e6)
    }
}
