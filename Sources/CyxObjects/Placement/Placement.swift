package import CyxCore
package import CyxOverlay

/// Which peers are to hold a segment, and who steps in when one of them fails.
package struct Placement: Equatable, Sendable {
    /// One peer per index.
    package var holders: [PeerID]
    /// Further candidates, best first.
    package var spares: [PeerID]

    /// Space that a storer must have left to be offered more.
    static let reserveBytes: UInt64 = 128 << 20
    /// Spares that are worth remembering.
    static let spareCount = 8

    /// Peers that can take shards at all.
    package static func candidates(
        _ snapshot: MembershipSnapshot, avoiding: Set<PeerID> = []
    ) -> [Member] {
        snapshot.stayingStorers.filter { member in
            member.info.store != nil && !avoiding.contains(member.peer)
                && member.info.freeBytes >= min(reserveBytes, member.info.allocatedBytes / 64)
        }
    }

    /// Picks `count` of `candidates` for `segment` by highest random weight (Thaler and Ravishankar
    /// 1998), alive before suspected, no zone above its share while zones allow (B2): at most
    /// max(m, ⌈n/zones⌉) shards of a segment in one zone. `used` counts what zones hold already.
    ///
    /// The ID of a new segment is random and was known to nobody. One that is repaired has long
    /// been known: then `order` says who comes first, lest somebody makes IDs for it.
    ///
    /// Nil when there are fewer candidates than that.
    package static func choose(
        _ count: Int, of candidates: [Member], for segment: SegmentID, code: Redundancy,
        used: [String: Int] = [:],
        order: PlacementOrder = PlacementOrder(nil, localSince: Instant(nanoseconds: 0))
    ) -> Placement? {
        guard count <= candidates.count else { return nil }
        let zones = Set(candidates.map(\.info.zone)).union(used.keys).count
        let cap = zoneCap(code, zones: zones)
        var inZone = used
        var chosen: [PeerID] = []
        var crowded: [PeerID] = []
        var spares: [PeerID] = []
        for member in ranked(candidates, for: segment, order) {
            if chosen.count == count {
                spares.append(member.peer)
            } else if inZone[member.info.zone, default: 0] < cap {
                inZone[member.info.zone, default: 0] += 1
                chosen.append(member.peer)
            } else {
                crowded.append(member.peer)
            }
        }
        // Zones do not suffice: a crowded zone is better than a missing shard.
        let missing = count - chosen.count
        chosen += crowded.prefix(missing)
        spares = Array((spares + crowded.dropFirst(missing)).prefix(spareCount))
        return Placement(holders: chosen, spares: spares)
    }

    /// Shards of a segment that one of `zones` zones may hold (B2).
    package static func zoneCap(_ code: Redundancy, zones: Int) -> Int {
        let zones = max(zones, 1)
        return max(code.parityShards, (code.shards + zones - 1) / zones)
    }

    private static func ranked(
        _ candidates: [Member], for segment: SegmentID, _ order: PlacementOrder
    ) -> [Member] {
        let ranked = order.rank(position: segment.digest, members: candidates)
        return ranked.filter { $0.state == .alive } + ranked.filter { $0.state != .alive }
    }
}
