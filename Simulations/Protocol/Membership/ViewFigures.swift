import CyxCore
package import CyxOverlay

/// What it costs one peer to know whom it knows of a network: memory, and what it sends.
package struct ViewFigures: Sendable, Equatable {
    package var peers: Int
    /// Members that a peer keeps, on average.
    package var known: Double
    package var isPartial: Bool
    /// Per peer and second.
    package var messages: Double
    package var bytes: Double
    /// Of one machine that has heard of everybody.
    package var heapBytes: Int

    /// `running` machines or more run for `seconds`; `heapBytes` tells what this process has
    /// allocated.
    package static func measure(
        peers: Int, running: Int, seconds: Int, limits: ViewLimits = ViewLimits(), seed: UInt64,
        heapBytes: () -> Int
    ) -> ViewFigures {
        let heap = memory(peers: peers, limits: limits, seed: seed, heapBytes)
        var run = ViewRun(peers: peers, running: running, limits: limits, seed: seed)
        let traffic = run.run(for: .seconds(Int64(seconds)))
        let known = run.machines.reduce(0) { $0 + $1.reachableCount }
        return ViewFigures(
            peers: peers, known: Double(known) / Double(run.machines.count),
            isPartial: run.machines.allSatisfy(\.isPartial),
            messages: Double(traffic.messages) / traffic.memberSeconds,
            bytes: Double(traffic.bytes) / traffic.memberSeconds, heapBytes: heap)
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
            print(
                "\(peers) members: each keeps \(Int(figures.known.rounded())) others"
                    + "\(figures.isPartial ? "" : " (all)"), "
                    + "\(rounded(Double(figures.heapBytes) / 1e6)) MB of heap, and sends "
                    + "\(rounded(figures.messages)) messages/s, \(Int(figures.bytes)) bytes/s")
            if figures.isPartial { partial.append(figures) }
        }
        guard let first = partial.first else { return true }
        return partial.allSatisfy { figures in
            figures.bytes <= first.bytes * growth
                && Double(figures.heapBytes) <= Double(first.heapBytes) * growth
        }
    }
}
