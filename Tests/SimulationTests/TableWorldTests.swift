import CyxTables
import ProtocolSimulation
import Testing

@Suite struct TableWorldTests {
    @Test func tablesKeepWhatTheyAcknowledgedAndOneSeedGivesOneTrace() {
        var lines: [String] = []
        let holds = RuleTable.runClean(seed: 3) { lines.append($0) }
        #expect(holds, "\(lines)")
    }

    /// `make rules` shows it of every rule; these are the ones that the first seeds need.
    @Test(
        arguments: [
            (.votesDurably, "NoAmnesia"), (.acceptsDurably, "AckedDurable"),
        ] as [(TableRule, String)])
    func aRuleThatIsLeftOutIsMissed(rule: TableRule, invariant: String) {
        let seeds = 1...4 as ClosedRange<UInt64>
        let found = seeds.first {
            RuleTable.broken($0, without: rule, isKept: false).contains(invariant)
        }
        #expect(found != nil)
        if let found { #expect(RuleTable.broken(found, without: rule, isKept: true).isEmpty) }
    }
}
