internal import CyxCore
internal import CyxCrypto

/// Names a connection of one endpoint; never reused for another.
struct ConnectionHandle: Hashable, Sendable {
    var slot: Int
    var generation: UInt32
}

/// All connections behind one socket: a machine that routes datagrams by connection ID, opens and
/// forgets connections, and says what to send and when to be woken.
///
/// Keys and connection IDs are drawn from the environment's random source, which the machine is
/// given: a seeded generator is no source of keys.
struct Endpoint {
    /// First datagrams of connections are told apart by all of these.
    struct InitialKey: Hashable {
        var address: SocketAddress
        var destination: ConnectionID
        var source: ConnectionID
    }

    struct Slot {
        var connection: Connection?
        var generation: UInt32 = 0
        var armedDeadline: Int64 = .max
        var isTouched = false
        var isQueued = false
        var initialKey: InitialKey?
        var isPending = false
    }

    struct TimerTarget: Sendable {
        var slot: Int
        var generation: UInt32
    }

    let context: HandshakeContext
    let configuration: TransportConfiguration
    let resetKeys: ResetKeys
    let random: any RandomSource
    let plaintext = PacketBuffer(byteCount: PacketFormat.datagramSizeMax)

    var slots: [Slot] = []
    private var freeSlots: [Int] = []
    var routes: [ConnectionID: Int] = [:]
    var initialRoutes: [InitialKey: Int] = [:]
    var resetRoutes: [StatelessResetToken: Int] = [:]
    /// Apart, so that who sends with another's address uses up nothing of the other's.
    var unvalidatedLimiter: HandshakeLimiter
    var validatedLimiter: HandshakeLimiter
    var tokens: RetryTokens
    let retryIntegrity: RetryIntegrity
    var replays = InitialReplays()
    var resetLimiter = AnswerLimiter(perSecond: Endpoint.resetsPerSecond)
    var versionLimiter = AnswerLimiter(perSecond: Endpoint.versionAnswersPerSecond)
    /// The last records of connections that are gone.
    var endedTraces: [QlogBatch] = []
    var statistics = TransportStatistics()
    /// Datagrams that belong to no connection.
    var answers: [PendingAnswer] = []
    /// The mark of the datagrams being handled.
    var receiveMark = ECNCodepoint.notECT
    /// Openers that the present batch brought.
    var openers: [(SocketAddress, Opener)] = []
    var lastRoute: (id: ConnectionID, slot: Int)?
    private var timers = DeadlineHeap<TimerTarget>()
    /// Slots with possible events, and slots with possible packets, in order.
    private var touched: [Int] = []
    private var sendQueue = Ring(filler: 0)
    /// Room that changes places with the events of the connection at hand.
    private var drained: [ConnectionEvent] = []
    private(set) var connectionCount = 0
    /// Answered first messages whose senders have not finished the handshake.
    private(set) var pendingHandshakes = 0

    init(configuration: TransportConfiguration, random: any RandomSource) {
        self.configuration = configuration
        self.random = random
        context = HandshakeContext(
            networkKey: configuration.networkKey, networkID: configuration.networkID,
            identity: configuration.identity,
            staticKey: X25519.PrivateKey(bytes: random.bytes(32)),
            versions: configuration.versions)
        resetKeys = ResetKeys(identitySeed: configuration.identity.seed)
        unvalidatedLimiter = HandshakeLimiter(
            perSecond: configuration.limits.handshakesPerSecond,
            burst: configuration.limits.handshakeBurst)
        validatedLimiter = unvalidatedLimiter
        tokens = RetryTokens(
            networkID: configuration.networkID, defences: configuration.defences)
        retryIntegrity = RetryIntegrity(
            networkKey: configuration.networkKey, networkID: configuration.networkID)
    }

    var isTraced: Bool { configuration.qlog != nil }

    var localPeer: PeerID { context.localPeer }

    // MARK: Connections

    /// Starts a connection; nil when there are too many.
    mutating func dial(
        _ address: SocketAddress, expecting peer: PeerID?, wall: WallTime, now: Int64
    ) -> ConnectionHandle? {
        guard connectionCount < configuration.limits.connections else { return nil }
        let setup = setup(
            address: address, expecting: peer,
            originalDestination: ConnectionID(random.next()))
        do throws(TransportError) {
            var connection = try Connection.dial(
                setup, version: context.versions[0], context: context,
                ephemeral: X25519.PrivateKey(bytes: random.bytes(32)), wall: wall, now: now)
            if isTraced { connection.beginTrace(wall: wall, now: now) }
            return insert(connection, initialKey: nil)
        } catch {
            return nil
        }
    }

