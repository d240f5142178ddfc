package import CyxCore
package import SimulationHarness

/// What to run, apart from the scenario's name.
package struct ScenarioOptions: Sendable {
    package var seed: UInt64
    /// Nil: the scenario's own number.
    package var peers: Int?
    /// Virtual time under faults; nil: the scenario's own.
    package var duration: Duration?
    /// Receives a line per event.
    package var trace: (@Sendable (String) -> Void)?
    /// Receives a line per virtual minute, so that a long run shows that it goes on.
    package var progress: (@Sendable (String) -> Void)?
    /// Peers' log lines at or above this level are printed.
    package var printedLogLevel: LogLevel?

    package init(seed: UInt64) {
        self.seed = seed
    }
}

/// What a run showed. Two runs of one seed must agree in all of it.
package struct ScenarioReport: Sendable, Equatable {
    package var name: String
    package var seed: UInt64
    package var peers: Int
    package var virtualSeconds: Double
    package var events: UInt64
    package var jobs: UInt64
    package var trace: TraceHash
    /// Faults injected, operations done and so on, by name.
    package var counts: [String: Int] = [:]
    /// Invariants that were checked, and held if `violations` is empty.
    package var invariants: [String] = []
    package var violations: [String] = []

    package var passed: Bool { violations.isEmpty }

    package var replayCommand: String {
        let seconds = counts["seconds under faults"].map { " --seconds \($0)" } ?? ""
        return "swift run -c release simulate \(name) --seed \(seed) --peers \(peers)\(seconds)"
    }

    package var text: String {
        var lines = [
            "\(name): seed \(seed), \(peers) peers, \(Int(virtualSeconds)) virtual s, "
                + "\(events) events, \(jobs) jobs"
        ]
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
            lines.append("  \(name): \(count)")
        }
        for invariant in invariants where passed { lines.append("  held: \(invariant)") }
        for violation in violations.prefix(20) { lines.append("  VIOLATED: \(violation)") }
        if violations.count > 20 { lines.append("  and \(violations.count - 20) more") }
        lines.append("  trace hash \(trace)")
        lines.append("  replay: \(replayCommand)")
        return lines.joined(separator: "\n")
    }
}
