import CyxCore
import CyxObjects

/// For each rule of objects: the first seed at which an invariant breaks without it, and that the
/// same seed is clean with it.
enum ObjectRuleTable {
    /// Seeds that are tried for one rule.
    private static let seedsMax: UInt64 = 40

    /// Faults that a rule is there for. The others are drawn by the seed.
    private static func favourites(_ rule: ObjectRule) -> [ObjectNemesis] {
        switch rule {
        case .comparesHeads, .writesHeadLast, .capsZones: []
        case .ordersUploads, .namesUploads: [.gatewayCrashes]
        case .acknowledgesDurable: [.narrowings]
        case .repairsByQuorum: [.partitions, .growth]
        case .provesReceipts, .keepsRoomForRepair, .codesParity: [.wipes]
        case .checksSignatures, .custodiansJudge, .ownersChange, .ownersStrike: []
        case .sparesNeeded, .refersForEachBody: []
        case .claimsBeforeHeads: [.gatewayCrashes]
        }
    }

    /// Whether a rule is about segments that several objects share, or shows there soonest.
    private static func isOfPacks(_ rule: ObjectRule) -> Bool {
        switch rule {
        case .sparesNeeded, .refersForEachBody, .claimsBeforeHeads: true
        default: false
        }
    }

    /// Lies that a rule is there for; without any, the seed draws them.
    private static func lies(_ rule: ObjectRule) -> [MemberLie] {
        switch rule {
        case .provesReceipts: [.forgedReceipts]
        case .keepsRoomForRepair: [.stuffedHolders]
        case .checksSignatures: [.forgedRows]
        case .custodiansJudge: [.forgedStandings]
        case .ownersChange: [.removedRows, .oldRows]
        case .ownersStrike: [.struckHolders]
        default: []
        }
    }

    /// Rules that stand before one and are left out with and without it: what must be signed is only
    /// looked at once its sender may write.
    private static func veils(_ rule: ObjectRule) -> Set<ObjectRule> {
        rule == .checksSignatures ? [.ownersChange] : []
    }

    private static func run(_ seed: UInt64, _ rule: ObjectRule, isKept: Bool) -> ObjectOutcome {
        ObjectRun.run(
            seed: seed, without: veils(rule).union(isKept ? [] : [rule]),
            favouring: favourites(rule), lies: lies(rule), packs: isOfPacks(rule))
    }

    /// Prints a line; false if the rule is not shown to be needed.
    static func isNeeded(
        _ rule: ObjectRule, from seed: UInt64, cpuSeconds: () -> Double, print: (String) -> Void
    ) -> Bool {
        SeedReport.isNeeded(
            rule, search: { search(rule, from: seed, runs: &$0) },
            clean: { run($0, rule, isKept: true) }, cpuSeconds: cpuSeconds, print: print)
    }

    /// One seed with all rules kept and all faults that it draws; twice, to the same end, unless logs
    /// are printed.
    static func runClean(
        seed: UInt64, printed: LogLevel? = nil, print: (String) -> Void
    ) -> Bool {
        SeedReport.isClean(
            "objects", ObjectRun.run(seed: seed, printed: printed),
            again: { printed == nil ? ObjectRun.run(seed: seed) : nil }, print: print)
    }

    private static func search(
        _ rule: ObjectRule, from seed: UInt64, runs: inout Int
    ) -> ObjectOutcome? {
        for candidate in seed..<seed + seedsMax {
            runs += 1
            let outcome = run(candidate, rule, isKept: false)
            if !outcome.violations.isEmpty { return outcome }
        }
        return nil
    }
}
