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
        case .repairsByQuorum: [.partitions]
        }
    }

    private static func run(_ seed: UInt64, _ rule: ObjectRule, isKept: Bool) -> ObjectOutcome {
        ObjectRun.run(
            seed: seed, without: isKept ? [] : [rule], favouring: favourites(rule))
    }

    /// Prints a line for each rule; false if one of them was not missed, or if a seed was unclean
    /// although all rules were kept.
    static func run(from seed: UInt64, cpuSeconds: () -> Double, print: (String) -> Void) -> Bool {
        var holds = true
        var runs = 0
        let start = cpuSeconds()
        print("rule left out | seed | invariant broken | with all rules")
        for rule in ObjectRule.allCases {
            guard let found = search(rule, from: seed, runs: &runs) else {
                print("\(rule.rawValue) | none | nothing broke |")
                holds = false
                continue
            }
            runs += 1
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
