package import CyxCore
package import CyxTransport

/// What a peer does so that others reach it, and it them, through NATs.
package struct ReachabilityOptions: Sendable {
    package var addresses = AddressRule.all
    /// The members are known (a private network): one's word on this peer's address will do.
    package var trustsPeers = true
    /// The relay role; nil: this peer brings others together, but carries nothing for them.
    package var relay: RelayLimits?
    /// Before others are first asked where they see this peer, and between two rounds while it is
    /// behind a NAT, or not.
    package var firstObservation = Duration.milliseconds(500)
    package var observationInterval = Duration.seconds(30)
    package var calmInterval = Duration.seconds(300)
    /// Reservations are renewed so often. It keeps the NAT's mapping too: they may forget after two
    /// minutes (RFC 4787 §4.3), and many do after half a one.
    package var renewInterval = Duration.seconds(15)
    package var callTimeout = Duration.seconds(2)
    package init() {}
}

extension RPCMethod {
    package static let reachObserve = RPCMethod(rawValue: 0x0110)
    package static let reachMeet = RPCMethod(rawValue: 0x0111)
    package static let reachVisit = RPCMethod(rawValue: 0x0112)
    package static let reachReserve = RPCMethod(rawValue: 0x0113)
    package static let reachCircuit = RPCMethod(rawValue: 0x0114)
    package static let reachIncoming = RPCMethod(rawValue: 0x0115)
}

/// Who is where, as its own record says: what reachability needs of the overlay.
package protocol PeerDirectory: Membership {
    /// What `peer` says of itself; looked up if it is not known.
    func info(of peer: PeerID) async -> MemberInfo?
}

extension Overlay: PeerDirectory {
    package func info(of peer: PeerID) async -> MemberInfo? { await find(peer)?.info }
}

/// The bounds of what one peer does for reachability.
package enum ReachabilityLimits {
    /// Peers searched for, and attempts to open NATs, at the same time.
    package static let searches = 1024
    package static let punches = 256
    /// Records of peers that are no members looked up at the same time; one that nobody has is not
    /// looked up again for a while.
    package static let lookups = 4
    package static let missingFor = Duration.seconds(30)
    /// Peers asked in one round where they see this one.
    package static let observers = 3
    /// Peers that this one reserves at while it is behind a NAT.
    package static let reservations = 2
    /// Requests of one peer to be brought together with others, or to be relayed, per second and
    /// at once.
    package static let requestsPerSecond = 4.0
    package static let requestBurst = 16.0
    /// Peers whose requests are counted; when there are more, all start anew.
    package static let counted = 4096
}

