package import CyxCore
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
        case .splitsByQuorum: [.splits, .falseDeaths, .clogs]
        case .tellsStoresApart: [.wipes, .falseDeaths]
        case .acceptsDurably, .votesDurably: [.crashes, .falseDeaths]
        case .ordersBallots, .drawsNonces: [.replays, .clogs]
        case .keepsFloors: [.replays]
        case .removesWhenAllAccepted: [.oneWayBlocks, .partitions]
        default: [.falseDeaths]
        }
    }

    /// Rules that only a rare order of single messages needs: looked for where nothing but one
    /// register's machines runs.
    private static func isOfRegisters(_ rule: TableRule) -> Bool {
        rule == .pullsPromises || rule == .readsSettledRows || rule == .createsFreshNames
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

    /// Prints a line; false if the rule is not shown to be needed.
    static func isNeeded(
        _ rule: TableRule, from seed: UInt64, cpuSeconds: () -> Double, print: (String) -> Void
    ) -> Bool {
        SeedReport.isNeeded(
            rule, search: { search(rule, from: seed, runs: &$0) },
            clean: { run($0, rule, isKept: true) }, cpuSeconds: cpuSeconds, print: print)
    }

    /// One seed with all rules kept and all faults that it draws; twice, to the same end, unless logs
    /// are printed.
    package static func runClean(
        seed: UInt64, printed: LogLevel? = nil, print: (String) -> Void
    ) -> Bool {
        let outcome = TableRun.run(seed: seed, printed: printed)
        let details =
            "\(outcome.epochs) views, \(outcome.counts["operations done", default: 0]) operations, "
        return SeedReport.isClean(
            "tables", outcome, details,
            again: { printed == nil ? TableRun.run(seed: seed) : nil }, print: print)
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
