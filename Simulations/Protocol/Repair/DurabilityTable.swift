internal import CyxCore
internal import CyxDurability
internal import CyxObjects

/// `simulate durability`: years of losses beside the closed-form models (`DurabilityModel`).
enum DurabilityTable {
    /// A simulated rate may differ from the model's by so many standard deviations of the count, and
    /// by this share for what the model leaves out.
    private static let deviations = 3.0
    private static let tolerance = 0.15
    private static let seeds: UInt64 = 3

    static func run(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var holds = year(peers, seed, print)
        holds = window(peers, seed, print) && holds
        holds = hasty(peers, seed, print) && holds
        return holds
    }

    private static func measure(_ setup: DurabilitySetup, _ seed: UInt64) -> DurabilityFigures {
        var figures = DurabilityFigures.measure(setup, seed: seed)
        for number in 1..<seeds { figures.add(.measure(setup, seed: seed + number)) }
        return figures
    }

    /// The network as it is meant to be: B4's waits, peers that restart and have bad days.
    private static func year(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var setup = DurabilitySetup()
        setup.fleet.peers = peers
        setup.fleet.segments = 1000
        setup.downsPerYear = 26
        let figures = measure(setup, seed)
        let code = setup.fleet.code
        let epochs = { (hours: Double) in
            DurabilityModel.epochs(code: code, lossRate: setup.lossRate, hours: hours)
        }
        print(
            "\(seeds) years of \(peers) peers, 20 % lost a year, each down 26 times a year for 3 h "
                + "in the mean, \(code), the waits of B4: \(figures.peersLost) peers lost, "
                + "\(figures.peersDown) times down, \(figures.rebuiltShards) shards rebuilt in "
                + "\(figures.rebuilds) rebuilds")
        print(
            "  \(figures.losses) of \(Int(figures.segmentYears)) segment-years lost; the model gives "
                + "\(RareRate.text(setup.model.lossesPerYear)) a segment-year; epochs of 24 h "
                + "\(RareRate.text(epochs(24))), of 7 days \(RareRate.text(epochs(168)))")
        print(
            "  repair windows p50 \(rounded(figures.window(0.5))) h, p90 "
                + "\(rounded(figures.window(0.9))) h, p99 \(rounded(figures.window(0.99))) h, most "
                + "\(rounded(figures.windows.last ?? 0)) h; at risk (one more loss or none) "
                + "\(RareRate.text(figures.atRiskShare)) of the time, unreadable "
                + "\(RareRate.text(figures.unreadableShare))")
        return figures.losses == 0 && figures.window(0.99) <= 25
    }

    /// A fixed window of 24 hours, and peers that are lost 50 times as often.
    private static func window(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var setup = DurabilitySetup()
        setup.fleet.peers = peers
        setup.fleet.segments = 1000
        setup.lossRate = 10
        setup.fleet.limits = RepairLimits()
        let day = Duration.seconds(24 * 3600)
        setup.fleet.timings.delays = (day, day, day)
        return compare(
            "a window of 24 h after the first loss, 10 losses a year", setup, seed, print)
    }

    /// B4's waits, with losses 300 times as often and rebuilds of an hour, so that some come late.
    private static func hasty(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var setup = DurabilitySetup()
        setup.fleet.peers = min(peers, 200)
        setup.fleet.segments = 400
        setup.lossRate = 60
        setup.overhead = .seconds(3600)
        setup.fleet.limits = RepairLimits()
        setup.fleet.limits.endangered = 100
        setup.fleet.limits.ordinary = 100
        setup.fleet.timings.claim = .seconds(2 * 3600)
        return compare("the waits of B4, 60 losses a year, rebuilds of an hour", setup, seed, print)
    }

    private static func compare(
        _ name: String, _ setup: DurabilitySetup, _ seed: UInt64, _ print: (String) -> Void
    ) -> Bool {
        let figures = measure(setup, seed)
        let model = setup.model.lossesPerYear
        let expected = model * figures.segmentYears
        let epochs = DurabilityModel.epochs(
            code: setup.fleet.code, lossRate: setup.lossRate, hours: 24)
        print(
            "\(name), \(setup.fleet.peers) peers, \(Int(figures.segmentYears)) segment-years: "
                + "\(figures.losses) lost, the model expects \(rounded(expected)), here "
                + "\(rounded(Double(figures.losses) / expected)) of that (epochs of 24 h: "
                + "\(rounded(epochs * figures.segmentYears))); windows p50 "
                + "\(rounded(figures.window(0.5))) h, p99 \(rounded(figures.window(0.99))) h")
        let slack = tolerance * expected + deviations * expected.squareRoot()
        return figures.losses > 0 && abs(Double(figures.losses) - expected) <= slack
    }

    private static func rounded(_ value: Double) -> String { ProtocolFigures.rounded(value) }
}