    /// A connection ID that nobody uses, for a peer at `address`.
    func freshID(for address: SocketAddress) -> ConnectionID {
        while true {
            let id = resetKeys.connectionID(
                random: UInt32(truncatingIfNeeded: random.next()), ip: address.ip)
            if routes[id] == nil { return id }
        }
    }

    func setup(
        address: SocketAddress, expecting peer: PeerID?, originalDestination: ConnectionID
    ) -> ConnectionSetup {
        let id = freshID(for: address)
        let limits = configuration.limits
        let timings = configuration.timings
        let parameters = ConnectionParameters(
            source: id, resetToken: resetKeys.token(for: id),
            maxData: limits.connectionWindow, maxStreamData: limits.streamWindow,
            maxStreams: limits.incomingStreams,
            idleTimeoutMilliseconds: UInt64(timings.idleTimeout.nanoseconds / 1_000_000),
            maxAckDelayMilliseconds: UInt64(timings.maxAckDelay.nanoseconds / 1_000_000),
            maxDatagramFrameSize: Connection.datagramFrameSizeMax)
        return ConnectionSetup(
            address: address, expectedPeer: peer, originalDestination: originalDestination,
            parameters: parameters, timings: timings, limits: limits,
            engine: configuration.engine, congestion: configuration.congestion,
            defences: configuration.defences, pathSecret: random.bytes(32),
            skipSeed: random.next())
    }

