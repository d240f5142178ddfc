internal import CyxCore
internal import CyxDurability
internal import CyxObjects

/// `simulate durability`: a year of losses beside the closed-form models (`DurabilityModel`).
///
/// Losses of segments are far too rare to be seen in a year at the rate that is expected of peers.
/// So each row counts how often a segment came to miss one, two, three and more shards at once, and
/// compares every count with the model's: at the real rate the first of them can be seen, at harsher
/// ones also the last.
enum DurabilityTable {
    private struct Row {
        var name: String
        var setup: DurabilitySetup
        /// The model counts more than there are, up to `boundSlack` times: it is only a bound.
        var isBound = false
    }

    /// A simulated count may differ from the model's by so many standard deviations, and by this
    /// share for what the model leaves out.
    private static let deviations = 3.0
    private static let tolerance = 0.15
    private static let boundSlack = 4.0
    /// Hours of the epochs of Weatherspoon and Kubiatowicz that are printed beside.
    private static let epoch = 24.0

    static func run(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var holds = true
        for row in [
            window("a window of 24 h", hours: 24, peers, lossRate: 0.2, segments: 10_000),
            window("a window of 24 h", hours: 24, peers, lossRate: 20, segments: 1000, years: 0.25),
            window("a window of 7 days", hours: 168, peers, lossRate: 3, segments: 1000),
            hasty(min(peers, 200)),
        ] {
            holds = compare(row, seed, print) && holds
        }
        return year(peers, seed, print) && holds
    }

    /// All is rebuilt so many hours after the first loss, however many are missing: the rule of the
    /// closed form, without B4's haste.
    private static func window(
        _ name: String, hours: Int64, _ peers: Int, lossRate: Double, segments: Int,
        years: Double = 1
    ) -> Row {
        var setup = DurabilitySetup()
        setup.fleet.peers = peers
        setup.fleet.segments = segments
        setup.lossRate = lossRate
        setup.years = years
        setup.fleet.limits = unbounded
        let wait = Duration.seconds(hours * 3600)
        setup.fleet.timings.delays = (wait, wait, wait)
        return Row(name: name, setup: setup)
    }

    /// B4's waits, with rebuilds that take an hour, so that some come late. Then much is lost during
    /// rebuilds, which the model has made good by their end or lost with the segment: it begins more
    /// episodes than there are, and has what is lost during a rebuild wait for a whole one.
    private static func hasty(_ peers: Int) -> Row {
        var setup = DurabilitySetup()
        setup.fleet.peers = peers
        setup.fleet.segments = 400
        setup.lossRate = 60
        setup.years = 0.25
        setup.overhead = .seconds(3600)
        setup.fleet.limits = unbounded
        setup.fleet.timings.claim = .seconds(2 * 3600)
        return Row(name: "the waits of B4, rebuilds of an hour", setup: setup, isBound: true)
    }

    /// Nothing waits for another rebuild: the model does not know of queues.
    private static var unbounded: RepairLimits {
        var limits = RepairLimits()
        limits.endangered = 1000
        limits.ordinary = 1000
        return limits
    }

    private static func compare(
        _ row: Row, _ seed: UInt64, _ print: (String) -> Void
    ) -> Bool {
        let setup = row.setup
        let figures = DurabilityFigures.measure(setup, seed: seed)
        let model = setup.model
        let code = setup.fleet.code
        print(
            "\(row.name), \(ProtocolFigures.percent(setup.lossRate)) of \(setup.fleet.peers) peers "
                + "lost a year, \(code): \(figures.peersLost) peers lost in "
                + "\(Int(figures.segmentYears)) segment-years, \(figures.rebuiltShards) shards rebuilt"
        )
        printWindows(figures, print)
        var holds = true
        var counts: [String] = []
        for missing in 1...code.parityShards + 1 {
            let count = figures.episodes(reaching: missing)
            let expected = model.episodesPerYear(reaching: missing) * figures.segmentYears
            let name = missing > code.parityShards ? "lost" : "missing \(missing)"
            let text = expected < 100 ? RareRate.text(expected) : "\(Int(expected))"
            counts.append("\(name) \(count) (\(text))")
            holds = isNear(count, expected, missing, row) && holds
        }
        print("  times that a segment came to be, and the model: " + counts.joined(separator: ", "))
        let epochs = DurabilityModel.epochs(code: code, lossRate: setup.lossRate, hours: epoch)
        print(
            "  at risk (one more loss or none) \(RareRate.text(figures.atRiskShare)) of the time, "
                + "the model \(RareRate.text(model.share(missing: code.parityShards - 1))); losses a "
                + "segment-year \(RareRate.text(figures.lossesPerSegmentYear)), the model "
                + "\(RareRate.text(model.lossesPerYear)), epochs of 24 h \(RareRate.text(epochs))")
        return holds
    }

    /// Whether a count can be one of the model's. One group of lost peers takes as many segments at
    /// once as all of them hold, so counts come in lumps of that size.
    private static func isNear(
        _ count: Int, _ expected: Double, _ missing: Int, _ row: Row
    ) -> Bool {
        let fleet = row.setup.fleet
        var lump = Double(fleet.segments)
        for number in 0..<missing {
            lump *= Double(fleet.code.shards - number) / Double(fleet.peers - number)
        }
        let deviation = (expected * (1 + lump)).squareRoot()
        // What happens once in a while may happen once.
        let slack = tolerance * expected + deviations * deviation + 1
        let least = row.isBound ? expected / boundSlack : expected
        return Double(count) <= expected + slack && Double(count) >= least - slack
    }

    /// The network as it is meant to be: B4's waits and limits, and peers that restart and have bad
    /// days, which the model does not know. A tenth of a year, since 26,000 outages a year, almost all
    /// of which cost nothing, are most of the work.
    private static func year(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var setup = DurabilitySetup()
        setup.fleet.peers = peers
        setup.fleet.segments = 1000
        setup.downsPerYear = 26
        setup.years = 0.1
        let figures = DurabilityFigures.measure(setup, seed: seed)
        let code = setup.fleet.code
        print(
            "the waits of B4, 20 % of \(peers) peers lost a year, each down 26 times for 3 h in the "
                + "mean, \(code): \(figures.peersLost) peers lost, \(figures.peersDown) times down, "
                + "\(figures.rebuiltShards) shards rebuilt in \(Int(figures.segmentYears)) "
                + "segment-years")
        printWindows(figures, print)
        let asleep = code.unreadableShare(uptime: setup.uptime)
        print(
            "  \(figures.losses) segments lost, the model without outages "
                + "\(RareRate.text(setup.model.lossesPerYear)) a segment-year; at risk "
                + "\(RareRate.text(figures.atRiskShare)) of the time; unreadable "
                + "\(RareRate.text(figures.unreadableShare)), the binomial without repair "
                + "\(RareRate.text(asleep))")
        return figures.losses == 0 && figures.window(0.99) <= 25
    }

    private static func printWindows(_ figures: DurabilityFigures, _ print: (String) -> Void) {
        let hours = { (share: Double) in ProtocolFigures.rounded(figures.window(share)) }
        print(
            "  repair windows p50 \(hours(0.5)) h, p90 \(hours(0.9)) h, p99 \(hours(0.99)) h, most "
                + "\(ProtocolFigures.rounded(figures.windows.last ?? 0)) h")
    }
}
