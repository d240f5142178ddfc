import SimulationScenarios
import Testing

@Suite struct ScenarioTests {
    @Test func wholePeersKeepWhatTheyAcknowledgedAndOneSeedGivesOneTrace() throws {
        var options = ScenarioOptions(seed: 3)
        options.peers = 6
        options.duration = .seconds(20)
        let first = try #require(Scenarios.run("smoke", options))
        print(first.text)
        #expect(first.violations.isEmpty)
        #expect(first.counts["puts acknowledged", default: 0] > 0)
        #expect(Scenarios.run("smoke", options) == first)
    }

    @Test func losingHalfOfAllDisksAtOnceIsNoticed() throws {
        var options = ScenarioOptions(seed: 4)
        options.peers = 6
        options.duration = .seconds(15)
        let report = try #require(Scenarios.runSabotaged(options))
        #expect(!report.violations.isEmpty)
    }

    @Test func thereIsNoScenarioOfAnotherName() {
        #expect(Scenarios.run("nothing", ScenarioOptions(seed: 1)) == nil)
    }
}
