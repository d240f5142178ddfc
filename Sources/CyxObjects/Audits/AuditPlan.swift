internal import CyxCore

/// An audit that is due in a period.
struct PlannedAudit: Hashable, Sendable {
    var challenge: AuditChallenge
    var entry: HolderEntry
    var start: Instant
}

/// A shard that a custodian watches, and who holds it.
package struct WatchedShard: Hashable, Sendable {
    package var shard: ShardID
    package var entry: HolderEntry
    /// Of the whole file.
    package var fileBytes: Int
}

/// What one auditor has to do in one period. A machine: shards and a beacon in, audits out.
struct AuditPlan: Sendable {
    let period: UInt64
    let beacon: Digest
    let bits: Int
    /// Partitions that the auditor watches, with or without shards.
    let watched: Int
    private var peers: [PeerID: [UInt64: [ShardID]]] = [:]
    private var entries: [ShardID: [PeerID: HolderEntry]] = [:]
    private let shardBytes: UInt64

    init(period: UInt64, beacon: Digest, bits: Int, watched: Int, shards: [WatchedShard]) {
        self.period = period
        self.beacon = beacon
        self.bits = bits
        self.watched = watched
        for shard in shards {
            let prefix = shard.shard.segment.digest.prefix(bits: bits)
            peers[shard.entry.peer, default: [:]][prefix, default: []].append(shard.shard)
            entries[shard.shard, default: [:]][shard.entry.peer] = shard.entry
        }
        let total = shards.reduce(UInt64(0)) { $0 + UInt64($1.fileBytes) }
        shardBytes = max(1, total / UInt64(max(1, shards.count)))
    }

    /// The prefixes of partitions in which something may be due.
    var prefixes: Set<UInt64> { Set(peers.values.flatMap(\.keys)) }

    /// The audits that fall to `local`. `custodians`: of each partition, those that can be reached,
    /// by rank; nobody audits itself. `usedBytes`: what a peer says that it uses.
    func audits(
        by local: PeerID, custodians: [UInt64: [PeerID]], warned: Set<PeerID>,
        usedBytes: [PeerID: UInt64], start: Instant, timings: AuditTimings
    ) -> [PlannedAudit] {
        var planned: [PlannedAudit] = []
        for peer in peers.keys.sorted() {
            let shards = peers[peer] ?? [:]
            let spread = AuditSchedule.Spread(
                bits: bits, claimed: Int(clamping: (usedBytes[peer] ?? 0) / shardBytes),
                watched: watched, covered: shards.count)
            let points = AuditSchedule.points(spread, isWarned: warned.contains(peer))
            for slot in 0..<points {
                let point = AuditSchedule.point(peer, beacon, slot: slot)
                let prefix = point.prefix(bits: bits)
                guard let here = shards[prefix], let ranks = custodians[prefix] else { continue }
                let auditors = ranks.prefix(AuditSchedule.auditors).filter { $0 != peer }
                guard !auditors.isEmpty,
                    auditors[AuditSchedule.turn(point, among: auditors.count)] == local,
                    let shard = AuditSchedule.pick(here, beacon, slot: slot),
                    let entry = entries[shard]?[peer]
                else { continue }
                planned.append(
                    PlannedAudit(
                        challenge: AuditChallenge(
                            period: period, beacon: beacon, shard: shard, round: UInt32(slot)),
                        entry: entry,
                        start: start + AuditSchedule.delay(point, period: timings.period)))
            }
        }
        return planned.sorted { $0.start < $1.start }
    }
}
