package import CyxCore
internal import Synchronization

/// Random bytes that all peers agree on for a while and that nobody knew before: the beacon of an
/// hour. They decide who fills a vacancy.
package struct PlacementSalt: Hashable, Sendable {
    package var value: Digest
    /// Who was a member then had made its identity before anybody could know the salt.
    package var unknownUntil: Instant

    package init(value: Digest, unknownUntil: Instant) {
        self.value = value
        self.unknownUntil = unknownUntil
    }
}

/// The salts that a peer knows. Above membership somebody finds out what they are; without any,
/// candidates rank by their IDs alone.
package final class PlacementSalts: Sendable {
    /// Peers learn of a new salt at slightly different times, and then accept the one before too.
    static let kept = 2

    private let salts: Mutex<[PlacementSalt]>

    package init(_ salts: [PlacementSalt] = []) {
        self.salts = Mutex(salts)
    }

    /// The newest first.
    package var recent: [PlacementSalt] { salts.withLock { $0 } }

    package func adopt(_ salt: PlacementSalt) {
        salts.withLock { salts in
            guard salts.first?.value != salt.value else { return }
            salts = Array(([salt] + salts).prefix(PlacementSalts.kept))
        }
    }
}

/// In which order members are taken for a position: a seat among its custodians, a shard of its
/// segment.
///
/// Peer IDs are free, so whoever ranked members by their IDs alone would let an attacker make
/// thousands offline, and join with those few that rank first where a victim's data lies: every
/// vacancy there would be its own (Douceur 2002; "ground" IDs). Two things together prevent that.
///
/// - The order is salted with a beacon, another one every hour, so that no ID ranks first for long
///   or where its maker wants. Placement does not move with it: it decides about vacancies only,
///   and who holds something keeps it.
/// - Members count only if they were known before the salt was. Else IDs would be ground against
///   the present salt and join within its hour. Newer ones rank after all others, not out: in a
///   network that is seconds old everybody is new.
///
/// What is left to an attacker is its share of the members that have been around for hours, however
/// many IDs it tried and whichever it kept: no ID is a lucky one for more than an hour. An ID that
/// were hashed once with something learnt at joining, as in the cuckoo rule (Awerbuch and Scheideler
/// 2006) without its evictions, would stay lucky: joining again and again would find one.
/// That share is what networks (`DiversityRule`) and standings bound, not this.
///
/// What it does not give: whoever can make a custodian fail at a time of its choice may wait for an
/// hour in which its own peer comes first; and who has been up for less than those hours itself
/// cannot tell others' ages further back.
package struct PlacementOrder: Sendable {
    /// By so much may peers differ about when they first heard of a member.
    package static let acquaintance = Duration.seconds(60)

    private let salt: PlacementSalt?
    private let eldersSince: Instant

    /// `localSince`: when the peer that ranks began to know others.
    package init(_ salt: PlacementSalt?, localSince: Instant) {
        self.salt = salt
        // Whom it met at once may have been there for long.
        eldersSince = max(
            salt?.unknownUntil ?? Instant(nanoseconds: .max),
            localSince + PlacementOrder.acquaintance)
    }

    /// The rendezvous score under the salt; higher ranks first.
    package func score(position: Digest, peer: PeerID) -> Digest {
        Rendezvous.score(position: position, peer: peer, salt: salt?.value)
    }

    /// Whether its ID was fixed before the salt was known, as far as this peer can tell.
    package func isElder(_ member: Member) -> Bool { member.joined <= eldersSince }

    /// Those who were there before the salt was known, then the others, each by score.
    package func rank(position: Digest, members: [Member]) -> [Member] {
        // Indices are sorted: members are dear to move.
        let scored = members.indices.map { index in
            (
                isElder: isElder(members[index]),
                score: score(position: position, peer: members[index].peer), index: index
            )
        }
        return scored.sorted { left, right in
            if left.isElder != right.isElder { return left.isElder }
            if left.score != right.score { return left.score > right.score }
            return members[left.index].peer < members[right.index].peer
        }.map { members[$0.index] }
    }

    /// How many of `others` should have been taken rather than `member`. Counts only what this peer
    /// is sure of, so that two who heard of members at slightly different times agree: those who
    /// were there well before the salt was known, and that score higher unless `member` is too new
    /// to be compared at all.
    package func passedOver(_ others: [Member], by member: Member, position: Digest) -> Int {
        guard let salt else { return 0 }
        let own = score(position: position, peer: member.peer)
        let isComparable = member.joined <= salt.unknownUntil + PlacementOrder.acquaintance
        return others.count { other in
            other.joined <= salt.unknownUntil - PlacementOrder.acquaintance
                && (!isComparable || score(position: position, peer: other.peer) > own)
        }
    }
}
