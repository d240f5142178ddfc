package import CyxCore

/// Who is in the network, after SWIM (Das, Gupta and Motivala 2002) with Lifeguard's local health,
/// dynamic suspicion, buddies and nacks. All of one peer's membership state and no clock, task or socket:
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
        /// Sign this accusation and give it to `publish`.
        case accuse(peer: PeerID, incarnation: UInt64, kind: Accusation.Kind)
        /// A member's state has changed.
        case note(peer: PeerID, from: MemberState?, to: MemberState)
    }

    struct Entry: Sendable {
        var statement: MemberStatement
        var state: MemberState
        var since: Instant
        /// When this peer first heard of it.
        var joined: Instant
        var suspicion: Suspicion?
        /// The group that counts when several accusers are to come from several networks.
        var network: UInt64
        /// What was said of it before it answered this peer. Who said so is believed again later,
        /// and only if it says so anew.
        var disproved: (accusations: [Accusation], until: Instant)?
        /// When a member that is away is missed.
        var awayUntil: Instant?
        /// When it last answered this peer, or asked it something.
        var heard: Instant?
        /// For what others said it is held dead; those who missed it are shown.
        var evidence: [Accusation] = []
    }

    struct Probe: Sendable {
        var id: UInt64
        var target: PeerID
        var indirectAt: Instant
        var deadline: Instant
        /// Out of turn, because of what others say.
        var isCheck = false
        /// Who said so, if it is to be passed on to the target.
        var hintedBy: PeerID?
        var helpers = 0
        var helpersHeard = 0
        var isIndirect = false
    }

    /// A look at a member out of turn, not begun yet.
    struct Check: Sendable {
        var peer: PeerID
        var due: Instant
        var hintedBy: PeerID?
    }

    package let timings: MembershipTimings
    let defences: MembershipDefences
    /// What counts as one network when accusers are to come from several.
    let diversity: DiversityRule
    package let limits: ViewLimits
    package private(set) var own: MemberStatement
    /// Lifeguard's local health multiplier minus 1: 0 is healthy.
    package internal(set) var health = 0
    /// How often this process found itself stalled.
    package internal(set) var stalls: UInt64 = 0
    package internal(set) var refutations: UInt64 = 0
    /// Of this life of the process.
    let firstIncarnation: UInt64
    /// What this peer's store said when it was opened.
    var opened = StoreMark.none
    /// Whether others have seen that store further than it is.
    package internal(set) var isStoreBehind = false

    var entries: [PeerID: Entry] = [:]
    /// Keys of `entries`, sorted: the only order in which they are walked.
    var order: [PeerID] = []
    var suspects: [PeerID] = []
    /// Members that are away.
    var absent: [PeerID] = []
    /// Whom this peer keeps of a large network; nil while it knows everybody.
    var partial: PartialView?
    /// The wall clock's reading at `Instant` 0, in milliseconds, as the shell last told.
    private var wallOffset: Int64 = 0
    /// Other members that are alive or suspected, sorted.
    package internal(set) var reachablePeers: [PeerID] = []
    var gossip = GossipQueue()
    var actions: [Action] = []
    var generator: SeededGenerator
    /// Those on their way: the one whose turn it is, and checks.
    var probes: [Probe] = []
    var checks: [Check] = []
    var probeOrder: [PeerID] = []
    /// Of a large network's sample, those whose turn is still to come.
    var sampleOrder: [PeerID] = []
    var probeTurn = 0
    var probeSequence: UInt64 = 0
    var probeDue: Instant
    var gossipDue: Instant
    var syncDue: Instant
    var lastSync: Instant
    var syncTurn = 0
    var changed = true
    /// When this machine last had an input.
    var lastInput: Instant

    /// A network of one. Phases are drawn from `seed`, so that peers do not act in step.
    package init(
        own: MemberStatement, timings: MembershipTimings, defences: MembershipDefences = .all,
        diversity: DiversityRule = .networks, limits: ViewLimits = ViewLimits(), seed: UInt64,
        now: Instant
    ) {
        self.limits = limits
        self.own = own
        firstIncarnation = own.incarnation
        self.timings = timings
        self.defences = defences
        self.diversity = diversity
        generator = SeededGenerator(seed: seed)
        func phase(_ interval: Duration) -> Instant {
            now + .nanoseconds(Int64.random(in: 0...interval.nanoseconds, using: &generator))
        }
        lastInput = now
        lastSync = now
        probeDue = now
        gossipDue = now
        syncDue = now
        probeDue = phase(timings.probeInterval)
        gossipDue = phase(timings.gossipInterval)
        syncDue = phase(timings.syncInterval)
        noteOpening()
        spread(own.peer, .statement)
    }

    package var localPeer: PeerID { own.peer }

    /// Members by peer, this one among them.
    package func members(since start: Instant) -> [PeerID: Member] {
        var members = entries.mapValues {
            Member(
                info: $0.statement.info, state: $0.state, since: $0.since, joined: $0.joined)
        }
        members[localPeer] = Member(
            info: own.info, state: own.isLeaving ? .left : .alive, since: start)
        return members
    }

    package func state(of peer: PeerID) -> MemberState? { entries[peer]?.state }
    package func incarnation(of peer: PeerID) -> UInt64? {
        peer == localPeer ? own.incarnation : entries[peer]?.statement.incarnation
    }

    package var reachableCount: Int { reachablePeers.count }

    package func isReachable(_ peer: PeerID) -> Bool {
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

    /// Tells the wall clock, by which members announce how long they are away.
    package mutating func setWallClock(milliseconds: UInt64, now: Instant) {
        wallOffset = Int64(clamping: milliseconds) - now.nanoseconds / 1_000_000
    }

    /// When a member that announced to be away is missed; nil if it is not away, or no longer.
    private func absence(_ statement: MemberStatement, now: Instant) -> Instant? {
        guard statement.awayUntilMilliseconds > 0 else { return nil }
        let announced = Int64(clamping: statement.awayUntilMilliseconds) - wallOffset
        let latest = now + MembershipLimits.maintenance
        let end = min(latest.nanoseconds / 1_000_000, announced)
        guard end > now.nanoseconds / 1_000_000 else { return nil }
        return Instant(nanoseconds: end * 1_000_000) + timings.maintenanceGrace
    }

    /// Members that are still away although they should be back are treated like all others again:
    /// whoever probes them finds out.
    mutating func missAbsent(now: Instant) {
        for peer in absent {
            guard let until = entries[peer]?.awayUntil, until <= now else { continue }
            guard makeRoom(for: peer, as: .alive) else { continue }
            entries[peer]?.state = .alive
            entries[peer]?.since = now
            entries[peer]?.awayUntil = nil
            changed = true
            moved(peer, from: .away, to: .alive)
        }
    }

    // MARK: What is said of members

    /// This peer says something new of itself.
    package mutating func state(_ statement: MemberStatement) {
        precondition(statement.peer == localPeer, "a peer states itself only")
        precondition(statement.incarnation > own.incarnation, "incarnations grow")
        own = statement
        noteOpening()
        spread(localPeer, .statement)
        changed = true
    }

    /// Takes in a verified statement; returns whether it was news.
    @discardableResult
    package mutating func handle(_ statement: MemberStatement, now: Instant) -> Bool {
        observe(now)
        let peer = statement.peer
        guard peer != localPeer else {
            compareStore(statement)
            // A former life of this peer, from a clock that was ahead: outbid it.
            if statement.incarnation > own.incarnation { refute(above: statement.incarnation) }
            return false
        }
        if let known = entries[peer] {
            guard statement.incarnation > known.statement.incarnation else { return false }
            guard !isBehind(statement, known.statement) else { return false }
        }
        let before = entries[peer]
        let awayUntil = absence(statement, now: now)
        let state: MemberState = statement.isLeaving ? .left : awayUntil == nil ? .alive : .away
        guard makeRoom(for: peer, as: state) else { return false }
        let isSame = before?.state == state
        entries[peer] = Entry(
            statement: statement, state: state,
            since: isSame ? before?.since ?? now : now, joined: before?.joined ?? now,
            suspicion: nil,
            network: network(of: statement.info), awayUntil: awayUntil, heard: before?.heard)
        if before == nil { order.insert(peer, at: place(of: peer, in: order)) }
        changed = true
        spread(peer, .statement)
        if !isSame { moved(peer, from: before?.state, to: state) }
        return true
    }

    /// Lifeguard's local health: this peer has cause to think itself slow.
    mutating func weaken(by amount: Int) {
        guard defences.contains(.awareness) else { return }
        health = min(MembershipLimits.health, health + amount)
    }

    mutating func refute(above incarnation: UInt64) {
        refutations += 1
        actions.append(.restate(incarnation: max(incarnation, own.incarnation) + 1))
    }

    mutating func moved(_ peer: PeerID, from: MemberState?, to: MemberState) {
        suspects.removeAll { $0 == peer }
        absent.removeAll { $0 == peer }
        if to == .away { absent.append(peer) }
        if to == .suspect { suspects.append(peer) }
        let was = from == .alive || from == .suspect
        let isNow = to == .alive || to == .suspect
        if was, !isNow { reachablePeers.remove(at: place(of: peer, in: reachablePeers)) }
        if was, !isNow { partial?.remove(peer) }
        if isNow, !was {
            reachablePeers.insert(peer, at: place(of: peer, in: reachablePeers))
            // At a random place, so that a joining member is probed soon by some (SWIM §4.3).
            let place = Int.random(in: 0...probeOrder.count, using: &generator)
            probeOrder.insert(peer, at: place)
        }
        actions.append(.note(peer: peer, from: from, to: to))
    }

    /// Where `peer` is in a sorted list, or belongs.
    func place(of peer: PeerID, in list: [PeerID]) -> Int {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < peer { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Forgets members that have been dead for long, or are too many.
    mutating func forget(now: Instant) {
        var departed = order.filter { entries[$0]?.state == .dead || entries[$0]?.state == .left }
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
        for peer in dropped { partial?.remove(peer) }
        let gone = Set(dropped)
        order.removeAll { gone.contains($0) }
        changed = true
    }
}
