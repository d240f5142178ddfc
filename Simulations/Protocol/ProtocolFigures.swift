package import CyxCore
internal import CyxObjects
internal import CyxTables

/// The protocol-level runs by name: machines alone in an event heap, no shells and no tasks, but
/// for `nat`, where transports and reachability run whole.
package enum ProtocolFigures {
    package static let names = [
        "lookup", "eclipse", "upkeep", "detection", "nat", "audits", "links", "grinding", "rules",
        "object-rules", "tables", "objects", "repair", "durability", "views",
    ]

    /// Mean hops may differ from the model by this share (architecture §7).
    private static let tolerance = 0.15
    /// Lookups under an eclipse that must succeed.
    private static let eclipseShare = 0.95

    /// Runs `name`, printing as it goes; false if a bound was missed. `cpuSeconds` tells the CPU time
    /// used so far, `heapBytes` what is allocated now. `printed`: from which level on peers' log lines
    /// are printed, where peers have logs.
    package static func run(
        _ name: String, peers: Int?, seed: UInt64, printed: LogLevel?, cpuSeconds: () -> Double,
        heapBytes: () -> Int, print: (String) -> Void
    ) -> Bool {
        switch name {
        case "lookup":
            return lookup(peers.map { [$0] } ?? [1000, 10_000, 100_000], seed, cpuSeconds, print)
        case "tables": return RuleTable.runClean(seed: seed, printed: printed, print: print)
        case "objects": return ObjectRuleTable.runClean(seed: seed, printed: printed, print: print)
        case "links": return LinkTable.run(seed: seed, print: print)
        case "nat": return NATTable.run(seed: seed, print: print)
        case "eclipse": return eclipse(peers ?? 10_000, seed, print)
        case "detection": return detection(peers ?? 128, seed, print)
        case "grinding": return grinding(peers ?? 300, seed, print)
        case "repair": return ZoneLossTable.run(peers ?? 20, seed, print)
        case "durability": return DurabilityTable.run(peers ?? 1000, seed, print)
        case "views":
            return views(peers.map { [$0] } ?? [1000, 10_000, 100_000], seed, heapBytes, print)
        case "audits": return AuditFigures.run(peers ?? 100, seed, print)
        default:
            upkeep(peers ?? 10_000, seed, cpuSeconds, print)
            return true
        }
    }

    // MARK: Rules

    /// The rules that a run by that name leaves out; none where it is of something else.
    package static func rules(of name: String) -> [String] {
        switch name {
        case "rules": TableRule.allCases.map { "\($0)" }
        case "object-rules": ObjectRule.allCases.map { "\($0)" }
        default: []
        }
    }

    /// Looks for a seed, from `seed` on, at which an invariant breaks without the rule, and prints a
    /// line of it; false if there is none, or if that seed is not clean with the rule.
    package static func isNeeded(
        _ rule: String, of name: String, seed: UInt64, cpuSeconds: () -> Double,
        print: (String) -> Void
    ) -> Bool {
        if name == "rules", let rule = TableRule.allCases.first(where: { "\($0)" == rule }) {
            return RuleTable.isNeeded(rule, from: seed, cpuSeconds: cpuSeconds, print: print)
        }
        guard let rule = ObjectRule.allCases.first(where: { "\($0)" == rule }) else {
            preconditionFailure("no rule \(rule) of \(name)")
        }
        return ObjectRuleTable.isNeeded(rule, from: seed, cpuSeconds: cpuSeconds, print: print)
    }

    // MARK: Lookups

    private static func lookup(
        _ sizes: [Int], _ seed: UInt64, _ cpuSeconds: () -> Double, _ print: (String) -> Void
    ) -> Bool {
        var holds = true
        for peers in sizes {
            for deadShare in [0, 0.3] {
                let start = cpuSeconds()
                let figures = LookupFigures.measure(
                    peers: peers, deadShare: deadShare, samples: 1000, seed: seed)
                let seconds = cpuSeconds() - start
                var line =
                    "\(peers) peers, \(percent(deadShare)) dead: hops mean "
                    + "\(rounded(figures.hops.mean)) p99 \(Int(figures.hops.percentile(0.99))), "
                    + "requests mean \(rounded(figures.requests.mean)) "
                    + "p99 \(Int(figures.requests.percentile(0.99))), closest peer found "
                    + "\(percent(Double(figures.exact) / Double(figures.samples))), of the 20 "
                    + "closest \(percent(figures.recall))"
                if let model = LookupFigures.model(peers: peers), deadShare == 0 {
                    let share = figures.hops.mean / model
                    holds = holds && abs(share - 1) <= tolerance
                    line += "; model \(model) hops, here \(rounded(share)) of that"
                }
                print(line)
                print(
                    "  \(figures.events) events in \(rounded(seconds)) s of CPU time, "
                        + "tables built included")
            }
            guard peers <= 100_000 else { continue }
            for model in RoundTripModel.allCases {
                for deadShare in [0, 0.3] {
                    latency(model, peers: peers, deadShare: deadShare, seed, print)
                }
            }
        }
        return holds
    }

    private static func latency(
        _ model: RoundTripModel, peers: Int, deadShare: Double, _ seed: UInt64,
        _ print: (String) -> Void
    ) {
        let figures = LatencyFigures.measure(
            model, peers: peers, deadShare: deadShare, samples: 500, seed: seed)
        func times(_ spread: Spread) -> String {
            let parts = [0.5, 0.8, 0.99].map { share in
                "p\(Int(share * 100)) \(Int(spread.percentile(share)))"
            }
            return parts.joined(separator: " ")
        }
        print(
            "  \(model.rawValue) round trips (p50 \(Int(figures.roundTrip.median)) ms, "
                + "p90 \(Int(figures.roundTrip.high)) ms), \(percent(deadShare)) dead: publish "
                + "\(times(figures.publish)) ms; find a record \(times(figures.retrieve)) ms, "
                + "\(percent(Double(figures.retrieved) / Double(figures.samples))) found; "
                + "20 closest \(times(figures.explore)) ms")
    }

    // MARK: Eclipse

    private static func eclipse(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var holds = true
        let switches: [(name: String, off: [EclipseDefence])] =
            [("all defences", [])]
            + EclipseDefence.allCases.map { ("without \($0.rawValue)", [$0]) }
            + [("without any", EclipseDefence.allCases)]
        for attack in EclipseAttack.shapes {
            print(
                "\(peers) peers, \(attack.sybils) Sybils at the key in \(attack.networks) /24s"
                    + (attack.scattered > 0 ? ", \(attack.scattered) elsewhere" : ""))
            for (name, off) in switches {
                let figures = EclipseFigures.measure(
                    attack, without: off, peers: peers, keys: 20, lookups: 25, seed: seed)
                if off.isEmpty { holds = holds && figures.share > eclipseShare }
                print(
                    "  \(name): \(percent(figures.share)) of \(figures.lookups) lookups succeed, "
                        + "\(rounded(figures.honestHolders)) honest peers keep the record, "
                        + "\(rounded(figures.requests)) requests each")
            }
        }
        return holds
    }

    // MARK: Upkeep

    private static func upkeep(
        _ peers: Int, _ seed: UInt64, _ cpuSeconds: () -> Double, _ print: (String) -> Void
    ) {
        var seconds = 0.0
        let figures = UpkeepFigures.measure(peers: peers, virtualSeconds: 100, seed: seed) { body in
            let start = cpuSeconds()
            body()
            seconds = cpuSeconds() - start
        }
        print(
            "\(peers) peers, \(Int(figures.virtualSeconds)) virtual s of upkeep: "
                + "\(figures.events) events, \(rounded(Double(figures.events) / seconds / 1e6)) M "
                + "events/s of CPU time")
    }

    static func rounded(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    static func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10) %" : "\(tenths / 10).\(tenths % 10) %"
    }
}
