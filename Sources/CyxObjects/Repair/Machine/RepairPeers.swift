package import CyxCore

/// What a custodian goes by of one storage peer that is there, or away for maintenance.
package struct RepairPeer: Hashable, Sendable {
    package var store: StoreID
    package var zone: String
    /// It announced maintenance: nothing can be read from it, but it comes back.
    package var isAway: Bool
    /// How likely it is gone soon, from 0 to 1: decides among segments with one margin.
    package var risk: Double

    package init(store: StoreID, zone: String, isAway: Bool = false, risk: Double = 0) {
        self.store = store
        self.zone = zone
        self.isAway = isAway
        self.risk = risk
    }
}

/// Which storage peers there are, by zone, and whether too many went at once (B4). A machine.
package struct RepairPeers: Sendable {
    /// Losses of more than one in so many peers within the window are a storm.
    static let stormShare = 10
    /// A zone of so many peers that goes whole is one, too.
    static let stormZonePeers = 2

    private struct Loss: Sendable {
        var at: Instant
        var peer: PeerID
        var zone: String
    }

    private let timings: RepairTimings
    private(set) package var peers: [PeerID: RepairPeer] = [:]
    /// Peers that are not away, by zone.
    private(set) var zones: [String: Int] = [:]
    private var losses: [Loss] = []
    /// Whose loss shows here and counts; nil: everybody's.
    private var watched: Set<PeerID>?
    /// Until then only endangered segments are rebuilt.
    package private(set) var stormEnd: Instant?

    package init(timings: RepairTimings) { self.timings = timings }

    package var zoneCount: Int { zones.count }

    package subscript(peer: PeerID) -> RepairPeer? { peers[peer] }

    /// Takes over what is known now; returns who changed, in order. Of a network too large to know
    /// everybody, only those who are `watched` are known to be gone when they are not among `peers`
    /// any more: others had to make room, or nobody noticed.
    package mutating func replace(
        _ peers: [PeerID: RepairPeer], watched: Set<PeerID>? = nil, now: Instant
    ) -> [PeerID] {
        self.watched = watched
        let gone = self.peers.keys.filter { peers[$0] == nil }
        let others = peers.filter { self.peers[$0.key] != $0.value }.keys
        let changed = (gone + others).sorted()
        for peer in changed { set(peer, peers[peer], now: now) }
        return changed
    }

    /// Takes over one peer's state; nil: it is gone.
    package mutating func set(_ peer: PeerID, _ state: RepairPeer?, now: Instant) {
        let former = peers[peer]
        if let former, !former.isAway { count(former.zone, -1) }
        if let state, !state.isAway { count(state.zone, 1) }
        peers[peer] = state
        losses.removeAll { now - $0.at > timings.storm.window || $0.peer == peer }
        if let former, state == nil, watched?.contains(peer) ?? true {
            losses.append(Loss(at: now, peer: peer, zone: former.zone))
            if isStorm(former.zone) { stormEnd = now + timings.storm.hold }
        }
    }

    private mutating func count(_ zone: String, _ change: Int) {
        let number = zones[zone, default: 0] + change
        zones[zone] = number == 0 ? nil : number
    }

    /// Whether the last loss, in `zone`, makes it one.
    private func isStorm(_ zone: String) -> Bool {
        let left = watched.map { $0.count { peers[$0] != nil } } ?? peers.count
        if losses.count * RepairPeers.stormShare > left + losses.count { return true }
        let isZoneGone =
            watched.map { $0.allSatisfy { peers[$0]?.zone != zone } } ?? (zones[zone] == nil)
        return isZoneGone && losses.count { $0.zone == zone } >= RepairPeers.stormZonePeers
    }

    func isStorm(at now: Instant) -> Bool { stormEnd.map { now < $0 } ?? false }
}
