import CyxDurability
import CyxObjects
import Testing

@Suite struct DurabilityRunTests {
    /// A small fleet that loses its peers so often that segments go, too.
    private func hasty(_ change: (inout DurabilitySetup) -> Void = { _ in }) -> DurabilitySetup {
        var setup = DurabilitySetup()
        setup.fleet.peers = 40
        setup.fleet.zones = 8
        setup.fleet.segments = 80
        setup.fleet.partitions = 8
        setup.fleet.timings.delays = (.seconds(86_400), .seconds(86_400), .seconds(86_400))
        setup.fleet.limits = RepairLimits()
        setup.lossRate = 40
        setup.years = 0.15
        change(&setup)
        return setup
    }

    @Test func segmentsAreLostAsOftenAsTheModelSays() {
        let setup = hasty()
        let figures = DurabilityFigures.measure(setup, seed: 1)
        let expected = setup.model.lossesPerYear
        #expect(figures.losses > 50)
        // Three standard deviations of the count, and a little.
        #expect(abs(figures.lossesPerSegmentYear / expected - 1) < 0.35)
        for missing in 2...5 {
            let expected = setup.model.episodesPerYear(reaching: missing) * figures.segmentYears
            #expect(abs(Double(figures.episodes(reaching: missing)) / expected - 1) < 0.35)
        }
        #expect(figures.episodes(reaching: 5) == figures.losses)
        #expect(abs(figures.atRiskShare / setup.model.share(missing: 3) - 1) < 0.35)
        // Every window is the wait and the rebuild.
        #expect(abs(figures.window(0.5) - 24) < 0.5)
    }

    @Test func oneSeedGivesOneResult() {
        let setup = hasty { $0.years = 0.02 }
        #expect(
            DurabilityFigures.measure(setup, seed: 2) == DurabilityFigures.measure(setup, seed: 2))
    }

    @Test func theWaitsOfProductionLoseNothingWhereADayLosesMuch() {
        let setup = hasty {
            $0.fleet.timings = .production
            $0.years = 0.02
        }
        let figures = DurabilityFigures.measure(setup, seed: 3)
        #expect(figures.losses == 0)
        #expect(figures.peersLost > 20)
        #expect(figures.window(0.5) < 24)
    }

    @Test func peersThatComeBackInTimeCostNoRebuild() {
        let setup = hasty {
            $0.fleet.timings = .production
            $0.lossRate = 0
            $0.downsPerYear = 100
            $0.downHours = 0.1
            $0.years = 0.05
        }
        let figures = DurabilityFigures.measure(setup, seed: 4)
        #expect(figures.peersDown > 100)
        #expect(figures.losses == 0)
        // Each time some 28 segments miss a shard. Few are hit twice within the hour.
        #expect(figures.rebuilds * 20 < figures.peersDown * 28)
        #expect(figures.unreadableShare < 1e-4)
    }
}

@Suite struct ZoneLossTests {
    private func small(_ change: (inout ZoneLossSetup) -> Void = { _ in }) -> ZoneLossSetup {
        var setup = ZoneLossSetup()
        setup.fleet.segments = 40
        setup.fleet.partitions = 20
        setup.fleet.segmentBytes = 8 << 20
        setup.quiet = .seconds(5)
        setup.readsPerSecond = 1
        setup.writesPerSecond = 0.5
        change(&setup)
        return setup
    }

    @Test func aLostZoneIsRebuiltForLittleMoreThanItMustCost() {
        let figures = ZoneLossFigures.measure(small(), seed: 1)
        #expect(figures.isFull && figures.lost == 0)
        #expect(figures.lostShards > 0)
        #expect(figures.bytesMoved >= figures.leastBytes * 9 / 10)
        #expect(Double(figures.bytesMoved) <= 1.3 * Double(figures.leastBytes))
        // Those that bear two more losses wait for the storm to pass, the others do not.
        #expect(figures.secondsToSafety < 120)
        #expect(figures.secondsToFull > 3600)
    }

    @Test func oneSeedGivesOneResult() {
        #expect(
            ZoneLossFigures.measure(small(), seed: 2) == ZoneLossFigures.measure(small(), seed: 2))
    }
}

@Suite struct PlanTests {
    @Test func aPlanKnowsItsCodeItsRoomAndItsLimits() {
        var setup = NetworkPlan.Setup(peers: 9, zones: 3)
        setup.lossRate = 2
        setup.uptime = 0.9999
        let plan = NetworkPlan(setup)
        #expect(plan.code == Redundancy(dataShards: 4, parityShards: 2))
        // Six of nine disks hold all when a zone is gone; two thirds of that are content.
        let expected: Double = 4 * 0x1p40 * 0.95
        #expect(abs(Double(plan.usableBytes) / expected - 1) < 0.001)
        #expect(plan.survivesPeers == 2 && plan.survivesZones == 1)
        // Of six peers up 99.99 % of the time, three or more are down.
        #expect(abs(plan.unreadableShare / 2e-11 - 1) < 0.01)
        #expect(plan.lossesPerYear > 0)
        #expect(plan.repairHours.high < 24)
        #expect(plan.movingHours > 1)
    }

    @Test func morePeersLoseLess() {
        func plan(_ peers: Int, _ zones: Int) -> NetworkPlan {
            var setup = NetworkPlan.Setup(peers: peers, zones: zones)
            setup.uptime = 0.9999
            return NetworkPlan(setup)
        }
        let (small, large) = (plan(6, 1), plan(20, 4))
        #expect(large.code.shards == 14)
        #expect(
            large.lossesPerYear / Double(large.segments)
                < small.lossesPerYear / Double(small.segments))
        #expect(NetworkPlan(NetworkPlan.Setup(peers: 1, zones: 1)).repairHours.high == 0)
    }
}
