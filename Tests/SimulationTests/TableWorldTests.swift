import CyxTables
import ProtocolSimulation
import Testing

@Suite struct TableWorldTests {
    @Test func tablesKeepWhatTheyAcknowledgedAndOneSeedGivesOneTrace() {
        var lines: [String] = []
        let holds = RuleTable.runClean(seed: 3) { lines.append($0) }
        #expect(holds, "\(lines)")
    }

    @Test func registersAreLinearizableHoweverTheirMessagesCome() {
        for seed in 1...500 as ClosedRange<UInt64> {
            let broken = RuleTable.broken(seed, without: .createsFreshNames, isKept: true)
            #expect(broken.isEmpty, "seed \(seed)")
        }
    }

    /// `make rules` shows it of every rule; these are the ones that the first seeds need.
    @Test(
        arguments: [
            (.votesDurably, "NoAmnesia"), (.acceptsDurably, "AckedDurable"),
            (.createsFreshNames, "RegisterLinear"),
        ] as [(TableRule, String)])
    func aRuleThatIsLeftOutIsMissed(rule: TableRule, invariant: String) {
        // A world of one register takes a thousandth of the time of the others.
        let seeds = 1...(rule == .createsFreshNames ? 1000 : 4) as ClosedRange<UInt64>
        let found = seeds.first {
            RuleTable.broken($0, without: rule, isKept: false).contains(invariant)
        }
        #expect(found != nil)
        if let found { #expect(RuleTable.broken(found, without: rule, isKept: true).isEmpty) }
    }
}
