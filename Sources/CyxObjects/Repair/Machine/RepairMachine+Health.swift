package import CyxCore

/// What a segment misses, and how it lies.
extension RepairMachine {
    /// Entries whose holder is reachable, with the store it had, and not known to be bad.
    package func good(_ segment: Segment, _ peers: RepairPeers) -> [HolderEntry] {
        segment.entries.filter { isThere($0, peers) && !segment.bad.contains($0) }
    }

    /// Entries whose shard was found bad at a holder that is there, by index. Where fewer than k
    /// good ones are left they are read again: who lied, or whose disk failed, may give the right
    /// bytes now, and nothing else is left to try.
    package func doubted(_ segment: Segment, _ peers: RepairPeers) -> [HolderEntry] {
        segment.bad.filter { isThere($0, peers) }
            .sorted { ($0.index, $0.peer) < ($1.index, $1.peer) }
    }

    /// Whether the holder is reachable, with the store that it had.
    private func isThere(_ entry: HolderEntry, _ peers: RepairPeers) -> Bool {
        guard let peer = peers[entry.peer], !peer.isAway else { return false }
        return peer.store == entry.store
    }

    /// Who is not given shards of a segment: it had a bad one in the store that it has still. With a
    /// new disk a peer begins anew.
    package func distrusted(_ segment: Segment, _ peers: RepairPeers) -> Set<PeerID> {
        Set(segment.distrusted.filter { peers[$0.peer]?.store == $0.store }.map(\.peer))
    }

    package func isHolder(_ peer: PeerID, of shard: ShardID) -> Bool {
        segments[shard.segment]?.entries.contains { $0.index == shard.index && $0.peer == peer }
            ?? false
    }

    func survey(_ segment: inout Segment, _ peers: RepairPeers) {
        let code = segment.shape.code
        var readable: UInt64 = 0
        var expected: UInt64 = 0
        for entry in segment.entries {
            guard let peer = peers[entry.peer], peer.store == entry.store,
                entry.index < code.shards, !segment.bad.contains(entry)
            else { continue }
            expected |= 1 << UInt64(entry.index)
            if !peer.isAway { readable |= 1 << UInt64(entry.index) }
        }
        segment.health = readable.nonzeroBitCount
        // Shards of holders that are away are waited for, unless without them the segment could
        // bear no further loss: an announcement must not cost data.
        let present = segment.margin <= 0 ? readable : expected
        segment.missing = (0..<code.shards).filter { present & 1 << UInt64($0) == 0 }
        segment.crowded = nil
        segment.surplus = []
        guard segment.missing.isEmpty else { return }
        let good = good(segment, peers)
        segment.crowded =
            good.first(where: segment.leaving.contains) ?? crowded(good, code, peers)
        segment.surplus = surplus(good) + spent(segment, good, peers)
    }

    /// One of `good` whose zone is above its share (B2), or whose peer has another shard too: the
    /// last by index of the fullest. Spares do not count: a zone's loss takes indices, not copies.
    private func crowded(
        _ good: [HolderEntry], _ code: Redundancy, _ peers: RepairPeers
    ) -> HolderEntry? {
        let zones = good.map { peers[$0.peer]?.zone ?? "" }
        var inZone: [(zone: String, count: Int, last: Int)] = []
        var holders = 0
        var doubled: HolderEntry?
        for (number, entry) in good.enumerated() {
            if good[..<number].contains(where: { $0.peer == entry.peer }) {
                doubled = entry
            } else {
                holders += 1
            }
            let isElsewhereToo =
                good.count > code.shards
                && good.indices.contains {
                    good[$0].index == entry.index && zones[$0] != zones[number]
                }
            if isElsewhereToo { continue }
            guard let place = inZone.firstIndex(where: { $0.zone == zones[number] }) else {
                inZone.append((zones[number], 1, number))
                continue
            }
            inZone[place].count += 1
            if entry.index > good[inZone[place].last].index { inZone[place].last = number }
        }
        if let doubled, peers.peers.count > holders { return doubled }
        let cap = Placement.zoneCap(code, zones: peers.zones.count)
        let fullest = inZone.max { ($0.count, $1.zone) < ($1.count, $0.zone) }
        guard let fullest, fullest.count > cap else { return nil }
        // Somewhere there has to be room, or it would be tried in vain for ever.
        let hasRoom = peers.zones.contains { zone, count in
            let here = zones.count { $0 == zone }
            return zone != fullest.zone && here < cap && here < count
        }
        return hasRoom ? good[fullest.last] : nil
    }

    /// Holders of an index beyond the first and its spares: the last of them by peer ID go.
    private func surplus(_ good: [HolderEntry]) -> [HolderEntry] {
        var result: [HolderEntry] = []
        for (_, entries) in Dictionary(grouping: good, by: \.index).sorted(by: { $0.key < $1.key })
        where entries.count > 1 + limits.spares {
            result += entries.sorted { $0.peer < $1.peer }.dropFirst(1 + limits.spares)
        }
        return result
    }

    /// Entries of shards that are known to be gone or wrong, and those that do not count, where there
    /// is a good one: readers would ask in vain. Who cannot be reached may come back.
    private func spent(
        _ segment: Segment, _ good: [HolderEntry], _ peers: RepairPeers
    ) -> [HolderEntry] {
        let gone = segment.entries.filter { entry in
            segment.bad.contains(entry)
                || peers[entry.peer].map { $0.store != entry.store } ?? false
        }
        return (gone + segment.void).filter { entry in good.contains { $0.index == entry.index } }
    }

    /// Whether another good holder of that index would be kept as a spare.
    package func wantsSpare(_ shard: ShardID, _ peers: RepairPeers) -> Bool {
        guard let segment = segments[shard.segment] else { return false }
        return good(segment, peers).count { $0.index == shard.index } < 1 + limits.spares
    }

    package var status: RepairStatus {
        var status = RepairStatus()
        for segment in segments.values where segment.rank == 0 {
            let code = segment.shape.code
            status.segments += 1
            if segment.health == code.shards {
                status.full += 1
            } else {
                if segment.margin >= 0 { status.queued += 1 }
                switch segment.margin {
                case ..<0: status.lost += 1
                case 0, 1: status.atRisk += 1
                default: status.degraded += 1
                }
            }
        }
        return status
    }
}
