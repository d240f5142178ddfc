import SimulationHarness

/// What a run of a world by its seed showed.
protocol SeedOutcome: Equatable {
    var seed: UInt64 { get }
    var virtualSeconds: Double { get }
    var trace: TraceHash { get }
    /// What clients did.
    var counts: [String: Int] { get }
    var faults: [String: Int] { get }
    /// How often each invariant was held against something.
    var checks: [String: Int] { get }
    /// Each begins with the name of the invariant that broke.
    var violations: [String] { get }
}

extension SeedOutcome {
    /// Names of the invariants that broke, in the order in which they did.
    var broken: [String] {
        var names: [String] = []
        for violation in violations {
            let name = String(violation.prefix { $0 != ":" })
            if !names.contains(name) { names.append(name) }
        }
        return names
    }
}

/// What is printed of seeds, in the form that `SeedRunner` adds up.
enum SeedReport {
    /// A seed with all rules kept: whether it is clean and `again`, if it is run again, ends the same.
    static func isClean<Outcome: SeedOutcome>(
        _ world: String, _ outcome: Outcome, _ details: String = "", again: () -> Outcome?,
        print: (String) -> Void
    ) -> Bool {
        var lines = [
            "\(world): seed \(outcome.seed), "
                + "\(ProtocolFigures.rounded(outcome.virtualSeconds)) virtual s, \(details)"
                + "\(outcome.checks.values.reduce(0, +)) checks, trace \(outcome.trace)"
        ]
        lines += text("\(world):", outcome.counts)
        lines += text("fault:", outcome.faults)
        lines += text("checks of", outcome.checks)
        lines += outcome.violations.map { "  VIOLATED: \($0)" }
        print(lines.joined(separator: "\n"))
        if let second = again(), second != outcome {
            print("  second run DIFFERS")
            return false
        }
        return outcome.violations.isEmpty
    }

    private static func text(_ label: String, _ counts: [String: Int]) -> [String] {
        counts.sorted { $0.key < $1.key }.map { "  \(label) \($0.key): \($0.value)" }
    }

    /// A line for a rule; false if it was not missed, or if the seed was unclean although all rules
    /// were kept. `search` finds an outcome without the rule that breaks an invariant, and counts its
    /// runs; `clean` runs that seed with the rule.
    static func isNeeded<Rule: RawRepresentable<String>, Outcome: SeedOutcome>(
        _ rule: Rule, search: (_ runs: inout Int) -> Outcome?, clean: (UInt64) -> Outcome,
        cpuSeconds: () -> Double, print: (String) -> Void
    ) -> Bool {
        var runs = 0
        let start = cpuSeconds()
        func effort() -> String {
            "\(runs) in \(ProtocolFigures.rounded(cpuSeconds() - start)) s of CPU time"
        }
        guard let found = search(&runs) else {
            print("\(rule.rawValue) | none | nothing broke | | \(effort())")
            return false
        }
        runs += 1
        let clean = clean(found.seed)
        let state = clean.violations.isEmpty ? "clean" : "VIOLATED: \(clean.violations)"
        print(
            "\(rule.rawValue) | \(found.seed) | \(found.broken.joined(separator: ", ")) | \(state) "
                + "| \(effort())\n    \(found.violations.first ?? "")")
        return clean.violations.isEmpty
    }
}
