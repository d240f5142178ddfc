package import CyxCore
package import CyxObjects

/// How soon audits find a peer that lost some of its shards: the real choice of points, shards and
/// outcomes, over random placements.
package struct LossFigures: Sendable, Equatable {
    package struct Setup: Sendable {
        /// Peers of the network; they are the custodians.
        package var peers = 100
        package var partitionBits = 8
        /// Shards of the peer that is audited.
        package var shards = 2000
        package var lostShare = 0.05
        /// How many it says that it has, as a multiple of the truth.
        package var claim = 1.0
        /// How much of the time the peer can be reached.
        package var uptime = 0.95
        /// Whether what is found missing is rebuilt elsewhere at once, as repair does.
        package var isRepaired = true
        package var days = 7
        package var timings = AuditTimings.production
        /// Which of a partition's shards is audited; a test puts a biased choice here.
        package var pick: @Sendable ([ShardID], Digest, Int) -> ShardID? = AuditSchedule.pick
        /// Which shards the peer rather loses, if it may choose.
        package var rather: @Sendable (ShardID) -> Bool = { _ in true }
        package init() {}
    }

    package var trials = 0
    /// Trials in which a loss was proven in time.
    package var found = 0
    /// Days until then, of those.
    package var daysToFind: [Double] = []
    /// Days until the ban, of those that were banned in time.
    package var daysToBan: [Double] = []
    package var audits = 0
    /// Of all days of all trials before the loss was found, the one with the fewest audits.
    package var leastPerDay = Int.max
    package var days = 0

    package var share: Double { Double(found) / Double(max(1, trials)) }
    package var auditsPerDay: Double { Double(audits) / Double(max(1, days)) }

    package static func measure(_ setup: Setup, trials: Int, seed: UInt64) -> LossFigures {
        var figures = LossFigures()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<trials {
            var trial = LossTrial(setup, &generator)
            trial.run()
            figures.trials += 1
            // Days before the loss was found: from then on the peer is looked at more closely.
            let usual = trial.perDay.prefix(trial.foundAfter.map { Int($0) } ?? setup.days)
            figures.audits += usual.reduce(0, +)
            figures.days += usual.count
            figures.leastPerDay = min(figures.leastPerDay, usual.min() ?? .max)
            if let day = trial.foundAfter {
                figures.found += 1
                figures.daysToFind.append(day)
            }
            if let day = trial.bannedAfter { figures.daysToBan.append(day) }
        }
        figures.daysToFind.sort()
        figures.daysToBan.sort()
        return figures
    }
}

/// One network, one peer, some days.
private struct LossTrial {
    private let setup: LossFigures.Setup
    private var generator: SeededGenerator
    private let peer: PeerID
    private var shards: [UInt64: [ShardID]] = [:]
    private var lost: Set<ShardID> = []
    /// Of each partition, who audits it, by rank.
    private var auditors: [[Int]] = []
    /// By auditor: how many partitions it watches, and in how many of them the peer has shards.
    private var watched: [Int: (all: Int, covered: Int)] = [:]
    private var standing: Standing
    private var tally = WindowTally()

    private(set) var foundAfter: Double?
    private(set) var bannedAfter: Double?
    private(set) var perDay: [Int]

    init(_ setup: LossFigures.Setup, _ seeds: inout SeededGenerator) {
        self.setup = setup
        generator = SeededGenerator(seed: seeds.next())
        peer = PeerID(generator.digest())
        standing = Standing(peer: peer)
        perDay = Array(repeating: 0, count: setup.days)
        var all: [ShardID] = []
        for _ in 0..<setup.shards {
            let shard = ShardID(
                segment: SegmentID(generator.digest()),
                index: Int.random(in: 0..<14, using: &generator))
            all.append(shard)
            shards[shard.segment.digest.prefix(bits: setup.partitionBits), default: []]
                .append(shard)
        }
        all.shuffle(using: &generator)
        let count = (Double(setup.shards) * setup.lostShare).rounded(.up)
        lost = Set((all.filter(setup.rather) + all).prefix(Int(count)))
        for partition in 0..<1 << setup.partitionBits {
            var ranks: [Int] = []
            while ranks.count < min(AuditSchedule.auditors, setup.peers) {
                let auditor = Int.random(in: 0..<setup.peers, using: &generator)
                if !ranks.contains(auditor) { ranks.append(auditor) }
            }
            auditors.append(ranks)
            let isCovered = shards[UInt64(partition)] != nil
            for auditor in ranks {
                watched[auditor, default: (0, 0)].all += 1
                if isCovered { watched[auditor, default: (0, 0)].covered += 1 }
            }
        }
    }

    mutating func run() {
        let timings = setup.timings
        let perWindow = Int(timings.window.nanoseconds / timings.period.nanoseconds)
        let perDay = Int(86_400 / timings.period.inSeconds)
        for period in 0..<setup.days * perDay {
            audit(period, beacon: generator.digest(), day: period / perDay)
            guard (period + 1) % perWindow == 0 else { continue }
            standing.close(UInt64((period + 1) / perWindow), tally)
            tally = WindowTally()
            if bannedAfter == nil, standing.verdict.verdict == .banned {
                bannedAfter = Double(period + 1) / Double(perDay)
            }
        }
    }

    private mutating func audit(_ period: Int, beacon: Digest, day: Int) {
        let isWarned = foundAfter != nil || standing.verdict.verdict >= .warned
        let most = watched.values.map { points($0, isWarned) }.max() ?? 0
        for slot in 0..<most {
            let point = AuditSchedule.point(peer, beacon, slot: slot)
            let partition = point.prefix(bits: setup.partitionBits)
            guard let here = shards[partition], !here.isEmpty else { continue }
            let ranks = auditors[Int(partition)]
            let auditor = ranks[AuditSchedule.turn(point, among: ranks.count)]
            guard slot < points(watched[auditor] ?? (0, 0), isWarned),
                let shard = setup.pick(here, beacon, slot)
            else { continue }
            perDay[day] += 1
            let outcome = ask(shard)
            tally.count(outcome)
            guard outcome == .wrong else { continue }
            if foundAfter == nil {
                let delay = AuditSchedule.delay(point, period: setup.timings.period)
                let retries = setup.timings.retry * (AuditAttempt.questions - 1)
                foundAfter =
                    (Double(period) * setup.timings.period.inSeconds + (delay + retries).inSeconds)
                    / 86_400
            }
            if setup.isRepaired {
                lost.remove(shard)
                shards[partition]?.removeAll { $0 == shard }
            }
        }
    }

    private func points(_ watched: (all: Int, covered: Int), _ isWarned: Bool) -> Int {
        let claimed = Int(Double(setup.shards) * setup.claim)
        return AuditSchedule.points(
            AuditSchedule.Spread(
                bits: setup.partitionBits, claimed: claimed, watched: watched.all,
                covered: watched.covered),
            isWarned: isWarned)
    }

    private mutating func ask(_ shard: ShardID) -> AuditOutcome {
        var attempt = AuditAttempt(timings: setup.timings)
        while true {
            let isUp = Double.random(in: 0..<1, using: &generator) < setup.uptime
            let reply: AuditReply =
                isUp ? .judged(lost.contains(shard) ? .missing : .passed) : .unreachable
            if case .finish(let outcome) = attempt.note(reply) { return outcome }
        }
    }
}
