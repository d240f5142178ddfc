internal import CyxObjects

/// `simulate audits`: what audits find, and what they do to the honest.
enum AuditFigures {
    /// A peer that lost 5 % must be found within 7 days with more than this probability (B6).
    private static let foundShare = 0.98
    private static let trials = 2000
    private static let peerYears = 1000

    static func run(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        var holds = true
        for (shards, claim) in [(200, 1.0), (2000, 1), (20_000, 1), (200, 100)] {
            var setup = LossFigures.Setup()
            setup.peers = claim == 1 ? peers : 20
            setup.shards = shards
            setup.claim = claim
            let figures = LossFigures.measure(
                setup, trials: shards > 2000 ? trials / 10 : trials, seed: seed)
            holds = holds && figures.share > foundShare && figures.auditsPerDay >= 12
            print(
                "\(setup.peers) peers; one with \(shards) shards"
                    + (claim == 1 ? "" : " that claims \(Int(claim)) times as many")
                    + ", up \(percent(setup.uptime)) of the "
                    + "time, lost \(percent(setup.lostShare)): found within \(setup.days) days in "
                    + "\(figures.found) of \(figures.trials) trials "
                    + "(\(percent(figures.share))), \(days(figures.daysToFind)); "
                    + "\(tenths(figures.auditsPerDay)) audits a day, "
                    + "at least \(figures.leastPerDay)")
        }
        for (share, isRepaired) in [(0.05, false), (0.2, false), (1.0, false)] {
            var setup = LossFigures.Setup()
            setup.peers = peers
            setup.lostShare = share
            setup.isRepaired = isRepaired
            setup.days = 30
            let figures = LossFigures.measure(setup, trials: 200, seed: seed)
            print(
                "one that lost \(percent(share)) and of which nothing is repaired: banned within "
                    + "\(setup.days) days in \(figures.daysToBan.count) of \(figures.trials) "
                    + "trials, \(days(figures.daysToBan))")
        }
        let honest = HonestFigures.measure(
            HonestFigures.Setup(), peerYears: peerYears, seed: seed)
        holds = holds && honest.penaltyCount == 0 && honest.outcomes[.wrong] == nil
        print(
            "\(honest.peerYears) honest peer-years, each with 52 restarts, 24 outages of up to a "
                + "day and one of up to 7 days, every "
                + "third disk stalled 2 % of the time, clocks 5 s off: \(honest.audits) audits, "
                + "\(honest.outcomes[.unknown] ?? 0) unknown, "
                + "\(honest.outcomes[.offline] ?? 0) offline, "
                + "\(honest.outcomes[.wrong] ?? 0) wrong; \(honest.penaltyCount) penalties, "
                + "\(honest.warnings[.offline] ?? 0) warned for absence, "
                + "\(honest.warnings[.unknown] ?? 0) for silence; least scores: wrong "
                + "\(tenths(honest.leastWrongScore * 100)) %, unknown "
                + "\(tenths(honest.leastUnknownScore * 100)) %, online "
                + "\(tenths(honest.leastOnlineScore * 100)) %")
        return holds
    }

    private static func days(_ sorted: [Double]) -> String {
        guard !sorted.isEmpty else { return "never" }
        func at(_ share: Double) -> String {
            tenths(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])
        }
        return "after p50 \(at(0.5)), p99 \(at(0.99)) days"
    }

    private static func percent(_ share: Double) -> String { "\(tenths(share * 100)) %" }

    private static func tenths(_ value: Double) -> String {
        let scaled = Int((value * 100).rounded())
        let rest = scaled % 100
        return "\(scaled / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