/// Makes paths to peers that cannot just be dialed, and lets others make paths to this one: the shell
/// around `ObservedAddresses`, `PathSearch`, `HolePunch`, `RelayMachine` and `Circuits`.
package actor Reachability {
    package typealias Transport = PeerMessaging & PeerDatagrams & PathControl

    struct Punch {
        var peer: PeerID
        var machine: HolePunch
        /// What openers to the other side carry, once it has said.
        var theirs: Opener.Token?
    }

    /// Connections to one peer.
    struct Connections {
        var direct = 0
        var relayed = 0
    }

    enum Job: Sendable {
        case find(PeerID)
        case meet(PeerID, through: PeerContact)
        case relay(PeerID, through: PeerContact)
        case rescue(PeerID)
    }

    let environment: Environment
    let transport: any Transport
    let directory: any PeerDirectory
    let options: ReachabilityOptions
    let logger: Logger
    let localPeer: PeerID
    let counters: ReachabilityCounters
    var observed: ObservedAddresses
    var relay: RelayMachine
    var circuits = Circuits()
    var searches: [PeerID: PathSearch] = [:]
    var punches: [Opener.Token: Punch] = [:]
    var connections: [PeerID: Connections] = [:]
    private var total = Connections()
    /// Where others may meet this peer, and until when.
    var reserved: [PeerID: (contact: PeerContact, expires: Instant)] = [:]
    var requests = RequestLimiter()
    var generator: SeededGenerator
    private var lookups = 0
    /// Peers that were looked up in vain, and when.
    private var missing: [PeerID: Instant] = [:]
    private var timer: (id: TimerID, deadline: Instant)?

    private nonisolated let jobs: AsyncStream<Job>
    private nonisolated let jobSink: AsyncStream<Job>.Continuation
    private static let jobsMax = 1024

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    /// `local` is the address that this peer's socket has, as far as it knows.
    package init(
        environment: Environment, transport: any Transport, directory: any PeerDirectory,
        local: SocketAddress, options: ReachabilityOptions
    ) {
        self.environment = environment
        self.transport = transport
        self.directory = directory
        self.options = options
        localPeer = transport.localPeer
        logger = environment.logger.labelled("reach")
        counters = ReachabilityCounters(environment.metrics)
        observed = ObservedAddresses(
            local: local, rule: options.addresses, trustsPeers: options.trustsPeers)
        relay = RelayMachine(
            limits: options.relay ?? RelayLimits(), carries: options.relay != nil,
            seed: environment.random.next())
        generator = environment.random.generator()
        (jobs, jobSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.jobsMax))
        install()
    }

    private nonisolated func install() {
        transport.findPaths { [weak self] event in
            self?.assumeIsolated { $0.handle(event) }
        }
        transport.carry { [weak self] packet, address in
            self?.assumeIsolated { $0.carry(packet, to: address) }
        }
        transport.handleDatagrams { [weak self] remote, bytes in
            self?.assumeIsolated { $0.arrived(bytes, from: remote.peer) }
        }
        installHandlers()
    }

    /// Takes part until cancelled.
    package func run() async throws {
        defer {
            if let timer { environment.executor.cancel(timer.id) }
            jobSink.finish()
        }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await self.observe() }
            group.addTask { try await self.keepReservations() }
            for await job in jobs {
                group.addTask { await self.perform(job) }
            }
        }
        try Task.checkCancellation()
    }

    private func perform(_ job: Job) async {
        switch job {
        case .find(let peer): await find(peer)
        case .meet(let peer, let helper): await meet(peer, through: helper)
        case .relay(let peer, let helper): await openCircuit(to: peer, through: helper)
        case .rescue(let peer): await rescue(peer)
        }
    }

    // MARK: Events of the transport

    private func handle(_ event: PathEvent) {
        let now = environment.now()
        switch event {
        case .wanted(let peer):
            guard searches[peer]?.standing != .searching else { return }
            guard searches.count < ReachabilityLimits.searches else {
                return transport.giveUp(peer)
            }
            jobSink.yield(.find(peer))
        case .opened(let peer, let address):
            opened(peer, isDirect: !address.isVirtual, now: now)
        case .moved(let peer, let before, let address):
            moved(peer, from: before, to: address, now: now)
        case .doubted(let peer, _): jobSink.yield(.rescue(peer))
        case .closed(let peer, let address): closed(peer, address, now: now)
        case .opener(let opener, let source):
            guard punches[opener.token] != nil else { return }
            punches[opener.token]?.machine.handleOpener(from: source, now: now)
            settle(opener.token)
        }
        arm()
    }

    private func opened(_ peer: PeerID, isDirect: Bool, now: Instant) {
        if isDirect {
            connections[peer, default: Connections()].direct += 1
        } else {
            connections[peer, default: Connections()].relayed += 1
        }
        countConnections(isDirect: isDirect, by: 1)
        found(peer, isDirect: isDirect, now: now)
    }

    /// A connection went from a relay to a direct path, or back. Its circuit is kept for a return
    /// until others need the room.
    private func moved(
        _ peer: PeerID, from before: SocketAddress, to address: SocketAddress, now: Instant
    ) {
        guard before.isVirtual != address.isVirtual else { return }
        let change = address.isVirtual ? -1 : 1
        connections[peer, default: Connections()].direct += change
        connections[peer, default: Connections()].relayed -= change
        countConnections(isDirect: true, by: change)
        countConnections(isDirect: false, by: -change)
        if address.isVirtual {
            lostDirect(peer, now: now)
        } else {
            found(peer, isDirect: true, now: now)
        }
    }

    private func lostDirect(_ peer: PeerID, now: Instant) {
        guard searches[peer] != nil else { return }
        logger.info("path lost", [("peer", peer.hex), ("path", "direct")])
        searches[peer]?.fellBack(now: now)
        settle(peer)
    }

    private func found(_ peer: PeerID, isDirect: Bool, now: Instant) {
        guard let search = searches[peer] else { return }
        if search.standing != (isDirect ? .direct : .relayed) {
            counters.found(isDirect: isDirect)
            logger.info(
                "path found", [("peer", peer.hex), ("path", isDirect ? "direct" : "relayed")])
        }
        searches[peer]?.opened(direct: isDirect, now: now)
        if isDirect {
            for token in punches.keys where punches[token]?.peer == peer { punches[token] = nil }
        }
        settle(peer)
    }

    private func closed(_ peer: PeerID, _ address: SocketAddress, now: Instant) {
        guard var open = connections[peer] else { return }
        if address.isVirtual {
            open.relayed -= 1
            circuits.remove(address)
        } else {
            open.direct -= 1
        }
        countConnections(isDirect: !address.isVirtual, by: -1)
        connections[peer] = open.direct + open.relayed > 0 ? open : nil
        guard searches[peer] != nil else { return }
        if open.direct + open.relayed <= 0 {
            searches[peer] = nil
        } else if open.direct == 0, !address.isVirtual {
            lostDirect(peer, now: now)
        }
    }

    private func countConnections(isDirect: Bool, by amount: Int) {
        if isDirect { total.direct += amount } else { total.relayed += amount }
        counters.set(direct: total.direct, relayed: total.relayed)
    }

    // MARK: Machines

    /// What is known of how to reach `peer` begins its search. Members are not looked up: one that
    /// is dead would cost a lookup for every call to it, and lookups ask dead contacts too.
    private func find(_ peer: PeerID) async {
        var info = directory.snapshot.members[peer]?.info
        if let member = directory.snapshot.members[peer] {
            if !member.isReachable { info = nil }
        } else if mayLookUp(peer) {
            lookups += 1
            info = await directory.info(of: peer)
            lookups -= 1
            if info == nil { missing[peer] = environment.now() }
        }
        guard searches[peer]?.standing != .searching else { return }
        searches[peer] = PathSearch(
            relays: info.map { relays(of: $0) } ?? [], now: environment.now())
        settle(peer)
        arm()
    }

    /// Who brings others to a peer, as it says itself.
    func relays(of info: MemberInfo) -> [PeerContact] {
        info.relays.filter {
            $0.peer != localPeer && $0.peer != info.peer && options.addresses.allows($0.address)
        }
    }

    /// Few lookups at a time, and none soon again for one that nobody knew.
    private func mayLookUp(_ peer: PeerID) -> Bool {
        let now = environment.now()
        if let time = missing[peer], now - time < ReachabilityLimits.missingFor { return false }
        if missing.count >= ReachabilityLimits.counted { missing = [:] }
        return lookups < ReachabilityLimits.lookups
    }

    /// Carries out what a search wants.
    func settle(_ peer: PeerID) {
        for action in searches[peer]?.takeActions() ?? [] {
            switch action {
            case .meet(let helper): jobSink.yield(.meet(peer, through: helper))
            case .relay(let helper): jobSink.yield(.relay(peer, through: helper))
            case .giveUp:
                searches[peer] = nil
                counters.failed.add()
                logger.debug("no path", [("peer", peer.description)])
                transport.giveUp(peer)
            }
        }
    }

    /// Carries out what an attempt to open NATs wants.
    func settle(_ token: Opener.Token) {
        guard let peer = punches[token]?.peer else { return }
        for action in punches[token]?.machine.takeActions() ?? [] {
            switch action {
            case .open(let address):
                guard let theirs = punches[token]?.theirs else { continue }
                counters.openers.add()
                transport.send(Opener(token: theirs), to: address)
            case .dial(let address): transport.reach(peer, at: address)
            case .ended:
                let wasAsked = punches[token]?.machine.dials == true
                punches[token] = nil
                guard wasAsked else { continue }
                searches[peer]?.punchEnded(now: environment.now())
                settle(peer)
            }
        }
    }

    /// Sets the timer for the earliest machine.
    func arm() {
        var next: Instant?
        for search in searches.values {
            if let due = search.nextTimeout { next = min(next ?? due, due) }
        }
        for punch in punches.values {
            if let due = punch.machine.nextTimeout { next = min(next ?? due, due) }
        }
        guard let next else { return }
        if let timer {
            guard next < timer.deadline else { return }
            environment.executor.cancel(timer.id)
        }
        let id = environment.executor.schedule(at: next) { [weak self] in
            self?.assumeIsolated { $0.timerFired() }
        }
        timer = (id, next)
    }

    private func timerFired() {
        timer = nil
        let now = environment.now()
        // In an order that does not depend on hashing, so that a simulation repeats itself.
        for peer in searches.filter({ $0.value.nextTimeout.map { $0 <= now } ?? false }).keys
            .sorted()
        {
            searches[peer]?.handleTimeout(now: now)
            settle(peer)
        }
        let due = punches.filter { $0.value.machine.nextTimeout.map { $0 <= now } ?? false }
        for token in due.keys.sorted(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) {
            punches[token]?.machine.handleTimeout(now: now)
            settle(token)
        }
        arm()
    }
}
