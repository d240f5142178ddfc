package import CyxCore
internal import CyxTransport

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

/// Something to do for one segment.
package enum RepairTask: Hashable, Sendable {
    /// Make what it misses from what is there; look again for what is good if that is too little.
    case rebuild(SegmentID)
    /// Copy a holder's shard to a peer elsewhere: it lies where too many others do.
    case move(SegmentID, HolderEntry)
    /// Let holders go that nobody needs.
    case release(SegmentID, [HolderEntry])

    package var segment: SegmentID {
        switch self {
        case .rebuild(let id), .move(let id, _), .release(let id, _): id
        }
    }
}

/// Which segments miss shards, since when, and what is to be done next (B4). A machine, that the
/// peers (`Repairer`) and the simulator of repair share.
package struct RepairMachine: Sendable {
    package struct Segment: Sendable {
        package var shape: SegmentShape
        var signedCore: [UInt8]
        package var entries: [HolderEntry]
        /// Entries that do not count: their holder signed no receipt, or another one for the same
        /// file is there.
        var void: [HolderEntry] = []
        /// Entries whose shard was found to be wrong or gone.
        var bad: Set<HolderEntry> = []
        /// Entries whose holder goes and cannot write so itself.
        var leaving: Set<HolderEntry> = []
        /// Whose shards were found so, the latest last, also after those were replaced: or two
        /// such peers would be given the same shard in turns.
        var distrusted: [(peer: PeerID, store: StoreID)] = []
        /// Place among the reachable custodians.
        package var rank: Int
        /// Whether a quorum of its custodians can be reached.
        var hasQuorum = true
        var firstSeen: Instant
        var loaded: Instant
        package var missingSince: Instant?
        var isUrgent = false
        var runsAs: RepairClass?
        /// Another custodian said that it rebuilds this one until then.
        var claimedUntil: Instant?
        /// Claims since it was full last.
        var claims = 0
        /// After a failed try.
        var retryAt: Instant?
        var failures = 0

        // What `review` finds.
        /// Distinct indices with a good holder.
        package var health = 0
        package var missing: [Int] = []
        /// An entry that lies where too many others do, and since when there is one.
        var crowded: HolderEntry?
        var crowdedSince: Instant?
        /// Entries that nobody needs, and since when there are some.
        var surplus: [HolderEntry] = []
        var surplusSince: Instant?

        package var margin: Int { health - shape.code.dataShards }
        /// How urgently its shards are moved beside what clients wait for.
        var urgency: CallUrgency {
            margin <= RepairMachine.endangeredMargin ? .foreground : .background
        }
        var isEndangered: Bool {
            missingSince != nil && margin <= RepairMachine.endangeredMargin
        }
        var needsWork: Bool { !missing.isEmpty || crowded != nil || !surplus.isEmpty }

        mutating func distrust(_ entry: HolderEntry) {
            distrusted.removeAll { $0.peer == entry.peer }
            if distrusted.count == RepairMachine.distrustedPeers { distrusted.removeFirst() }
            distrusted.append((entry.peer, entry.store))
        }
    }

    /// What a segment's repair counts against.
    enum RepairClass: Sendable { case endangered, ordinary }

    /// Segments that bear at most so many more losses are rebuilt at once.
    static let endangeredMargin = 1
    /// First pause after a repair that did not succeed; doubles up to 64 times that.
    static let retryPause = Duration.seconds(1)
    /// Peers that are remembered per segment as having had a bad shard.
    static let distrustedPeers = 32
    /// Claims that are believed until a segment is full: who claims and does nothing delays it by so
    /// many, not for ever.
    static let claimsHonoured = 3

    let timings: RepairTimings
    let limits: RepairLimits
    var throttle: RepairThrottle
    /// Only endangered segments are rebuilt, by the operator's order.
    package var isPaused = false
    package private(set) var segments: [SegmentID: Segment] = [:]
    /// Those in which something is to be done at some time.
    private(set) var unfinished: Set<SegmentID> = []
    /// Those of which the last try did not succeed.
    private var failing: Set<SegmentID> = []
    private var held: [PeerID: Set<SegmentID>] = [:]
    /// Who holds something of the segments that are watched.
    var holders: Set<PeerID> { Set(held.keys) }

    /// The store in which a holder keeps what it holds, as the rows of some segment say.
    func store(of peer: PeerID) -> StoreID? {
        held[peer]?.min().flatMap { segments[$0]?.entries.first { $0.peer == peer }?.store }
    }
    /// How many zones there were when segments were last looked at.
    private var zones = 0
    private(set) var running: (endangered: Int, ordinary: Int) = (0, 0)

    package init(timings: RepairTimings, limits: RepairLimits = RepairLimits()) {
        self.timings = timings
        self.limits = limits
        throttle = RepairThrottle(bytesPerSecond: limits.bytesPerSecond)
    }

    // MARK: Inputs

    /// Takes notice of peers that came, went or changed.
    package mutating func peersChanged(_ changed: [PeerID], _ peers: RepairPeers, now: Instant) {
        guard !changed.isEmpty else { return }
        for id in failing {
            segments[id]?.retryAt = nil
            segments[id]?.failures = 0
        }
        failing = []
        if peers.zones.count != zones {
            // Every zone's share is another one now.
            zones = peers.zones.count
            for id in segments.keys { review(id, peers, now) }
            return
        }
        var touched: Set<SegmentID> = []
        for peer in changed { touched.formUnion(held[peer] ?? []) }
        for id in touched { review(id, peers, now) }
    }

    package mutating func setCustody(_ id: SegmentID, rank: Int, hasQuorum: Bool = true) {
        guard let former = segments[id]?.rank else { return }
        // Who stood before this peer is gone, and what it claimed will not be done.
        if rank < former { claimEnded(id) }
        segments[id]?.rank = rank
        segments[id]?.hasQuorum = hasQuorum
    }

    package mutating func load(
        _ shape: SegmentShape, _ signedCore: [UInt8], _ entries: [HolderEntry],
        forged: [HolderEntry] = [], rank: Int, hasQuorum: Bool = true, _ peers: RepairPeers,
        now: Instant
    ) {
        let id = shape.id
        var files: Set<HolderEntry.File> = []
        var void = forged
        let entries = entries.filter { entry in
            if files.insert(entry.file).inserted { return true }
            void.append(entry)
            return false
        }
        var segment =
            segments[id]
            ?? Segment(
                shape: shape, signedCore: signedCore, entries: [], rank: rank, firstSeen: now,
                loaded: now)
        // Mostly all but one or two stay as they were.
        for entry in segment.entries where !entries.contains(where: { $0.peer == entry.peer }) {
            held[entry.peer]?.remove(id)
            if held[entry.peer]?.isEmpty == true { held[entry.peer] = nil }
        }
        for entry in entries where !segment.entries.contains(where: { $0.peer == entry.peer }) {
            held[entry.peer, default: []].insert(id)
        }
        // Whoever claimed it has replaced what it knew to be missing, which may not be all.
        if rank < segment.rank || segment.entries != entries { segment.claimedUntil = nil }
        segment.entries = entries
        segment.void = void
        segment.rank = rank
        segment.hasQuorum = hasQuorum
        segment.loaded = now
        if !segment.bad.isEmpty { segment.bad.formIntersection(entries) }
        if !segment.leaving.isEmpty { segment.leaving.formIntersection(entries) }
        segments[id] = segment
        review(id, peers, now)
    }

    package mutating func remove(_ id: SegmentID) {
        guard let segment = segments[id], segment.runsAs == nil else { return }
        for entry in segment.entries {
            held[entry.peer]?.remove(id)
            if held[entry.peer]?.isEmpty == true { held[entry.peer] = nil }
        }
        segments[id] = nil
        unfinished.remove(id)
        failing.remove(id)
    }

    /// A shard was checked and is not what it should be.
    package mutating func markBad(
        _ id: SegmentID, index: Int, peer: PeerID, _ peers: RepairPeers, now: Instant
    ) {
        guard let segment = segments[id] else { return }
        let entries = segment.entries.filter { $0.index == index && $0.peer == peer }
        segments[id]?.bad.formUnion(entries)
        if let entry = entries.last { segments[id]?.distrust(entry) }
        segments[id]?.isUrgent = true
        review(id, peers, now)
    }

    /// Who holds a shard goes, and asks for it to be taken from there.
    package mutating func markLeaving(
        _ shard: ShardID, at peer: PeerID, _ peers: RepairPeers, now: Instant
    ) {
        guard let segment = segments[shard.segment] else { return }
        segments[shard.segment]?.leaving.formUnion(
            segment.entries.filter { $0.index == shard.index && $0.peer == peer })
        review(shard.segment, peers, now)
    }

    /// A shard that was found bad is what it should be.
    package mutating func markGood(
        _ entry: HolderEntry, of id: SegmentID, _ peers: RepairPeers, now: Instant
    ) {
        guard segments[id]?.bad.remove(entry) != nil else { return }
        review(id, peers, now)
    }

    /// Somebody says that the placement is incomplete: look now.
    package mutating func hasten(_ id: SegmentID) { segments[id]?.isUrgent = true }

    /// Another custodian says that it rebuilds this one: advice, by which two of them do not do the
    /// same at the same time.
    package mutating func claimed(_ id: SegmentID, now: Instant) {
        guard let segment = segments[id], segment.claims < RepairMachine.claimsHonoured else {
            return
        }
        segments[id]?.claims += 1
        segments[id]?.claimedUntil = now + timings.claim
    }

    /// Who claimed a segment is done with it, whether or not it could do what it meant to.
    package mutating func claimEnded(_ id: SegmentID) { segments[id]?.claimedUntil = nil }

    /// The operator wants all that is missing rebuilt without waiting.
    package mutating func hastenAll() {
        for id in unfinished where segments[id]?.missingSince != nil { hasten(id) }
    }

    /// Bytes per second that rebuilding segments which are not endangered may move; nil: any number.
    package mutating func setThrottle(_ bytesPerSecond: UInt64?, now: Instant) {
        throttle.set(bytesPerSecond, now: now)
    }

    package mutating func begin(_ task: RepairTask, now: Instant) {
        guard let segment = segments[task.segment] else { return }
        segments[task.segment]?.runsAs = segment.isEndangered ? .endangered : .ordinary
        if segment.isEndangered {
            running.endangered += 1
        } else {
            running.ordinary += 1
            throttle.charge(bytesMoved(task, segment), now: now)
        }
    }

    func bytesMoved(_ task: RepairTask, _ segment: Segment) -> Int {
        switch task {
        case .rebuild:
            (segment.shape.code.dataShards + segment.missing.count) * segment.shape.fileBytes
        case .move: 2 * segment.shape.fileBytes
        case .release: 0
        }
    }

    package mutating func end(_ id: SegmentID, succeeded: Bool, now: Instant) {
        guard let segment = segments[id], let runsAs = segment.runsAs else { return }
        switch runsAs {
        case .endangered: running.endangered -= 1
        case .ordinary: running.ordinary -= 1
        }
        segments[id]?.runsAs = nil
        if succeeded {
            failing.remove(id)
            segments[id]?.failures = 0
            segments[id]?.retryAt = nil
            segments[id]?.isUrgent = false
        } else {
            failing.insert(id)
            segments[id]?.failures = segment.failures + 1
            segments[id]?.retryAt = now + RepairMachine.retryPause * (1 << min(segment.failures, 6))
        }
    }

    /// Finds out anew what a segment misses and how it lies.
    private mutating func review(_ id: SegmentID, _ peers: RepairPeers, _ now: Instant) {
        guard var segment = segments[id] else { return }
        survey(&segment, peers)
        if segment.missing.isEmpty {
            segment.missingSince = nil
            segment.isUrgent = false
            segment.claims = 0
            segment.claimedUntil = nil
        } else if segment.missingSince == nil {
            segment.missingSince = now
        }
        segment.crowdedSince = segment.crowded == nil ? nil : segment.crowdedSince ?? now
        segment.surplusSince = segment.surplus.isEmpty ? nil : segment.surplusSince ?? now
        segments[id] = segment
        if segment.needsWork { unfinished.insert(id) } else { unfinished.remove(id) }
    }
}
