import CyxCore

/// Runs of worlds of objects by seed, for the command line.
enum ObjectFigures {
    /// One seed with all rules kept and all faults that it draws; twice, to the same end, unless logs
    /// are printed.
    static func runClean(
        seed: UInt64, printed: LogLevel? = nil, print: (String) -> Void
    ) -> Bool {
        let outcome = ObjectRun.run(seed: seed, printed: printed)
        let rounded = ProtocolFigures.rounded(outcome.virtualSeconds)
        var lines = [
            "objects: seed \(seed), \(rounded) virtual s, "
                + "\(outcome.checks.values.reduce(0, +)) checks, trace \(outcome.trace)"
        ]
        lines += text("objects:", outcome.counts)
        lines += text("fault:", outcome.faults)
        lines += text("checks of", outcome.checks)
        for violation in outcome.violations { lines.append("  VIOLATED: \(violation)") }
        print(lines.joined(separator: "\n"))
        guard printed != nil || ObjectRun.run(seed: seed) == outcome else {
            print("  second run DIFFERS")
            return false
        }
        return outcome.violations.isEmpty
    }

    private static func text(_ label: String, _ counts: [String: Int]) -> [String] {
        counts.sorted { $0.key < $1.key }.map { "  \(label) \($0.key): \($0.value)" }
    }
}
