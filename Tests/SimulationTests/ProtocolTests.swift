import CyxCore
import CyxOverlay
import ProtocolSimulation
import Testing

@Suite struct ProtocolTests {
    @Test func lookupsTakeTheHopsThatTheModelGives() throws {
        let figures = LookupFigures.measure(peers: 10_000, deadShare: 0, samples: 60, seed: 3)
        let model = try #require(LookupFigures.model(peers: 10_000))
        #expect(abs(figures.hops.mean / model - 1) <= 0.15)
        #expect(figures.recall > 0.9)
        #expect(figures.requests.percentile(0.99) < 60)
    }

    @Test func oneSeedGivesOneResult() {
        func run() -> LookupFigures {
            LookupFigures.measure(peers: 2000, deadShare: 0.3, samples: 30, seed: 4)
        }
        #expect(run() == run())
    }

    @Test func whatIsPublishedIsFoundDespiteTheDead() {
        let figures = LatencyFigures.measure(
            .planetLab, peers: 1000, deadShare: 0.3, samples: 40, seed: 5)
        #expect(figures.retrieved == figures.samples)
        #expect(figures.publish.percentile(0.5) > figures.retrieve.percentile(0.5))
    }

    @Test func knownMembersSpareLookupsAHop() {
        func median(sample: Int) -> Double {
            LatencyFigures.measure(
                .king, peers: 5000, deadShare: 0, samples: 60, sample: sample, seed: 8
            ).retrieve.percentile(0.5)
        }
        #expect(median(sample: ViewLimits().sample) < 0.8 * median(sample: 0))
    }

    @Test func anEclipseFailsAgainstAllDefencesAndSucceedsAgainstNone() {
        func share(_ attack: EclipseAttack, _ disabled: [EclipseDefence]) -> Double {
            EclipseFigures.measure(
                attack, without: disabled, peers: 2000, keys: 4, lookups: 10, seed: 6
            ).share
        }
        let few = EclipseAttack(sybils: 45, networks: 45)
        #expect(share(few, []) > 0.95)
        #expect(share(few, [.region]) < 0.5)
        #expect(share(few, [.signedRecords]) < 0.5)
        #expect(share(few, EclipseDefence.allCases) < 0.1)
        let crowd = EclipseAttack(sybils: 300, networks: 4)
        #expect(share(crowd, []) > 0.95)
        #expect(share(crowd, [.diversity]) < 0.5)
    }

    @Test func upkeepRenewsContacts() {
        let figures = UpkeepFigures.measure(peers: 200, virtualSeconds: 5, seed: 7) { $0() }
        // Five pings each, of which the last few are still under way.
        #expect((800...1000).contains(figures.renewed))
    }
}
