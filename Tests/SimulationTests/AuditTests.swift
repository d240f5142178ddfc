import CyxCore
import CyxObjects
import ProtocolSimulation
import Testing

/// Audits by the numbers; `simulate audits` runs the same at full size.
@Suite struct AuditTests {
    @Test func aPeerThatLostFivePercentIsFoundWithinAWeek() {
        var setup = LossFigures.Setup()
        setup.shards = 600
        let figures = LossFigures.measure(setup, trials: 60, seed: 1)
        #expect(figures.share > 0.98)
        // One point a period, and nearly every partition has a shard of the peer.
        #expect((20...30).contains(figures.auditsPerDay))
        #expect(figures.leastPerDay >= 12)
    }

    /// A holder that can tell which shards are not audited loses those.
    @Test func aChoiceThatNeverTakesSomeShardsIsNoAudit() {
        var setup = LossFigures.Setup()
        setup.shards = 600
        setup.rather = { $0.index >= 7 }
        let fair = LossFigures.measure(setup, trials: 20, seed: 2)
        setup.pick = { shards, beacon, slot in
            AuditSchedule.pick(shards.filter { $0.index < 7 }, beacon, slot: slot)
        }
        let biased = LossFigures.measure(setup, trials: 20, seed: 2)
        #expect(fair.share == 1)
        #expect(biased.share == 0)
    }

    @Test func everyShardIsPickedAboutAsOften() {
        var generator = SeededGenerator(seed: 3)
        func digest() -> Digest {
            Digest(generator.next(), generator.next(), generator.next(), generator.next())
        }
        let shards = (0..<10).map { ShardID(segment: SegmentID(digest()), index: $0) }
        var counts: [ShardID: Int] = [:]
        for _ in 0..<5000 {
            if let shard = AuditSchedule.pick(shards, digest(), slot: 0) {
                counts[shard, default: 0] += 1
            }
        }
        // Binomial(5000, 0.1): six standard deviations are 127.
        for shard in shards { #expect(abs((counts[shard] ?? 0) - 500) < 127) }
    }

    @Test func peersWithFewShardsAreAuditedTooAndNobodyIsFlooded() {
        for shards in [1, 14, 100] {
            var setup = LossFigures.Setup()
            setup.shards = shards
            setup.peers = 20
            setup.lostShare = 0
            let figures = LossFigures.measure(setup, trials: 30, seed: 4)
            #expect((12...48).contains(figures.auditsPerDay))
        }
    }

    @Test func claimingMoreShardsThanThereAreHidesNothing() {
        var setup = LossFigures.Setup()
        setup.shards = 50
        setup.peers = 20
        setup.claim = 1000
        let figures = LossFigures.measure(setup, trials: 20, seed: 4)
        #expect(figures.auditsPerDay >= 12)
    }

    @Test func whoHasNothingIsBannedWithinDays() throws {
        var setup = LossFigures.Setup()
        setup.shards = 300
        setup.lostShare = 1
        setup.isRepaired = false
        let figures = LossFigures.measure(setup, trials: 5, seed: 5)
        #expect(figures.daysToBan.count == 5)
        #expect(try #require(figures.daysToBan.last) <= 3)
    }

    @Test func theHonestAreNeverPenalised() {
        let figures = HonestFigures.measure(HonestFigures.Setup(), peerYears: 6, seed: 6)
        #expect(figures.penalties == [:])
        #expect(figures.outcomes[.wrong] == nil)
        // The faults were there: some audits found nobody, or no answer.
        #expect((figures.outcomes[.offline] ?? 0) > 20)
        #expect((figures.outcomes[.unknown] ?? 0) > 5)
    }

    @Test func thresholdsThatAreTooStrictPenaliseTheHonest() {
        var setup = HonestFigures.Setup()
        setup.limits.unknown = 0.97
        let strict = HonestFigures.measure(setup, peerYears: 6, seed: 6)
        #expect((strict.penalties[.unknown] ?? 0) > 0)
        setup = HonestFigures.Setup()
        setup.limits.offline = 0.99
        let stricter = HonestFigures.measure(setup, peerYears: 6, seed: 6)
        #expect((stricter.penalties[.offline] ?? 0) > 0)
    }

    @Test func whoIsAwayHalfTheTimeOrNeverAnswersIsSuspended() {
        var setup = HonestFigures.Setup()
        setup.outages = 100
        setup.outage = 86_400...(4 * 86_400)
        let absent = HonestFigures.measure(setup, peerYears: 2, seed: 7)
        #expect(absent.penalties == [.offline: 2])
        setup = HonestFigures.Setup()
        setup.slowEvery = 1
        setup.stalledShare = 3
        setup.stall = 3600...(2 * 86_400)
        let stalled = HonestFigures.measure(setup, peerYears: 2, seed: 8)
        #expect(stalled.penalties == [.unknown: 2])
    }
}