    mutating func insert(
        _ connection: consuming Connection, initialKey: InitialKey?
    ) -> ConnectionHandle {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = slots.count
            slots.append(Slot())
        }
        routes[connection.localID] = slot
        if let initialKey {
            initialRoutes[initialKey] = slot
            slots[slot].isPending = true
            pendingHandshakes += 1
        }
        slots[slot].connection = connection
        slots[slot].initialKey = initialKey
        connectionCount += 1
        touch(slot)
        return ConnectionHandle(slot: slot, generation: slots[slot].generation)
    }

    private mutating func remove(_ slot: Int) {
        applyRouteChanges(slot)
        // Moved out: a copy would retain all that the connection holds.
        guard let connection = slots[slot].connection.take() else { return }
        if let batch = connection.trace?.take(isLast: true) { endedTraces.append(batch) }
        for issued in connection.localIDs.entries { routes[issued.id] = nil }
        lastRoute = nil
        if let key = slots[slot].initialKey { initialRoutes[key] = nil }
        if let token = connection.remoteResetToken, resetRoutes[token] == slot {
            resetRoutes[token] = nil
        }
        settlePending(slot)
        slots[slot].generation &+= 1
        slots[slot].armedDeadline = .max
        slots[slot].initialKey = nil
        freeSlots.append(slot)
        connectionCount -= 1
    }

    func isAlive(_ handle: ConnectionHandle) -> Bool {
        handle.slot < slots.count && slots[handle.slot].generation == handle.generation
            && slots[handle.slot].connection != nil
    }

    /// The connection, if it still lives. Changing it makes its packets and events due.
    /// Inlined, as else each access allocates a frame; and not to be read through, which copies all
    /// that the connection holds: what is read often has a function.
    subscript(handle: ConnectionHandle) -> Connection? {
        @inline(__always) _read {
            if isAlive(handle) {
                yield slots[handle.slot].connection
            } else {
                yield nil
            }
        }
        @inline(__always) _modify {
            if isAlive(handle) {
                touch(handle.slot)
                yield &slots[handle.slot].connection
            } else {
                var none: Connection?
                yield &none
            }
        }
    }

    /// Where a connection leads and who began it.
    mutating func origin(
        _ handle: ConnectionHandle
    ) -> (address: SocketAddress, role: ConnectionRole)? {
        isAlive(handle) ? slots[handle.slot].connection?.pollOrigin() : nil
    }

    /// How the path that a connection uses does.
    mutating func pathStanding(_ handle: ConnectionHandle) -> PathStanding {
        isAlive(handle) ? slots[handle.slot].connection?.pollStanding() ?? .doubtful : .doubtful
    }

    mutating func isEstablished(_ handle: ConnectionHandle) -> Bool {
        isAlive(handle) && slots[handle.slot].connection?.pollEstablished() == true
    }

    @inline(__always)
    mutating func touch(_ slot: Int) {
        // As it is with every packet of a batch but the first.
        if slots[slot].isTouched, slots[slot].isQueued { return }
        touchAnew(slot)
    }

    private mutating func touchAnew(_ slot: Int) {
        if !slots[slot].isTouched {
            slots[slot].isTouched = true
            touched.append(slot)
        }
        if !slots[slot].isQueued {
            slots[slot].isQueued = true
            sendQueue.append(slot)
        }
    }

    // MARK: Outputs

    /// Passes on the events of every connection that something happened to.
    mutating func drainEvents(into events: inout [(ConnectionHandle, ConnectionEvent)]) {
        for slot in touched {
            slots[slot].isTouched = false
            let handle = ConnectionHandle(slot: slot, generation: slots[slot].generation)
            applyRouteChanges(slot)
            guard slots[slot].connection?.swapEvents(&drained) == true else { continue }
            for event in drained {
                if case .established = event { settlePending(slot) }
                events.append((handle, event))
            }
            drained.removeAll(keepingCapacity: true)
        }
        touched.removeAll(keepingCapacity: true)
    }

    private mutating func settlePending(_ slot: Int) {
        guard slots[slot].isPending else { return }
        slots[slot].isPending = false
        pendingHandshakes -= 1
    }

    /// Keeps the routes to a connection in step with its IDs and the peer's.
    private mutating func applyRouteChanges(_ slot: Int) {
        for change in slots[slot].connection?.takeRouteChanges() ?? [] {
            switch change {
            case .idsMissing: provideIDs(slot)
            case .retired(let id):
                routes[id] = nil
                lastRoute = nil
            case .token(let old, let new):
                if let old, resetRoutes[old] == slot { resetRoutes[old] = nil }
                if let new { resetRoutes[new] = slot }
            }
        }
    }

    private mutating func provideIDs(_ slot: Int) {
        guard let missing = slots[slot].connection?.pollMissingIDs() else { return }
        for _ in 0..<missing.count {
            let id = freshID(for: missing.address)
            routes[id] = slot
            slots[slot].connection?.provide(id, resetKeys.token(for: id))
        }
    }

    /// Writes the next datagrams for one destination into `buffer`; nil when all is sent.
    mutating func pollTransmit(
        into buffer: UnsafeMutableRawBufferPointer, segmentsMax: Int, now: Int64
    ) -> (destination: SocketAddress, transmission: Transmission)? {
        if let answer = answers.popLast() {
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<answer.bytes.count])
                .copyBytes(from: answer.bytes)
            let size = answer.bytes.count
            return (
                answer.address,
                Transmission(destination: answer.address, byteCount: size, segmentSize: size)
            )
        }
        while sendQueue.count > 0 {
            let slot = sendQueue[0]
            let transmission = slots[slot].connection?.pollTransmit(
                into: buffer, segmentsMax: segmentsMax, now: now)
            if let transmission {
                // The next connection gets its turn after one batch.
                if sendQueue.count > 1 {
                    sendQueue.removeFirst(1)
                    sendQueue.append(slot)
                }
                return (transmission.destination, transmission)
            }
            sendQueue.removeFirst(1)
            slots[slot].isQueued = false
            if slots[slot].connection?.pollClosed() == true {
                remove(slot)
            } else {
                arm(slot)
            }
        }
        return nil
    }

    private mutating func arm(_ slot: Int) {
        guard let deadline = slots[slot].connection?.pollDeadline(),
            deadline < slots[slot].armedDeadline
        else { return }
        slots[slot].armedDeadline = deadline
        timers.insert(
            TimerTarget(slot: slot, generation: slots[slot].generation), deadline: deadline)
    }

    /// When `handleTimeout` wants to be called.
    var nextDeadline: Int64? { timers.first?.deadline }

    mutating func handleTimeout(now: Int64) {
        while let first = timers.first, first.deadline <= now, let entry = timers.popFirst() {
            let slot = entry.value.slot
            guard slots[slot].generation == entry.value.generation,
                slots[slot].armedDeadline == entry.deadline
            else { continue }
            slots[slot].armedDeadline = .max
            if let deadline = slots[slot].connection?.pollDeadline(), deadline <= now {
                slots[slot].connection?.handleTimeout(now: now)
                touch(slot)
            } else {
                arm(slot)
            }
        }
    }
}
