package import CyxCore
package import CyxObjects

/// Peers, segments and custodians with the repair machines that the peers run; no bytes. Who drives
/// it decides when peers come and go and how long a rebuild takes.
///
/// Simpler than the real thing in this:
/// - All peers notice a death at the same moment and read the rows at once.
/// - Rows are never lost. Custodians act only while a quorum of theirs is reachable, though.
/// - A peer that replaces another has its zone and its place among the custodians, too, so that
///   views never change.
/// - Shards on a disk are what they should be: no bit rot and no liars. Audits and reads find those
///   (`simulate audits`), and what they find is rebuilt as if its holder were lost.
/// - Targets are drawn at random below the zones' share, as rendezvous hashing spreads them.
package struct Fleet {
    package let setup: FleetSetup
    package private(set) var now = Instant(nanoseconds: 0)
    package var generator: SeededGenerator
    package internal(set) var peers: RepairPeers
    var machines: [RepairMachine]
    var slots: [FleetSlot]
    var segments: [FleetSegment] = []
    var numbers: [SegmentID: Int] = [:]
    /// Segments with a copy on the disk of a slot.
    var stored: [Set<Int>]
    /// Slots by partition, in the order of rank; and of those the first two that can be reached.
    var custodians: [[Int]] = []
    var watchers: [[Int]] = []
    /// Whether a quorum of each partition's custodians can be reached.
    private var decided: [Bool]
    private var partitionsOf: [[Int]]
    /// Slots whose machines have something new to say.
    var dirty: Set<Int> = []
    package internal(set) var tally = FleetTally()

    /// Segments that bear one more loss or none, and those that cannot be read now.
    private var endangered = 0
    private var unreadable = 0

    /// Custodians that watch a segment, as in `Repairer`.
    static let watcherCount = 2
    private static let receiptHash = [UInt8](repeating: 0, count: HolderEntry.hashBytes)

    package init(_ setup: FleetSetup, seed: UInt64) {
        precondition(setup.peers >= setup.code.shards, "a segment's shards lie at as many peers")
        self.setup = setup
        generator = SeededGenerator(seed: seed)
        peers = RepairPeers(timings: setup.timings)
        machines = (0..<setup.peers).map { _ in
            RepairMachine(timings: setup.timings, limits: setup.limits)
        }
        stored = Array(repeating: [], count: setup.peers)
        partitionsOf = Array(repeating: [], count: setup.peers)
        decided = Array(repeating: true, count: setup.partitions)
        slots = []
        for number in 0..<setup.peers {
            slots.append(newcomer(zone: number % setup.zones))
            peers.set(slots[number].peer, state(number), now: now)
        }
        assignCustodians()
        for number in 0..<setup.segments { addSegment(number) }
    }

    private mutating func digest() -> Digest {
        Digest(generator.next(), generator.next(), generator.next(), generator.next())
    }

    private mutating func newcomer(zone: Int, life: Int = 0) -> FleetSlot {
        FleetSlot(peer: PeerID(digest()), store: StoreID(digest()), zone: zone, life: life)
    }

    private func state(_ slot: Int) -> RepairPeer {
        RepairPeer(store: slots[slot].store, zone: "\(slots[slot].zone)")
    }

    /// Custodians of a partition in a network of so many peers (A1).
    static func viewSize(_ peers: Int) -> Int {
        peers >= 9 ? 9 : peers >= 5 ? 5 : peers >= 3 ? 3 : 1
    }

    /// Sets of as many peers as A1 wants, no zone with more than may fail where zones allow (A4).
    private mutating func assignCustodians() {
        let size = Fleet.viewSize(setup.peers)
        for partition in 0..<setup.partitions {
            var chosen: [Int] = []
            var crowded: [Int] = []
            var inZone: [Int: Int] = [:]
            for slot in (0..<setup.peers).shuffled(using: &generator) where chosen.count < size {
                if inZone[slots[slot].zone, default: 0] < size / 2 {
                    inZone[slots[slot].zone, default: 0] += 1
                    chosen.append(slot)
                } else {
                    crowded.append(slot)
                }
            }
            chosen += crowded.prefix(size - chosen.count)
            custodians.append(chosen)
            watchers.append(Array(chosen.prefix(Fleet.watcherCount)))
            for slot in chosen { partitionsOf[slot].append(partition) }
        }
    }

    // MARK: Segments

    func partition(_ segment: Int) -> Int { segment % setup.partitions }

    private mutating func addSegment(_ number: Int) {
        let code = setup.code
        let shape = SegmentShape(
            id: SegmentID(digest()), code: code, chunkLengths: [setup.segmentBytes],
            roots: Array(repeating: .zero, count: code.shards), created: WallTime(milliseconds: 0))
        segments.append(FleetSegment(shape: shape, entries: [], copies: [], readable: 0))
        weigh(0, 1)
        numbers[shape.id] = number
        restart(number)
    }

    /// Puts a segment down as if it had just been written.
    mutating func restart(_ number: Int) {
        forget(number)
        let code = setup.code
        for (index, slot) in targets(code.shards, holders: []).enumerated() {
            segments[number].entries.append(entry(index, slot))
            segments[number].copies.append(.init(index: index, slot: slot, peer: slots[slot].peer))
            stored[slot].insert(number)
        }
        segments[number].isLost = false
        segments[number].life += 1
        count(number)
        tell(number)
    }

    /// Drops what there is of a segment.
    private mutating func forget(_ number: Int) {
        for copy in segments[number].copies { stored[copy.slot].remove(number) }
        segments[number].copies = []
        segments[number].entries = []
        for slot in watchers[partition(number)] { machines[slot].remove(segments[number].shape.id) }
    }

    func entry(_ index: Int, _ slot: Int) -> HolderEntry {
        HolderEntry(
            index: index, peer: slots[slot].peer, store: slots[slot].store,
            receiptHash: Fleet.receiptHash)
    }

    /// Peers that are up and hold nothing of a segment yet, no zone above its share where zones
    /// allow; as many as there are, at random as rendezvous hashing would choose them.
    mutating func targets(_ count: Int, holders: Set<Int>) -> [Int] {
        let cap = Placement.zoneCap(setup.code, zones: peers.zoneCount)
        var inZone: [Int: Int] = [:]
        for slot in holders { inZone[slots[slot].zone, default: 0] += 1 }
        var taken = holders
        var chosen: [Int] = []
        func take(_ slot: Int) {
            taken.insert(slot)
            inZone[slots[slot].zone, default: 0] += 1
            chosen.append(slot)
        }
        func fits(_ slot: Int) -> Bool {
            slots[slot].isUp && !taken.contains(slot) && inZone[slots[slot].zone, default: 0] < cap
        }
        for _ in 0..<8 * count where chosen.count < count {
            let slot = Int.random(in: 0..<slots.count, using: &generator)
            if fits(slot) { take(slot) }
        }
        if chosen.count < count {
            let order = (0..<slots.count).shuffled(using: &generator)
            for slot in order where chosen.count < count && fits(slot) { take(slot) }
            for slot in order where chosen.count < count && slots[slot].isUp {
                if !taken.contains(slot) { take(slot) }
            }
        }
        return chosen
    }

    /// So many peers that are up, at random, or all of them.
    mutating func anyPeers(_ count: Int) -> [Int] {
        Array(slots.indices.filter { slots[$0].isUp }.shuffled(using: &generator).prefix(count))
    }

    /// Counts anew what a reader gets of a segment, and whether all is lost.
    mutating func count(_ number: Int) {
        var readable: UInt64 = 0
        for entry in segments[number].entries where reader(of: entry, number) != nil {
            readable |= 1 << UInt64(entry.index)
        }
        var there: UInt64 = 0
        for copy in segments[number].copies { there |= 1 << UInt64(copy.index) }
        weigh(segments[number].readable, -1)
        segments[number].readable = readable.nonzeroBitCount
        weigh(segments[number].readable, 1)
        let missing = setup.code.shards - segments[number].readable
        let most = max(segments[number].mostMissing, missing)
        if missing == 0, most > 0 { tally.episodes[most, default: 0] += 1 }
        segments[number].mostMissing = missing == 0 ? 0 : most
        if there.nonzeroBitCount < setup.code.dataShards { segments[number].isLost = true }
    }

    /// The slot from which an entry's shard can be read now.
    func reader(of entry: HolderEntry, _ number: Int) -> Int? {
        for copy in segments[number].copies
        where copy.index == entry.index && copy.peer == entry.peer {
            return slots[copy.slot].isUp && slots[copy.slot].peer == entry.peer ? copy.slot : nil
        }
        return nil
    }

    private mutating func weigh(_ readable: Int, _ change: Int) {
        switch readable - setup.code.dataShards {
        case ..<0: unreadable += change
        case 0...1: endangered += change
        default: break
        }
    }

    // MARK: Telling the machines

    /// What the watchers of a segment read in its rows.
    mutating func tell(_ number: Int) {
        let segment = segments[number]
        let partition = partition(number)
        for (rank, slot) in watchers[partition].enumerated() {
            machines[slot].load(
                segment.shape, [], segment.entries, rank: rank, hasQuorum: hasQuorum(partition),
                peers, now: now)
            dirty.insert(slot)
        }
    }

    private func hasQuorum(_ partition: Int) -> Bool {
        let members = custodians[partition]
        return members.count { peers[slots[$0].peer] != nil } > members.count / 2
    }

    /// A peer came or went, as the others see it.
    mutating func notice(_ slot: Int, _ peer: PeerID, isThere: Bool) {
        peers.set(peer, isThere ? state(slot) : nil, now: now)
        for partition in partitionsOf[slot] { reassign(partition, slot) }
        var touched: Set<Int> = []
        for number in stored[slot] { touched.formUnion(watchers[partition(number)]) }
        // A storm changes what all of them may do.
        if let storm = peers.stormEnd, storm > now { touched = Set(slots.indices) }
        for watcher in touched.sorted() where slots[watcher].isUp {
            machines[watcher].peersChanged([peer], peers, now: now)
            dirty.insert(watcher)
        }
    }

    /// Sees who watches a partition now that one of its custodians came or went.
    private mutating func reassign(_ partition: Int, _ changed: Int) {
        let former = watchers[partition]
        let present = custodians[partition].filter {
            slots[$0].isUp && peers[slots[$0].peer] != nil
        }
        watchers[partition] = Array(present.prefix(Fleet.watcherCount))
        let isDecided = hasQuorum(partition)
        if watchers[partition] == former, !former.contains(changed), isDecided == decided[partition]
        {
            return
        }
        decided[partition] = isDecided
        for number in stride(from: partition, to: segments.count, by: setup.partitions) {
            let id = segments[number].shape.id
            for slot in former where !watchers[partition].contains(slot) {
                machines[slot].remove(id)
            }
            let isKnown = former.allSatisfy { machines[$0].segments[id] != nil }
            if former == watchers[partition], isKnown {
                for (rank, slot) in former.enumerated() {
                    machines[slot].setCustody(id, rank: rank, hasQuorum: isDecided)
                }
            } else {
                tell(number)
            }
        }
        dirty.formUnion(watchers[partition])
    }

    // MARK: Peers

    /// A peer stops. With `forGood` its disk is gone, too; returns the segments that are lost by it.
    package mutating func stop(_ slot: Int, forGood: Bool) -> [Int] {
        precondition(slots[slot].isUp || forGood, "a peer that is down cannot go down")
        slots[slot].isUp = false
        slots[slot].life += 1
        machines[slot] = RepairMachine(timings: setup.timings, limits: setup.limits)
        let touched = stored[slot].sorted()
        if forGood {
            for number in touched { segments[number].copies.removeAll { $0.slot == slot } }
        }
        var lost: [Int] = []
        for number in touched {
            let wasLost = segments[number].isLost
            count(number)
            if segments[number].isLost, !wasLost { lost.append(number) }
        }
        tally.lost += lost.count
        return lost
    }

    /// The others notice that `peer` is not there, unless it is back. Call `setup.detection` later.
    package mutating func noticeEnd(_ slot: Int, of peer: PeerID) {
        guard peers[peer] != nil, !(slots[slot].isUp && slots[slot].peer == peer) else { return }
        notice(slot, peer, isThere: false)
    }

    package func peer(_ slot: Int) -> PeerID { slots[slot].peer }
    package func isUp(_ slot: Int) -> Bool { slots[slot].isUp }
    package func zone(_ slot: Int) -> Int { slots[slot].zone }
    package func life(_ slot: Int) -> Int { slots[slot].life }

    /// A new peer with an empty disk takes the place of one that was lost.
    package mutating func replace(_ slot: Int) {
        // What the lost one had counts as gone for its watchers, though its place is taken.
        let touched = stored[slot]
        let former = slots[slot].peer
        slots[slot] = newcomer(zone: slots[slot].zone, life: slots[slot].life + 1)
        if peers[former] != nil { notice(slot, former, isThere: false) }
        for number in touched { stored[slot].remove(number) }
        notice(slot, slots[slot].peer, isThere: true)
    }

    /// A peer is back with what it had. It announces its shards: what nobody counts any more is
    /// a spare where there is room for one, and dropped otherwise.
    package mutating func start(_ slot: Int) {
        slots[slot].isUp = true
        slots[slot].life += 1
        notice(slot, slots[slot].peer, isThere: true)
        for number in stored[slot].sorted() {
            for copy in segments[number].copies where copy.slot == slot {
                announce(copy, of: number)
            }
            count(number)
        }
    }

    private mutating func announce(_ copy: FleetSegment.Copy, of number: Int) {
        let isListed = segments[number].entries.contains {
            $0.index == copy.index && $0.peer == copy.peer
        }
        guard !isListed, let custodian = watchers[partition(number)].first else { return }
        let shard = ShardID(segment: segments[number].shape.id, index: copy.index)
        if machines[custodian].wantsSpare(shard, peers) {
            segments[number].entries.append(entry(copy.index, copy.slot))
            tell(number)
        } else {
            segments[number].copies.removeAll { $0 == copy }
            if !segments[number].copies.contains(where: { $0.slot == copy.slot }) {
                stored[copy.slot].remove(number)
            }
        }
    }

    // MARK: Time

    /// Goes on to a later time, counting how the segments were meanwhile.
    package mutating func advance(to time: Instant) {
        precondition(time >= now, "time goes on")
        let hours = (time - now) / .seconds(3600)
        tally.atRiskHours += Double(endangered) * hours
        tally.unreadableHours += Double(unreadable) * hours
        now = time
    }
}
