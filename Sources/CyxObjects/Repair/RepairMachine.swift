internal import CyxCore

/// How the segments are doing of which a peer is the first reachable custodian. Summed over all
/// peers it is true of the network.
package struct RepairStatus: Equatable, Sendable {
    package var segments = 0
    /// All n shards have a reachable holder.
    package var full = 0
    /// Some are missing, and more than one more may go.
    package var degraded = 0
    /// One more loss, or none, can be borne.
    package var atRisk = 0
    /// Fewer than k shards are reachable.
    package var lost = 0
    /// Of those that are not full, how many this peer rebuilds or will.
    package var queued = 0
    package var repairedBytes: UInt64 = 0
    /// Whether this peer has looked at all that it watches since members or custodians changed;
    /// until then the counts are of before.
    package var isCurrent = false
    package init() {}
}

/// Which segments miss shards, since when, and which of them is to be rebuilt next (B4). A machine.
package struct RepairMachine: Sendable {
    struct Segment: Sendable {
        var shape: SegmentShape
        var signedCore: [UInt8]
        var entries: [HolderEntry]
        /// Entries that do not count, since their holder signed no receipt: retired with the next
        /// rebuild of their index.
        var forged: Set<HolderEntry> = []
        /// Entries whose shard was found to be wrong or gone.
        var bad: Set<HolderEntry> = []
        /// Whose shards were found so, the latest last, also after those were replaced: or two
        /// such peers would be given the same shard in turns.
        var distrusted: [PeerID] = []
        /// Place among the reachable custodians.
        var rank: Int
        var firstSeen: Instant
        var loaded: Instant
        var missingSince: Instant?
        var isUrgent = false
        var isRunning = false
        /// After a failed try.
        var retryAt: Instant?
        var failures = 0

        mutating func distrust(_ peer: PeerID) {
            distrusted.removeAll { $0 == peer }
            if distrusted.count == RepairMachine.distrustedPeers { distrusted.removeFirst() }
            distrusted.append(peer)
        }
    }

    private let timings: RepairTimings
    /// First pause after a repair that did not succeed; doubles up to 64 times that.
    private static let retryPause = Duration.seconds(1)
    /// Peers that are remembered per segment as having had a bad shard.
    static let distrustedPeers = 32

    private(set) var segments: [SegmentID: Segment] = [:]
    /// Storage peers that are reachable or away, and the store that each has now.
    private var live: [PeerID: StoreID] = [:]
    /// Those of them that announced maintenance: nothing can be read from them, but they come back.
    private var away: Set<PeerID> = []

    init(timings: RepairTimings) {
        self.timings = timings
    }

    // MARK: Inputs

    mutating func setLive(
        _ live: [PeerID: StoreID], away: Set<PeerID> = [], now: Instant
    ) {
        guard live != self.live || away != self.away else { return }
        self.live = live
        self.away = away
        for id in segments.keys {
            segments[id]?.retryAt = nil
            segments[id]?.failures = 0
            review(id, now)
        }
    }

    mutating func setRank(_ id: SegmentID, _ rank: Int) { segments[id]?.rank = rank }

    mutating func load(
        _ shape: SegmentShape, _ signedCore: [UInt8], _ entries: [HolderEntry],
        forged: Set<HolderEntry> = [], rank: Int, now: Instant
    ) {
        let id = shape.id
        var segment =
            segments[id]
            ?? Segment(
                shape: shape, signedCore: signedCore, entries: [], rank: rank, firstSeen: now,
                loaded: now)
        segment.entries = entries
        segment.forged = forged
        segment.rank = rank
        segment.loaded = now
        segment.bad.formIntersection(entries)
        segments[id] = segment
        review(id, now)
    }

    mutating func remove(_ id: SegmentID) {
        if segments[id]?.isRunning == false { segments[id] = nil }
    }

    /// A shard was checked and is not what it should be.
    mutating func markBad(_ id: SegmentID, index: Int, peer: PeerID, now: Instant) {
        guard let segment = segments[id] else { return }
        let entries = segment.entries.filter { $0.index == index && $0.peer == peer }
        segments[id]?.bad.formUnion(entries)
        if !entries.isEmpty { segments[id]?.distrust(peer) }
        segments[id]?.isUrgent = true
        review(id, now)
    }

    /// Somebody says that the placement is incomplete: look now.
    mutating func hasten(_ id: SegmentID) { segments[id]?.isUrgent = true }

    mutating func begin(_ id: SegmentID) { segments[id]?.isRunning = true }

    mutating func end(_ id: SegmentID, succeeded: Bool, now: Instant) {
        segments[id]?.isRunning = false
        guard let failures = segments[id]?.failures else { return }
        if succeeded {
            segments[id]?.failures = 0
            segments[id]?.retryAt = nil
            segments[id]?.isUrgent = false
        } else {
            segments[id]?.failures = failures + 1
            segments[id]?.retryAt = now + RepairMachine.retryPause * (1 << min(failures, 6))
        }
    }

    // MARK: Health

    /// Entries whose holder is reachable, with the store it had, and not known to be bad.
    func good(_ segment: Segment) -> [HolderEntry] {
        expected(segment).filter { !away.contains($0.peer) }
    }

    /// Those and the entries whose holder is off for maintenance.
    private func expected(_ segment: Segment) -> [HolderEntry] {
        segment.entries.filter { live[$0.peer] == $0.store && !segment.bad.contains($0) }
    }

    /// Shards to rebuild. Those of holders that are away are waited for, unless without them the
    /// segment could bear no further loss: an announcement must not cost data.
    func missing(_ segment: Segment) -> [Int] {
        let isThin = margin(segment) <= 0
        let present = Set((isThin ? good(segment) : expected(segment)).map(\.index))
        return (0..<segment.shape.code.shards).filter { !present.contains($0) }
    }

    func isHolder(_ peer: PeerID, of shard: ShardID) -> Bool {
        segments[shard.segment]?.entries.contains { $0.index == shard.index && $0.peer == peer }
            ?? false
    }

    private func health(_ segment: Segment) -> Int {
        Set(good(segment).map(\.index)).count
    }

    private mutating func review(_ id: SegmentID, _ now: Instant) {
        guard let segment = segments[id] else { return }
        if missing(segment).isEmpty {
            segments[id]?.missingSince = nil
            segments[id]?.isUrgent = false
        } else if segment.missingSince == nil {
            segments[id]?.missingSince = now
        }
    }

    // MARK: Outputs

    private func due(_ segment: Segment) -> Instant? {
        guard let since = segment.missingSince, !segment.isRunning else { return nil }
        let margin = health(segment) - segment.shape.code.dataShards
        guard margin >= 0 else { return nil }
        let delay =
            segment.isUrgent || margin <= 1
            ? timings.delays.endangered
            : margin == 2 ? timings.delays.thin : timings.delays.comfortable
        let settled = segment.isUrgent ? since : segment.firstSeen + timings.settle
        let base = max(since + delay, settled) + timings.rankStagger * segment.rank
        return max(base, segment.retryAt ?? base)
    }

    /// At most `limit` segments to rebuild now, the most endangered first.
    func due(now: Instant, limit: Int) -> [SegmentID] {
        guard limit > 0 else { return [] }
        let ready = segments.filter { due($0.value).map { $0 <= now } ?? false }
        let ordered = ready.map { (id: $0.key, margin: margin($0.value), since: $0.value) }
            .sorted { first, second in
                if first.margin != second.margin { return first.margin < second.margin }
                return first.id < second.id
            }
        return ordered.prefix(limit).map(\.id)
    }

    private func margin(_ segment: Segment) -> Int {
        health(segment) - segment.shape.code.dataShards
    }

    /// Segments whose rows are older than `refresh`, oldest first.
    func stale(now: Instant, limit: Int) -> [SegmentID] {
        let age = { (segment: Segment) -> Duration in
            segment.missingSince == nil ? timings.refresh : min(timings.refresh, .seconds(5))
        }
        return segments.filter { !$0.value.isRunning && now - $0.value.loaded >= age($0.value) }
            .sorted { ($0.value.loaded, $0.key) < ($1.value.loaded, $1.key) }
            .prefix(limit).map(\.key)
    }

    var status: RepairStatus {
        var status = RepairStatus()
        for segment in segments.values where segment.rank == 0 {
            let health = health(segment)
            let code = segment.shape.code
            status.segments += 1
            if health == code.shards {
                status.full += 1
            } else {
                if health >= code.dataShards { status.queued += 1 }
                switch health - code.dataShards {
                case ..<0: status.lost += 1
                case 0, 1: status.atRisk += 1
                default: status.degraded += 1
                }
            }
        }
        return status
    }
}
