package import CyxTables

/// For each rule of the tables: the first seed at which an invariant breaks without it, and that
/// the same seed is clean with it.
package enum RuleTable {
    /// Seeds that are tried for one rule.
    private static let seedsMax: UInt64 = 3000
    private static let registerSeedsMax: UInt64 = 30_000
    /// Of those, when it is known that the network gets stuck without the rule.
    private static let stuckSeeds: UInt64 = 300

    /// Faults that a rule is there for. The others are drawn by the seed.
    private static func favourites(_ rule: TableRule) -> [TableNemesis] {
        switch rule {
        case .boundsChanges: [.departures]
        case .boundsClocks: [.fastClock]
        case .seals: [.falseDeaths, .midSealBlocks]
        case .locksVotes: [.falseDeaths, .proposerKills]
        case .tellsStoresApart: [.wipes, .falseDeaths]
        case .acceptsDurably, .votesDurably: [.crashes, .falseDeaths]
        case .ordersBallots, .drawsNonces: [.replays, .clogs]
        default: [.falseDeaths]
        }
    }

    /// Rules that only a rare order of single messages needs: looked for where nothing but one
    /// register's machines runs.
    private static func isOfRegisters(_ rule: TableRule) -> Bool {
        rule == .pullsPromises || rule == .readsSettledRows
    }

    private static func run(_ seed: UInt64, _ rule: TableRule, isKept: Bool) -> TableOutcome {
        let broken: Set<TableRule> = isKept ? [] : [rule]
        guard isOfRegisters(rule) else {
            return TableRun.run(seed: seed, without: broken, favouring: favourites(rule))
        }
        var outcome = TableOutcome(seed: seed)
        if !RegisterWorld.isLinearizable(seed: seed, without: broken) {
            outcome.violations = ["RegisterLinear: no order explains what clients saw"]
        }
        return outcome
    }

    /// Whether a violation shows what the rule is for. Being stuck is less telling than being wrong,
    /// and without seals votes mean nothing.
    private static func isTelling(_ invariant: String, _ rule: TableRule) -> Bool {
        switch invariant {
        case "Converge": false
        case "NoAmnesia": rule != .seals
        default: true
        }
    }

    /// Invariants that a seed breaks: without `rule`, or with all rules kept where `isKept`.
    package static func broken(_ seed: UInt64, without rule: TableRule, isKept: Bool) -> [String] {
        run(seed, rule, isKept: isKept).broken
    }

    /// Prints a line for each rule; false if one of them was not missed, or if a seed was unclean
    /// although all rules were kept.
    static func run(from seed: UInt64, cpuSeconds: () -> Double, print: (String) -> Void) -> Bool {
        var holds = true
        var runs = 0
        let start = cpuSeconds()
        print("rule left out | seed | invariant broken | with all rules")
        for rule in TableRule.allCases {
            let found = search(rule, from: seed, runs: &runs)
            guard let found else {
                print("\(rule.rawValue) | none | nothing broke |")
                holds = false
                continue
            }
            let clean = run(found.seed, rule, isKept: true)
            let state = clean.violations.isEmpty ? "clean" : "VIOLATED: \(clean.violations)"
            holds = holds && clean.violations.isEmpty
            print(
                "\(rule.rawValue) | \(found.seed) | \(found.broken.joined(separator: ", ")) "
                    + "| \(state)")
            print("    \(found.violations.first ?? "")")
        }
        let seconds = cpuSeconds() - start
        print("\(runs) runs in \(ProtocolFigures.rounded(seconds)) s of CPU time")
        return holds
    }

    /// One seed with all rules kept and all faults that it draws; twice, to the same end.
    package static func runClean(seed: UInt64, print: (String) -> Void) -> Bool {
        let outcome = TableRun.run(seed: seed)
        var line =
            "tables: seed \(seed), \(ProtocolFigures.rounded(outcome.virtualSeconds)) virtual s, "
            + "\(outcome.epochs) views, \(outcome.counts["operations done", default: 0]) operations, "
            + "\(outcome.checks.values.reduce(0, +)) checks, trace \(outcome.trace)"
        for (name, count) in outcome.counts.sorted(by: { $0.key < $1.key }) {
            let isFault = TableNemesis(rawValue: name) != nil
            line += "\n  \(isFault ? "fault" : "tables"): \(name): \(count)"
        }
        for (name, count) in outcome.checks.sorted(by: { $0.key < $1.key }) {
            line += "\n  checks of \(name): \(count)"
        }
        for violation in outcome.violations { line += "\n  VIOLATED: \(violation)" }
        print(line)
        guard TableRun.run(seed: seed) == outcome else {
            print("  second run DIFFERS")
            return false
        }
        return outcome.violations.isEmpty
    }

    private static func search(
        _ rule: TableRule, from seed: UInt64, runs: inout Int
    ) -> TableOutcome? {
        var stuck: TableOutcome?
        let most = isOfRegisters(rule) ? registerSeedsMax : seedsMax
        for candidate in seed..<seed + most {
            if stuck != nil, candidate == seed + stuckSeeds { break }
            runs += 1
            let outcome = run(candidate, rule, isKept: false)
            if outcome.broken.contains(where: { isTelling($0, rule) }) { return outcome }
            if !outcome.violations.isEmpty { stuck = stuck ?? outcome }
        }
        return stuck
    }
}
