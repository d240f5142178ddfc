internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Audits that an operator asks for.
extension Auditor {
    /// Shards that one order may look at.
    package static let sampleMax = 10_000
    /// Of these, how many may be one peer's: half of what it answers at once.
    package static let sampledPerPeer = 16

    /// Audits up to `count` of the shards that this peer watches, drawn at random, a few at a time.
    /// What is found wrong is mended, and counts for nobody's standing: others can recheck only
    /// what a beacon drew.
    package func sample(_ count: Int) async -> [AuditRecord] {
        var shards = await repairer.watchedShards
        let period = timings.period(at: context.environment.wallTime())
        let beacon = context.environment.random.digest()
        // A partial shuffle (Fisher and Yates): the first `count` are a fair draw.
        let drawn = min(count, shards.count, Auditor.sampleMax)
        for index in 0..<drawn {
            let rest = UInt64(shards.count - index)
            let random = context.environment.random.digest().word0
            shards.swapAt(index, index + Int(random % rest))
        }
        let local = context.messaging.localPeer
        // By peer: a holder answers one at a time, and only so many to one asker.
        var turns: [[PlannedAudit]] = []
        var asked: [PeerID: Int] = [:]
        for shard in shards.prefix(drawn) where shard.entry.peer != local {
            let turn = asked[shard.entry.peer, default: 0]
            guard turn < Auditor.sampledPerPeer else { continue }
            asked[shard.entry.peer] = turn + 1
            if turns.count == turn { turns.append([]) }
            turns[turn].append(
                PlannedAudit(
                    challenge: AuditChallenge(period: period, beacon: beacon, shard: shard.shard),
                    entry: shard.entry, start: context.environment.now()))
        }
        var records: [AuditRecord] = []
        for turn in turns {
            var rest = turn[...]
            while !rest.isEmpty, !Task.isCancelled {
                let batch = rest.prefix(Auditor.concurrency)
                rest = rest.dropFirst(Auditor.concurrency)
                records += await withTaskGroup(of: AuditRecord?.self) { group in
                    for planned in batch { group.addTask { await self.askOnce(planned) } }
                    var records: [AuditRecord] = []
                    for await record in group { if let record { records.append(record) } }
                    return records
                }
            }
        }
        return records.sorted { ($0.shard, $0.peer) < ($1.shard, $1.peer) }
    }

    /// Nil when the rows could not be read. Somebody waits for the answer, hence no second try
    /// after minutes; the custodians look for themselves before they rebuild anything.
    private func askOnce(_ planned: PlannedAudit) async -> AuditRecord? {
        let shard = planned.challenge.shard
        do {
            let outcome = try await outcome(of: planned)
            if outcome == .wrong {
                _ = await context.report(
                    shard.segment, suspect: planned.entry.peer, index: shard.index)
            }
            let record = AuditRecord(
                time: context.environment.wallTime(), shard: shard, peer: planned.entry.peer,
                outcome: outcome)
            remember(record)
            return record
        } catch { return nil }
    }

    private func outcome(of planned: PlannedAudit) async throws -> AuditOutcome {
        guard let subject = try await subject(planned) else { return .void }
        switch try await ask(planned, subject).0 {
        case .judged(.passed): return .passed
        case .judged(.deleted): return .void
        case .judged(.wrong), .judged(.missing):
            return try await self.subject(planned) == nil ? .void : .wrong
        case .judged: return .unknown
        case .unreachable: return .offline
        case .silent: return .unknown
        }
    }
}
