package import CyxCore
package import CyxCrypto
package import CyxTransport
internal import Synchronization

/// The overlay of one peer: joins, keeps the membership view, answers and makes lookups.
///
/// `run()` does the work; the snapshot can be read at any time without awaiting.
package actor Overlay: Membership {
    struct Published {
        var snapshot: MembershipSnapshot
        var observers: [@Sendable (MembershipSnapshot) -> Void] = []
    }

    let environment: Environment
    let messaging: any PeerMessaging
    let options: OverlayOptions
    let logger: Logger
    let identity: SigningKey
    var machine: MembershipMachine
    var table: RoutingTable
    var records: PeerRecords
    var tokens: StoreTokens
    /// How long others take to answer lookups.
    var answerTimes: AnswerTimes
    /// When this peer last stored its own record.
    var lastPublished: Instant?
    /// Peers that the transport was told cannot just be dialed.
    var hidden: Set<PeerID> = []
    var generator: SeededGenerator
    /// Members that its view does not hold and that are asked after.
    var watchList = WatchList()
    let started: Instant
    private nonisolated let published: Mutex<Published>
    private var timer: (id: TimerID, deadline: Instant)?
    /// What this peer last told the others of its free space.
    private var announcedInfo: MemberInfo
    /// When the maintenance that this peer announced ends, by its wall clock; 0: none.
    private var awayUntilMilliseconds: UInt64 = 0
    private var currentInfo: MemberInfo

    /// Actions on their way to `run`, which carries each out in a task of its own group.
    private nonisolated let actions: AsyncStream<MembershipMachine.Action>
    private nonisolated let actionSink: AsyncStream<MembershipMachine.Action>.Continuation

    /// Actions that may wait; the oldest go first, and the protocol repeats itself.
    private static let actionLimit = 1024
    /// A change of free space by less than this share is not worth a message.
    private static let freeSpaceShare = 0.05
    /// Nor a change of used space by less than this share, or than so many bytes.
    private static let usedSpaceShare = 0.5
    private static let usedSpaceLeast = 256.0 * 1024

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    /// `info` is what this peer says of itself; its contact must be `identity`'s.
    package init(
        environment: Environment, messaging: any PeerMessaging, identity: SigningKey,
        info: MemberInfo, options: OverlayOptions
    ) {
        self.environment = environment
        self.messaging = messaging
        self.identity = identity
        self.options = options
        logger = environment.logger.labelled("overlay")
        let now = environment.now()
        started = now
        var info = info
        info.contact.address = options.addresses.published(info.contact.address)
        let wallMilliseconds = UInt64(max(1, environment.wallTime().milliseconds))
        let statement = MemberStatement.sign(
            info, incarnation: wallMilliseconds, key: identity, network: options.network)
        machine = MembershipMachine(
            own: statement, timings: options.timings, defences: options.defences,
            diversity: options.kademlia.diversity, limits: options.view,
            seed: environment.random.next(), now: now)
        table = RoutingTable(local: info.peer, parameters: options.kademlia, now: now)
        records = PeerRecords(local: info.peer)
        answerTimes = AnswerTimes(initial: options.kademlia.patience)
        tokens = StoreTokens(secret: environment.random.digest(), now: now)
        generator = environment.random.generator()
        announcedInfo = info
        currentInfo = info
        let snapshot = MembershipSnapshot(
            localPeer: info.peer, members: machine.members(since: now))
        published = Mutex(Published(snapshot: snapshot))
        (actions, actionSink) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingNewest(Self.actionLimit))
        install()
    }

    // MARK: Membership

    package nonisolated var snapshot: MembershipSnapshot { published.withLock { $0.snapshot } }

    package nonisolated func observe(
        _ observer: @escaping @Sendable (MembershipSnapshot) -> Void
    ) {
        published.withLock { $0.observers.append(observer) }
    }

    package nonisolated func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {
        environment.executor.execute { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.apply(change) }
        }
    }

    /// Says something new of this peer; done when it returns.
    package func state(_ change: @Sendable (inout MemberInfo) -> Void) { apply(change) }

    private func apply(_ change: (inout MemberInfo) -> Void) {
        change(&currentInfo)
        currentInfo.contact.address = options.addresses.published(currentInfo.contact.address)
        precondition(currentInfo.peer == announcedInfo.peer, "a peer keeps its identity")
        var others = announcedInfo
        others.freeBytes = currentInfo.freeBytes
        guard others != currentInfo || isSpaceNews else { return }
        let wasThere = (announcedInfo.contact, announcedInfo.relays)
        if wasThere != (currentInfo.contact, currentInfo.relays) { lastPublished = nil }
        restate(incarnation: machine.own.incarnation + 1)
        pump()
    }

    /// Whether what this peer has free or uses has changed so much since it last said so that others
    /// would act otherwise: free space decides who gets new shards, and how much a peer holds decides
    /// how hard audits look for it. By shares, so that a disk that fills up is told in a few dozen
    /// statements.
    private var isSpaceNews: Bool {
        let allocated = Double(currentInfo.allocatedBytes)
        let (before, now) = (Double(announcedInfo.freeBytes), Double(currentInfo.freeBytes))
        let moved = abs(now - before)
        let used = max(0, allocated - before)
        return moved > before * Self.freeSpaceShare
            || moved > max(used * Self.usedSpaceShare, Self.usedSpaceLeast)
    }

    /// Signs what this peer says of itself anew.
    private func restate(incarnation: UInt64, isLeaving: Bool = false) {
        guard incarnation > machine.own.incarnation else { return }
        announcedInfo = currentInfo
        machine.state(
            MemberStatement.sign(
                currentInfo, incarnation: incarnation,
                isLeaving: isLeaving || machine.own.isLeaving,
                awayUntilMilliseconds: awayUntilMilliseconds, key: identity,
                network: options.network))
    }

    // MARK: Running

    /// Joins and takes part until cancelled. A network of one is a network: joining goes on in
    /// the background until somebody answers.
    package func run() async throws {
        logger.info(
            "starting",
            [("peer", machine.localPeer.hex), ("bootstrap", "\(options.bootstrap.count)")])
        pump()
        defer { disarm() }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await self.join() }
            group.addTask { try await self.upkeep() }
            group.addTask { try await self.watchMembers() }
            for await action in actions {
                group.addTask { await self.perform(action) }
            }
        }
        try Task.checkCancellation()
    }

    /// Tells others that this peer leaves on purpose; call it before cancelling `run`.
    package func leave() async {
        restate(incarnation: machine.own.incarnation + 1, isLeaving: true)
        await farewell("left")
    }

    /// Tells others that this peer will be off for `duration`, and not lost; call it before
    /// cancelling `run`. They wait for at most `MembershipLimits.maintenance`.
    package func announceMaintenance(for duration: Duration) async {
        let bounded = max(.zero, min(duration, MembershipLimits.maintenance))
        awayUntilMilliseconds = wallMilliseconds + UInt64(bounded.nanoseconds / 1_000_000)
        restate(incarnation: machine.own.incarnation + 1)
        await farewell("off for maintenance")
    }

    /// The same for a restart, whose length the network's timings state.
    package func announceRestart() async {
        await announceMaintenance(for: options.timings.restart)
    }

    /// Has enough others know what this peer said last that all will.
    private func farewell(_ event: String) async {
        pump()
        let targets = machine.pick(MembershipLimits.gossipTargets * 2, excluding: nil)
        await withDiscardingTaskGroup { group in
            for target in targets { group.addTask { await self.sendGossip(to: target) } }
        }
        logger.info(event, [("told", "\(targets.count)")])
    }

    /// Carries out what the machine wants after an input: publishes, rearms, passes actions on.
    func pump() {
        for action in machine.takeActions() {
            switch action {
            case .restate(let incarnation):
                restate(incarnation: incarnation)
            case .accuse(let peer, let incarnation, let kind):
                machine.publish(
                    Accusation.sign(
                        peer, incarnation: incarnation, kind: kind,
                        statedMilliseconds: wallMilliseconds, key: identity,
                        network: options.network))
            case .note(let peer, let from, let to):
                note(peer, from: from, to: to)
            default:
                actionSink.yield(action)
            }
        }
        if machine.takeChanged() { publishSnapshot() }
        arm()
    }

    var wallMilliseconds: UInt64 { UInt64(max(1, environment.wallTime().milliseconds)) }

    private func note(_ peer: PeerID, from: MemberState?, to: MemberState) {
        let now = environment.now()
        if let info = machine.statement(of: peer)?.info {
            switch to {
            case .alive:
                learn(info)
                // It has said so itself, but has not answered this peer yet.
                if isContact(info) {
                    table.insert(info.contact, zone: info.zone, answered: false, now: now)
                }
            case .suspect: break
            case .dead, .away, .left: table.remove(peer)
            }
        }
        environment.metrics.counter("cyxcloud_membership_changes_total", [("to", "\(to)")]).add()
        let fields = [("peer", peer.description), ("from", from.map { "\($0)" } ?? "unknown")]
        switch to {
        case .alive where from == .suspect: logger.debug("member refuted", fields)
        case .suspect: logger.debug("member suspected", fields)
        case .alive: logger.info("member alive", fields)
        case .dead: logger.warning("member dead", fields)
        case .away: logger.info("member off for maintenance", fields)
        case .left: logger.info("member left", fields)
        }
    }

    func publishSnapshot() {
        let snapshot = MembershipSnapshot(
            localPeer: machine.localPeer, members: knownMembers(),
            isPartial: machine.isPartial, isStoreBehind: machine.isStoreBehind,
            silent: machine.isPartial ? watchList.silent : [])
        let observers = published.withLock { published in
            published.snapshot = snapshot
            return published.observers
        }
        environment.metrics.gauge("cyxcloud_membership_view_peers", [("state", "reachable")]).set(
            Double(machine.reachableCount + 1))
        environment.metrics.gauge("cyxcloud_membership_health").set(Double(machine.health))
        for observer in observers { observer(snapshot) }
    }

    private func arm() {
        let deadline = machine.nextTimeout
        if let timer {
            guard timer.deadline != deadline else { return }
            environment.executor.cancel(timer.id)
        }
        let id = environment.executor.schedule(at: deadline) { [weak self] in
            guard let self else { return }
            self.assumeIsolated { overlay in
                overlay.timer = nil
                overlay.machine.handleTimeout(now: overlay.environment.now())
                overlay.pump()
            }
        }
        timer = (id, deadline)
    }

    private func disarm() {
        if let timer { environment.executor.cancel(timer.id) }
        timer = nil
        actionSink.finish()
    }
}
