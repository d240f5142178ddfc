import CyxOverlay
import ProtocolSimulation
import Testing

@Suite struct DetectionTests {
    private func outcome(
        _ defences: MembershipDefences, slow: Int = 8, blocked: Int = 8192, seed: UInt64 = 3
    ) -> DetectionOutcome {
        DetectionFigures.measure(
            defences, slow: slow * 4, blocked: blocked, interval: 1024, peers: 32, seed: seed)
    }

    @Test func slowMembersMakeSWIMHoldHealthyOnesDeadAndLifeguardHardlyEver() {
        let swim = outcome(.plainSWIM)
        let all = outcome(.all)
        #expect(swim.falseDeaths > 500)
        #expect(swim.falseDeaths >= 50 * all.falseDeaths)
        #expect(swim.falseDeathsAtHealthy >= 50 * all.falseDeathsAtHealthy)
        #expect(all.falseDeathsAtHealthy < 10)
    }

    @Test func aRealDeathIsKnownToAllSoonDespiteSlowMembers() {
        let swim = outcome(.plainSWIM)
        let all = outcome(.all)
        for outcome in [swim, all] {
            #expect(outcome.missed == 0 && outcome.disseminations.count == 1)
        }
        #expect((all.disseminations.first ?? 99) < 15)
    }

    @Test func withoutSlowMembersNobodyIsHeldDeadWrongly() {
        let quiet = outcome(.plainSWIM, slow: 0)
        #expect(quiet.falseDeaths == 0 && quiet.missed == 0)
        #expect(outcome(.all, slow: 0).falseDeaths == 0)
    }

    @Test func aProcessThatDoesNotRunIsNotDeceivedByItsTimers() {
        func wrong(_ defences: MembershipDefences) -> Int {
            DetectionFigures.measure(
                defences, slow: 32, blocked: 20_000, interval: 1024, peers: 32, block: .process,
                seed: 4
            ).falseDeaths
        }
        #expect(wrong(.plainSWIM) > 5)
        #expect(wrong(.all) == 0)
    }

    @Test func oneSeedGivesOneOutcome() {
        #expect(outcome(.all, seed: 9) == outcome(.all, seed: 9))
        #expect(outcome(.all, seed: 9) != outcome(.all, seed: 10))
    }
}
