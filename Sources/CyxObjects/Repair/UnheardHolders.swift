internal import CyxCore
internal import CyxOverlay

/// Holders of which a peer of a network too large to know everybody has not heard yet. Membership
/// asks after them; until it has had time to, they count as there, lest a custodian rebuild all that
/// it has just taken over.
struct UnheardHolders: Sendable {
    /// Longer than it takes to ask after as many as are asked after at all.
    static let patience = WatchList.interval * 2

    private var since: [PeerID: Instant] = [:]

    /// Those of `holders` that are to count as there.
    mutating func excused(
        _ holders: Set<PeerID>, in snapshot: MembershipSnapshot, now: Instant
    ) -> Set<PeerID> {
        guard snapshot.isPartial else {
            since = [:]
            return []
        }
        let unheard = holders.filter { snapshot.members[$0] == nil }
        since = since.filter { unheard.contains($0.key) }
        for peer in unheard where since[peer] == nil { since[peer] = now }
        return unheard.filter { peer in
            since[peer].map { now - $0 < UnheardHolders.patience } ?? false
        }
    }
}
