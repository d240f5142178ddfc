internal import CyxCore
package import CyxObjects

/// What audits do to peers that have lost nothing: years of restarts, outages, stalled disks and
/// clocks that are off, at the real outcomes, tracks and thresholds.
package struct HonestFigures: Sendable, Equatable {
    package struct Setup: Sendable {
        package var timings = AuditTimings.production
        package var limits = Standing.Limits()
        /// Clocks of peers and auditors are off by up to this, either way.
        package var clockError = Duration.seconds(5)
        /// Every such peer's disk is slow.
        package var slowEvery = 3
        /// Share of the time that a slow disk is stalled, and how long it is then, in seconds.
        package var stalledShare = 0.02
        package var stall: ClosedRange<Double> = 60...1200
        /// Restarts a year, and how long each takes, in seconds.
        package var restarts = 52.0
        package var restart: ClosedRange<Double> = 20...600
        /// Outages a year, and how long each lasts, in seconds.
        package var outages = 24.0
        package var outage: ClosedRange<Double> = 600...86_400
        /// Long ones, up to the days of grace. Two of them in one month would be more than the two
        /// fifths of it that a peer may be away.
        package var absences = 1.0
        package var absence: ClosedRange<Double> = (2 * 86_400)...(7 * 86_400)
        package init() {}
    }

    package var peerYears = 0
    package var audits = 0
    package var outcomes: [AuditOutcome: Int] = [:]
    /// Peers that were ever suspended or banned, by what for.
    package var penalties: [VerdictReason: Int] = [:]
    /// Peers that were ever warned, by what for.
    package var warnings: [VerdictReason: Int] = [:]
    package var leastWrongScore = 1.0
    package var leastUnknownScore = 1.0
    package var leastOnlineScore = 1.0

    package var penaltyCount: Int { penalties.values.reduce(0, +) }

    package static func measure(_ setup: Setup, peerYears: Int, seed: UInt64) -> HonestFigures {
        var figures = HonestFigures()
        var generator = SeededGenerator(seed: seed)
        for number in 0..<peerYears {
            var year = HonestYear(
                setup, isSlow: number % setup.slowEvery == 0, seed: generator.next())
            year.run(&figures)
            figures.peerYears += 1
        }
        return figures
    }
}

/// One peer's year, seen by its auditors.
private struct HonestYear {
    private let setup: HonestFigures.Setup
    private let isSlow: Bool
    private var generator: SeededGenerator
    /// Stretches of the year in seconds, ascending: not reachable, and reachable but stalled.
    private var absences: [ClosedRange<Double>] = []
    private var stalls: [ClosedRange<Double>] = []
    private var tallies: [UInt64: WindowTally] = [:]

    private static let year = 365 * 86_400.0

    init(_ setup: HonestFigures.Setup, isSlow: Bool, seed: UInt64) {
        self.setup = setup
        self.isSlow = isSlow
        generator = SeededGenerator(seed: seed)
        absences = HonestYear.merged(
            stretches(setup.restarts, setup.restart) + stretches(setup.outages, setup.outage)
                + stretches(setup.absences, setup.absence))
        if isSlow {
            let length = (setup.stall.lowerBound + setup.stall.upperBound) / 2
            stalls = HonestYear.merged(
                stretches(HonestYear.year * setup.stalledShare / length, setup.stall))
        }
    }

    /// Ascending and disjoint.
    private static func merged(_ stretches: [ClosedRange<Double>]) -> [ClosedRange<Double>] {
        stretches.sorted { $0.lowerBound < $1.lowerBound }.reduce(into: []) { merged, next in
            if let last = merged.last, last.upperBound >= next.lowerBound {
                merged[merged.count - 1] =
                    last.lowerBound...max(last.upperBound, next.upperBound)
            } else {
                merged.append(next)
            }
        }
    }

    /// The one of disjoint, ascending stretches that `time` lies in.
    private static func find(
        _ time: Double, in stretches: [ClosedRange<Double>]
    ) -> ClosedRange<Double>? {
        var low = 0
        var high = stretches.count
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].upperBound < time { low = middle + 1 } else { high = middle }
        }
        return low < stretches.count && stretches[low].contains(time) ? stretches[low] : nil
    }

    /// Stretches that begin at any time, about `count` of them.
    private mutating func stretches(
        _ count: Double, _ length: ClosedRange<Double>
    ) -> [ClosedRange<Double>] {
        (0..<Int(count.rounded())).map { _ in
            let start = Double.random(in: 0..<HonestYear.year, using: &generator)
            // Squared: short ones are more frequent.
            let share = Double.random(in: 0..<1, using: &generator)
            let span = length.upperBound - length.lowerBound
            return start...(start + length.lowerBound + share * share * span)
        }
    }

    mutating func run(_ figures: inout HonestFigures) {
        let timings = setup.timings
        let seconds = timings.period.inSeconds
        var standing = Standing(peer: PeerID(generator.digest()), limits: setup.limits)
        var penalised: VerdictReason?
        var warned: VerdictReason?
        var closed: UInt64 = 0
        for period in 1..<Int(HonestYear.year / seconds) {
            let point = generator.digest()
            let delay = AuditSchedule.delay(point, period: timings.period)
            // The auditor's clock decides when it begins, and which window it counts in.
            let error = setup.clockError.inSeconds
            let skew = Double.random(in: -error...error, using: &generator)
            let time = Double(period) * seconds + delay.inSeconds + skew
            let (outcome, end) = ask(at: time)
            let window = timings.window(
                at: WallTime(milliseconds: Int64((end + skew) * 1000)))
            tallies[window, default: WindowTally()].count(outcome)
            figures.audits += 1
            figures.outcomes[outcome, default: 0] += 1
            // A window is closed a period after its end.
            let now = timings.window(
                at: WallTime(milliseconds: Int64((Double(period) - 1) * seconds * 1000)))
            while closed + 1 < now {
                closed += 1
                standing.close(closed, tallies.removeValue(forKey: closed) ?? WindowTally())
                figures.leastWrongScore = min(figures.leastWrongScore, standing.wrong.score)
                figures.leastUnknownScore = min(figures.leastUnknownScore, standing.unknown.score)
                figures.leastOnlineScore = min(figures.leastOnlineScore, standing.onlineScore)
                let (verdict, reason) = standing.verdict
                if verdict >= .suspended { penalised = penalised ?? reason }
                if verdict == .warned { warned = warned ?? reason }
            }
        }
        if let penalised { figures.penalties[penalised, default: 0] += 1 }
        if let warned { figures.warnings[warned, default: 0] += 1 }
    }

    /// How the audit that begins at `time` ends, and when.
    private func ask(at time: Double) -> (AuditOutcome, Double) {
        var attempt = AuditAttempt(timings: setup.timings)
        var now = time
        while true {
            switch attempt.note(reply(at: now)) {
            case .finish(let outcome): return (outcome, now)
            case .ask(let pause): now += pause.inSeconds
            }
        }
    }

    private func reply(at time: Double) -> AuditReply {
        if HonestYear.find(time, in: absences) != nil { return .unreachable }
        // A stalled disk answers when the stall is over.
        if let stall = HonestYear.find(time, in: stalls),
            stall.upperBound - time > setup.timings.answer.inSeconds
        {
            return .silent
        }
        return .judged(.passed)
    }
}
