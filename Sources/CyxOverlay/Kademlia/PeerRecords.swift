package import CyxCore

/// The signed records of other peers that this one keeps for those who look them up, each under its
/// peer ID. Of two the one with the higher sequence number counts, which here is the incarnation
/// that membership uses too; nobody but the subject can make one.
package struct PeerRecords: Sendable {
    /// Records kept; beyond, those farthest from this peer's own ID go.
    package static let limit = 4096
    /// A record is kept so long after it was last stored, and republished more often than that.
    package static let lifetime = Duration.seconds(24 * 3600)

    private struct Entry: Sendable {
        var statement: MemberStatement
        var expires: Instant
    }

    private let local: PeerID
    private let limit: Int
    private var entries: [PeerID: Entry] = [:]

    package init(local: PeerID, limit: Int = PeerRecords.limit) {
        self.local = local
        self.limit = limit
    }

    package var count: Int { entries.count }

    /// The sequence number of the record kept of `peer`.
    package func incarnation(of peer: PeerID) -> UInt64? {
        entries[peer]?.statement.incarnation
    }

    /// Keeps a record whose signature was checked; returns false for one older than what is kept.
    @discardableResult
    package mutating func store(_ statement: MemberStatement, now: Instant) -> Bool {
        if let kept = entries[statement.peer], kept.statement.incarnation > statement.incarnation {
            return false
        }
        entries[statement.peer] = Entry(statement: statement, expires: now + Self.lifetime)
        if entries.count > limit { makeRoom(now: now) }
        return entries[statement.peer] != nil
    }

    /// Takes out what has expired, else the eighth that is farthest from this peer: who looks those
    /// up asks others.
    private mutating func makeRoom(now: Instant) {
        let expired = entries.filter { $0.value.expires <= now }.map(\.key)
        for peer in expired { entries[peer] = nil }
        guard entries.count > limit else { return }
        let byDistance = entries.keys.sorted {
            ($0.digest ^ local.digest) < ($1.digest ^ local.digest)
        }
        for peer in byDistance.suffix(max(1, limit / 8)) { entries[peer] = nil }
    }

    package func record(of peer: PeerID, now: Instant) -> MemberStatement? {
        guard let entry = entries[peer], entry.expires > now else { return nil }
        return entry.statement
    }
}
