import CyxDurability
import CyxObjects
import Testing

@Suite struct ModelTests {
    private let code = Redundancy(dataShards: 10, parityShards: 4)

    @Test func binomialTailsAreThoseOfTheTables() {
        // Abramowitz and Stegun's way to write them: P[X ≥ 2] of 10 at 0.1 is 0.26390.
        #expect(abs(Binomial.atLeast(2, of: 10, chance: 0.1) - 0.263_901_070_9) < 1e-9)
        #expect(Binomial.atLeast(0, of: 5, chance: 0.3) == 1)
        #expect(Binomial.atLeast(6, of: 5, chance: 0.3) == 0)
        // C(14, 5) p⁵ for a p so small that 1 − P[X ≤ 4] would be none.
        let tiny = Binomial.atLeast(5, of: 14, chance: 1e-6)
        #expect(abs(tiny / 2.002e-27 - 1) < 1e-4)
    }

    @Test func tenOfFourteenUpNinetyPercentOfTheTimeIsUnreadableNinePerMille() {
        #expect(abs(Binomial.atLeast(5, of: 14, chance: 0.1) - 0.0092) < 0.0001)
    }

    /// The figures that the project has set out from: 4e-11 losses per segment-year at a window of a
    /// day, 8e-8 at seven.
    @Test func epochsGiveThePublishedFigures() {
        let day = DurabilityModel.epochs(code: code, lossRate: 0.2, hours: 24)
        #expect(abs(day / 3.6e-11 - 1) < 0.02)
        let week = DurabilityModel.epochs(code: code, lossRate: 0.2, hours: 7 * 24)
        #expect(abs(week / 8.4e-8 - 1) < 0.03)
    }

    /// With one wait for all, the chain is what a binomial says at once: the first loss opens a
    /// window in which four more of the other thirteen are too many.
    @Test(arguments: [0.2, 2, 10])
    func theChainIsTheBinomialWhereAllWaitsAreOne(rate: Double) {
        let model = DurabilityModel(
            code: code, lossRate: rate, waits: [24, 24, 24, 24], rebuild: 1e-6)
        let hourly = rate / DurabilityModel.hoursPerYear
        // 1 − e^(−x) by its series, for what the test itself computes.
        let x = hourly * 24
        let chance = x - x * x / 2 + x * x * x / 6 - x * x * x * x / 24
        let expected = Binomial.atLeast(4, of: 13, chance: chance)
        #expect(abs(model.afterFirstLoss(until: 5).chance / expected - 1) < 0.01)
    }

    /// Of the other thirteen, as many as are wanted beside the first within the window; and hours that
    /// miss any are those of the windows.
    @Test(arguments: [2, 3, 4])
    func fewerMissingAtOnceAreTheBinomialToo(missing: Int) {
        let model = DurabilityModel(
            code: code, lossRate: 2, waits: [24, 24, 24, 24], rebuild: 1e-6)
        let x = 2 / DurabilityModel.hoursPerYear * 24
        let chance = x - x * x / 2 + x * x * x / 6
        let expected = Binomial.atLeast(missing - 1, of: 13, chance: chance)
        let found = model.afterFirstLoss(until: missing)
        #expect(abs(found.chance / expected - 1) < 0.01)
        #expect(abs(model.afterFirstLoss(until: 5).hours / 24 - 1) < 0.001)
        let windows = model.episodesPerYear(reaching: 1)
        #expect(abs(model.share(missing: 1) / (windows * 24 / 8766) - 1) < 0.001)
        #expect(abs(model.episodesPerYear(reaching: missing) / windows / expected - 1) < 0.01)
    }

    /// Two copies, the classic: μ the rebuild's speed, λ the rate; lost with λ/(λ+μ) ≈ λT.
    @Test func mirrorsAreLostAsOftenAsTheTextbookSays() {
        let mirror = Redundancy(dataShards: 1, parityShards: 1)
        let model = DurabilityModel(code: mirror, lossRate: 0.1, waits: [0], rebuild: 10)
        let expected = 2 * 0.1 * 0.1 * 10 / DurabilityModel.hoursPerYear
        #expect(abs(model.lossesPerYear / expected - 1) < 0.001)
    }

    @Test func waitingLessLosesLess() {
        let eager = DurabilityModel(
            code: code, lossRate: 0.2, timings: .production, rebuild: 0.1)
        let fixed = DurabilityModel(
            code: code, lossRate: 0.2, waits: [24, 24, 24, 24], rebuild: 0.1)
        #expect(eager.lossesPerYear < fixed.lossesPerYear / 1e4)
    }
}
