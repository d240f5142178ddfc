import CyxCore
import CyxObjects
import CyxStorage
import CyxTables
import SimulationHarness

/// What the disks of a world of objects say, past all faults: which segments the rows know, who they
/// say holds them, and who does.
struct ObjectEvidence {
    struct Holding: Hashable {
        var peer: PeerID
        var segment: SegmentID
        var index: Int
    }

    /// Holders of one index beyond the first that are kept (B4).
    private static let spares = 2

    /// Segments whose core row is there.
    private(set) var segments: Set<SegmentID> = []
    /// Entries of holders; struck ones are false.
    private(set) var entries: [SegmentID: [HolderEntry: Bool]] = [:]
    /// Shard files that are not in the trash.
    private(set) var files: Set<Holding> = []

    init(_ world: ObjectWorld) {
        var cores: [SegmentID: RegisterRecord] = [:]
        var holders: [SegmentID: MergeRow] = [:]
        let custodians = CustodyOnDisks(world.peers)
        for peer in world.peers where peer.isStoring && !peer.isGone {
            readRows(peer, custodians, &cores, &holders)
            for segment in peer.machine.disk.entries(in: "shards", ([0x02], [0x03])) {
                guard segment.key.count > 33, let digest = Digest(bytes: Array(segment.key[1..<33]))
                else { continue }
                files.insert(
                    Holding(
                        peer: peer.id, segment: SegmentID(digest), index: Int(segment.key[33])))
            }
        }
        segments = Set(cores.filter { $0.value.value != nil }.keys)
        for (segment, row) in holders {
            for item in row.items {
                do {
                    let holder = try HolderEntry(element: item.element)
                    guard !world.forgeries.contains(holder, of: segment) else { continue }
                    entries[segment, default: [:]][holder] = item.entry.value != nil
                } catch { continue }
            }
        }
    }

    private func readRows(
        _ peer: ObjectPeer, _ custodians: CustodyOnDisks,
        _ cores: inout [SegmentID: RegisterRecord],
        _ holders: inout [SegmentID: MergeRow]
    ) {
        for (bytes, value) in peer.machine.disk.entries(in: "tables", StorageKey.allRows) {
            guard let key = StorageKey.decodeRow(bytes),
                key.table == .segments || key.table == .holders,
                custodians.mayTell(peer.id, of: key.position)
            else { continue }
            let segment = SegmentID(key.position)
            do {
                switch try StoredRow(table: key.table, bytes: value).content {
                case .register(let record):
                    let known = cores[segment]?.accepted
                    if known.map({ $0 < record.accepted }) ?? true { cores[segment] = record }
                case .merge(let row):
                    holders[segment, default: MergeRow()].absorb(row, twoPhase: true)
                }
            } catch { continue }
        }
    }

    /// Who the rows say holds a segment.
    func holders(of segment: SegmentID) -> [HolderEntry] {
        (entries[segment] ?? [:]).filter(\.value).map(\.key)
    }

    /// Distinct indices of a segment that lie on the disks of the peers that the rows name.
    func indices(of segment: SegmentID, _ world: ObjectWorld) -> Set<Int> {
        let good = holders(of: segment).filter { entry in
            guard let peer = world.peer(entry.peer), !peer.isGone else { return false }
            return peer.store == entry.store
                && files.contains(
                    Holding(peer: entry.peer, segment: segment, index: entry.index))
        }
        return Set(good.map(\.index))
    }

    // MARK: Invariants

    /// A holder is struck only when another has its shard, as long as the segment lives.
    func checkRetirement(_ records: inout ObjectRecords) {
        for segment in segments.sorted() {
            let entries = entries[segment] ?? [:]
            let kept = Set(entries.filter(\.value).map(\.key.index))
            records.check("RetireJustified")
            let lost = entries.filter { !$0.value && !kept.contains($0.key.index) }
            guard let index = lost.map(\.key.index).min() else { continue }
            records.violate(
                "RetireJustified",
                "nobody holds shard \(index) of \(segment) any more, by its rows")
        }
    }

    /// What is not as it should be when all is at rest, nil: nothing. `live`: what heads reach, but for
    /// those of an account with a lease, of whose segments others say where they should lie.
    func unrest(_ live: [SegmentPlacement], _ world: ObjectWorld) -> (name: String, what: String)? {
        let reached = world.leasedSegments.union(live.map(\.segment))
        for placement in live {
            let segment = placement.segment
            guard segments.contains(segment) else {
                return ("NoDangling", "\(segment) is reached by a head and its row is gone")
            }
            let found = indices(of: segment, world)
            guard found.count == placement.code.shards else {
                let lacking = holders(of: segment).filter { !found.contains($0.index) }
                    .sorted { ($0.index, $0.peer) < ($1.index, $1.peer) }
                return (
                    "Converge",
                    "\(segment) lies on \(found.count) of \(placement.code.shards) disks, not as the "
                        + "rows say: "
                        + lacking.map { "\($0.index) at \($0.peer)" }.joined(separator: ", ")
                )
            }
            for (index, entries) in Dictionary(grouping: holders(of: segment), by: \.index)
            where entries.count > 1 + Self.spares {
                return ("RepairBounded", "\(entries.count) peers hold shard \(index) of \(segment)")
            }
            if let crowd = crowd(placement, world) { return ("ZoneCap", crowd) }
        }
        if let garbage = segments.subtracting(reached).sorted().first {
            return ("Converge", "\(garbage) is still registered and nothing reaches it")
        }
        let orphan = files.filter { !reached.contains($0.segment) }
        guard orphan.isEmpty else {
            return ("Converge", "\(orphan.count) shard files of no segment lie on disks")
        }
        return nil
    }

    /// Which zone has more than its share of the segment although another has room (B2); spares do
    /// not count.
    private func crowd(_ placement: SegmentPlacement, _ world: ObjectWorld) -> String? {
        let holders = holders(of: placement.segment)
        var inZone: [String: Set<Int>] = [:]
        for entry in holders {
            guard let zone = world.peer(entry.peer)?.zone else { continue }
            inZone[zone, default: []].insert(entry.index)
        }
        let storers = Dictionary(grouping: world.storers, by: \.zone).mapValues(\.count)
        let cap = Placement.zoneCap(placement.code, zones: storers.count)
        for (zone, indices) in inZone.sorted(by: { $0.key < $1.key }) {
            let alone = indices.filter { index in
                !inZone.contains { $0.key != zone && $0.value.contains(index) }
            }
            let hasRoom = storers.contains { other, storers in
                other != zone && (inZone[other]?.count ?? 0) < min(cap, storers)
            }
            if alone.count > cap, hasRoom {
                let places = holders.sorted { ($0.index, $0.peer) < ($1.index, $1.peer) }.map {
                    "\($0.index) at \($0.peer) in \(world.peer($0.peer)?.zone ?? "none")"
                        + (world.peer($0.peer)?.store == $0.store
                            ? "" : " before its disk was wiped")
                }
                return "\(zone) holds \(alone.count) shards of \(placement.segment), not \(cap): "
                    + places.joined(separator: ", ")
            }
        }
        return nil
    }
}
