package import CyxCore

/// Who is in the network, after SWIM (Das, Gupta and Motivala 2002) with Lifeguard's local health,
/// dynamic suspicion and nacks. All of one peer's membership state and no clock, task or socket:
/// inputs are `handle…`, outputs are `takeActions`, `nextTimeout` and the members.
package struct MembershipMachine: Sendable {
    /// What the shell is to do.
    package enum Action: Equatable, Sendable {
        case probe(id: UInt64, target: PeerID, timeout: Duration)
        case probeThrough(id: UInt64, target: PeerID, helpers: [PeerID], timeout: Duration)
        case gossip(to: PeerID)
        case sync(with: PeerID)
        /// Sign this peer's statement anew with this incarnation.
        case restate(incarnation: UInt64)
        /// A member's state has changed.
        case note(peer: PeerID, from: MemberState?, to: MemberState)
    }

    struct Entry: Sendable {
        var statement: MemberStatement
        var state: MemberState
        var since: Instant
        var suspicion: Suspicion?
    }

    struct Probe: Sendable {
        var id: UInt64
        var target: PeerID
        var indirectAt: Instant
        var deadline: Instant
        var helpers = 0
        var helpersHeard = 0
        var isIndirect = false
    }

    package let timings: MembershipTimings
    package private(set) var own: MemberStatement
    /// Lifeguard's local health multiplier minus 1: 0 is healthy.
    package internal(set) var health = 0
    /// How often this process found itself stalled.
    package internal(set) var stalls: UInt64 = 0
    package internal(set) var refutations: UInt64 = 0

    var entries: [PeerID: Entry] = [:]
    /// Keys of `entries`, sorted: the only order in which they are walked.
    var order: [PeerID] = []
    var suspects: [PeerID] = []
    var reachableCount = 0
    var gossip = GossipQueue()
    var actions: [Action] = []
    var generator: SeededGenerator
    var probe: Probe?
    var probeOrder: [PeerID] = []
    var probeSequence: UInt64 = 0
    var probeDue: Instant
    var gossipDue: Instant
    var syncDue: Instant
    var syncTurn = 0
    private var changed = true

    /// A network of one. Phases are drawn from `seed`, so that peers do not act in step.
    package init(own: MemberStatement, timings: MembershipTimings, seed: UInt64, now: Instant) {
        self.own = own
        self.timings = timings
        generator = SeededGenerator(seed: seed)
        func phase(_ interval: Duration) -> Instant {
            now + .nanoseconds(Int64.random(in: 0...interval.nanoseconds, using: &generator))
        }
        probeDue = now
        gossipDue = now
        syncDue = now
        probeDue = phase(timings.probeInterval)
        gossipDue = phase(timings.gossipInterval)
        syncDue = phase(timings.syncInterval)
        gossip.add(own.peer, .statement)
    }

    package var localPeer: PeerID { own.peer }

    /// Members by peer, this one among them.
    package func members(since start: Instant) -> [PeerID: Member] {
        var members = entries.mapValues {
            Member(info: $0.statement.info, state: $0.state, since: $0.since)
        }
        members[localPeer] = Member(
            info: own.info, state: own.isLeaving ? .left : .alive, since: start)
        return members
    }

    package func state(of peer: PeerID) -> MemberState? { entries[peer]?.state }
    package func incarnation(of peer: PeerID) -> UInt64? {
        peer == localPeer ? own.incarnation : entries[peer]?.statement.incarnation
    }

    /// Other members that are alive or suspected.
    package var reachablePeers: [PeerID] { order.filter { isReachable($0) } }

    func isReachable(_ peer: PeerID) -> Bool {
        guard let state = entries[peer]?.state else { return false }
        return state == .alive || state == .suspect
    }

    package mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    /// Whether the members differ from those at the last call.
    package mutating func takeChanged() -> Bool {
        defer { changed = false }
        return changed
    }

    // MARK: What is said of members

    /// This peer says something new of itself.
    package mutating func state(_ statement: MemberStatement) {
        precondition(statement.peer == localPeer, "a peer states itself only")
        precondition(statement.incarnation > own.incarnation, "incarnations grow")
        own = statement
        gossip.add(localPeer, .statement)
        changed = true
    }

    /// Takes in a verified statement; returns whether it was news.
    @discardableResult
    package mutating func handle(_ statement: MemberStatement, now: Instant) -> Bool {
        let peer = statement.peer
        guard peer != localPeer else {
            // A former life of this peer, from a clock that was ahead: outbid it.
            if statement.incarnation > own.incarnation { refute(above: statement.incarnation) }
            return false
        }
        if let known = entries[peer] {
            guard statement.incarnation > known.statement.incarnation else { return false }
        } else {
            guard entries.count < MembershipLimits.members else { return false }
        }
        let before = entries[peer]
        let state: MemberState = statement.isLeaving ? .left : .alive
        let isSame = before?.state == state
        entries[peer] = Entry(
            statement: statement, state: state,
            since: isSame ? before?.since ?? now : now, suspicion: nil)
        if before == nil { insert(peer) }
        changed = true
        gossip.add(peer, .statement)
        if !isSame { moved(peer, from: before?.state, to: state) }
        return true
    }

    /// Takes in what `accusation.accuser` says of another peer, as it came by gossip.
    package mutating func handle(_ accusation: Accusation, now: Instant) {
        let peer = accusation.peer
        if peer == localPeer {
            // Only what this peer has said itself can be doubted; anything else is made up.
            guard accusation.incarnation == own.incarnation, !own.isLeaving else { return }
            health = min(MembershipLimits.health, health + 1)
            refute(above: accusation.incarnation)
            return
        }
        guard let entry = entries[peer],
            entry.statement.incarnation == accusation.incarnation
        else { return }
        switch accusation.kind {
        case .suspect: suspect(peer, accuser: accusation.accuser, now: now)
        case .dead:
            if entry.state == .alive || entry.state == .suspect {
                bury(peer, accuser: accusation.accuser, now: now)
            }
        }
    }

    private mutating func refute(above incarnation: UInt64) {
        refutations += 1
        actions.append(.restate(incarnation: max(incarnation, own.incarnation) + 1))
    }

    mutating func suspect(_ peer: PeerID, accuser: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        switch entry.state {
        case .alive:
            entry.suspicion = Suspicion(
                accuser: accuser, started: now, timings: timings, members: reachableCount + 1)
            entry.state = .suspect
            entry.since = now
            entries[peer] = entry
            changed = true
            moved(peer, from: .alive, to: .suspect)
        case .suspect:
            guard entry.suspicion?.confirm(accuser) == true else { return }
            entries[peer] = entry
        case .dead, .left: return
        }
        let accusation = Accusation(
            peer: peer, incarnation: entry.statement.incarnation, kind: .suspect, accuser: accuser)
        gossip.add(peer, .accusation(accusation))
    }

    mutating func bury(_ peer: PeerID, accuser: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        let before = entry.state
        entry.state = .dead
        entry.since = now
        entry.suspicion = nil
        entries[peer] = entry
        changed = true
        moved(peer, from: before, to: .dead)
        let accusation = Accusation(
            peer: peer, incarnation: entry.statement.incarnation, kind: .dead, accuser: accuser)
        gossip.add(peer, .accusation(accusation))
    }

    private mutating func moved(_ peer: PeerID, from: MemberState?, to: MemberState) {
        suspects.removeAll { $0 == peer }
        if to == .suspect { suspects.append(peer) }
        let was = from == .alive || from == .suspect
        let isNow = to == .alive || to == .suspect
        if was != isNow { reachableCount += isNow ? 1 : -1 }
        if isNow, !was {
            // At a random place, so that a joining member is probed soon by some (SWIM §4.3).
            let place = Int.random(in: 0...probeOrder.count, using: &generator)
            probeOrder.insert(peer, at: place)
        }
        actions.append(.note(peer: peer, from: from, to: to))
    }

    private mutating func insert(_ peer: PeerID) {
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if order[middle] < peer { low = middle + 1 } else { high = middle }
        }
        order.insert(peer, at: low)
    }

    /// Forgets members that have been dead for long, or are too many.
    mutating func forget(now: Instant) {
        var departed = order.filter { !isReachable($0) }
        var dropped = departed.filter { peer in
            entries[peer].map { now - $0.since > timings.retention } ?? true
        }
        let excess = departed.count - dropped.count - MembershipLimits.departed
        if excess > 0 {
            let gone = Set(dropped)
            departed.removeAll { gone.contains($0) }
            departed.sort { left, right in
                let (a, b) = (entries[left]?.since ?? now, entries[right]?.since ?? now)
                return a != b ? a < b : left < right
            }
            dropped += departed.prefix(excess)
        }
        guard !dropped.isEmpty else { return }
        for peer in dropped { entries[peer] = nil }
        let gone = Set(dropped)
        order.removeAll { gone.contains($0) }
        changed = true
    }
}
