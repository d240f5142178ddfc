internal import CyxCore
internal import CyxCrypto

/// One connection: a machine without clock, socket or randomness of its own. Times are nanoseconds
/// of the environment's monotonic clock.
struct Connection {
    enum Phase: Equatable {
        /// The initiator's first message is out.
        case awaitingResponse
        /// The responder's answer is out.
        case awaitingFinish
        case established
        case closed
    }

    let role: ConnectionRole
    let setup: ConnectionSetup
    let version: UInt32
    // In nanoseconds, since arithmetic of durations is slow.
    let maxAckDelay: Int64
    private let idleTimeout: Int64
    private let keepAlive: Int64
    private let probeTimeoutMax: Int64
    /// So that a silent peer is found out about when its time is up, however the path varies.
    private let probeTimeoutLongest: Int64
    /// Where packets go, with what is known about the way there.
    var path: Path
    var otherPaths: [Path] = []
    /// Some path has a challenge or a response to send.
    var isPathFrameDue = false
    var challengeCount: UInt64 = 0
    /// We moved to another path, and the peer has not sent on it yet.
    var awaitsPeer = false
    /// The packet by which the peer seemed to move, as long as that is in doubt.
    var doubtfulMove: UInt64?
    /// Whom our connection IDs were made for.
    var idsAddress: SocketAddress
    /// Where the owner thinks the peer is.
    var reportedAddress: SocketAddress
    var localIDs: LocalIDs
    var remoteIDs = RemoteIDs()
    /// Drained by the endpoint with the events.
    var routeChanges: [RouteChange] = []
    var peer: PeerID?
    var phase: Phase

    // Handshake.
    var noise: NoiseHandshake
    /// What the responder chose.
    var suite = CipherSuite.aes256GCM
    var localParameters: ConnectionParameters
    /// Our last handshake message with its header, repeated as it is until it is answered.
    var handshakePacket: [UInt8] = []
    var isHandshakeDue = false
    /// The initiator's first Noise message, in case that it has to be repeated with a token.
    var firstMessage: [UInt8] = []
    /// Who sent us the retry packet that we followed.
    var retrySource: ConnectionID?
    var isVersionNegotiated = false
    var isConfirmed = false
    var handshakeDeadline: Int64
    var handshakeRepeat: Int64
    var handshakeInterval: Int64

    // Packets.
    var keys: PacketKeys?
    /// Updates of keys that the owner knows of.
    var reportedKeyUpdates: UInt64 = 0
    var received = ReceivedPackets()
    var sent: SentPackets
    var largestAcknowledged: UInt64?
    var skips: PacketSkips
    var failedOpens: UInt64 = 0

    // Recovery.
    /// Room for the ranges of the acknowledgment at hand.
    var ackRanges: [ClosedRange<UInt64>] = []
    var lossTime: Int64?
    var ecn = ECNValidation()
    /// The mark of the datagrams being written.
    var transmitMark = ECNCodepoint.notECT
    var probeCount = 0
    var probesDue = 0
    var lastAckElicitingSent: Int64 = 0
    /// When the first packet was sent that asked for an answer, since the last one came.
    var unansweredSince: Int64?
    var lastReceived: Int64
    var lastUse: Int64
    var isApplicationLimited = true
    /// The number that the next packet had when the window last held it back.
    var windowLimitedAt: UInt64 = 0
    /// When the pacer lets go what it holds back.
    var pacingDeadline: Int64?
    var peerAckDelayMax: Int64 = 0

    // Streams and credit.
    var streams: StreamTable
    var receiveWindow: FlowWindow
    var dataReceived: UInt64 = 0
    var dataConsumed: UInt64 = 0
    var sendLimit: UInt64 = 0
    var dataSent: UInt64 = 0

    // What is to be sent besides stream data.
    var control = ControlQueue()
    var datagrams = DatagramQueue()
    /// What the peer takes; 0 for a peer without datagrams.
    var peerDatagramFrameSizeMax: UInt64 = 0
    /// Datagrams given up after they were queued.
    var datagramsDropped = 0
    /// The last packet gave datagrams precedence, so that the next one favours streams.
    var isStreamsTurn = false
    var isPingDue = false
    var closeCode: UInt64?

    /// Only where somebody wants to see what happens.
    var trace: QlogTrace?

    /// Drained by the owner after each batch.
    var events: [ConnectionEvent] = []

    var isEstablished: Bool { phase == .established }
    var isClosed: Bool { phase == .closed }
    var localID: ConnectionID { setup.parameters.source }
    /// Destination of the very first datagram.
    var originalDestination: ConnectionID { setup.originalDestination }
    var expectedPeer: PeerID? { setup.expectedPeer }
    var timings: TransportTimings { setup.timings }
    var limits: TransportLimits { setup.limits }
    var engine: AESGCM.Engine { setup.engine }

    init(
        role: ConnectionRole, setup: ConnectionSetup, version: UInt32, noise: NoiseHandshake,
        phase: Phase, remoteID: ConnectionID, now: Int64
    ) {
        self.role = role
        self.setup = setup
        self.version = version
        self.noise = noise
        self.phase = phase
        skips = PacketSkips(
            seed: setup.defences.contains(.optimisticACK) ? setup.skipSeed : nil)
        path = Path(
            remote: setup.address, issued: IssuedID(sequence: 0, id: remoteID),
            localID: setup.parameters.source,
            initialRoundTrip: setup.timings.initialRoundTrip.nanoseconds,
            datagramSizeMax: setup.limits.datagramSizeMax, algorithm: setup.congestion)
        sent = SentPackets(keepsRecords: setup.congestion == .bbr)
        reportedAddress = setup.address
        idsAddress = setup.address
        localIDs = LocalIDs(first: setup.parameters.source)
        maxAckDelay = setup.timings.maxAckDelay.nanoseconds
        idleTimeout = setup.timings.idleTimeout.nanoseconds
        keepAlive = setup.timings.keepAlive.nanoseconds
        probeTimeoutMax = setup.timings.probeTimeoutMax.nanoseconds
        probeTimeoutLongest =
            setup.timings.unresponsiveAfter.nanoseconds
            / Int64(Connection.unansweredProbesMin + 1)
        localParameters = setup.parameters
        handshakeDeadline = now + setup.timings.handshakeTimeout.nanoseconds
        handshakeInterval = setup.timings.handshakeRetransmit.nanoseconds
        handshakeRepeat = now + handshakeInterval
        lastReceived = now
        lastUse = now
        streams = StreamTable(role: role, limits: setup.limits)
        receiveWindow = FlowWindow(
            size: setup.limits.connectionWindow, sizeMax: setup.limits.connectionWindowMax)
    }

    /// Ends the connection. With a code, the peer is told once; a stateless reset answers whatever
    /// it still sends.
    mutating func close(_ reason: CloseReason, telling code: UInt64?) {
        guard phase != .closed else { return }
        if phase == .established { closeCode = code }
        phase = .closed
        trace?.closed(reason)
        events.append(.closed(reason))
    }

    mutating func fail(_ error: TransportError) {
        close(.local(error), telling: error.rawValue)
    }

    // Mutating so that they work in place: reading a field through an optional copies everything.

    mutating func pollClosed() -> Bool { phase == .closed }

    mutating func pollDeadline() -> Int64? { nextDeadline }

    mutating func pollEstablished() -> Bool { phase == .established }

    mutating func pollOrigin() -> (address: SocketAddress, role: ConnectionRole) {
        (address, role)
    }

    /// Connection IDs that the peer should get, made for the address that is given with them.
    mutating func pollMissingIDs() -> (count: Int, address: SocketAddress)? {
        phase == .established ? (localIDs.missing, idsAddress) : nil
    }

    /// Gives the events out in exchange for an empty array; false if there are none.
    mutating func swapEvents(_ empty: inout [ConnectionEvent]) -> Bool {
        guard !events.isEmpty else { return false }
        swap(&events, &empty)
        return true
    }

    mutating func takeRouteChanges() -> [RouteChange] {
        guard !routeChanges.isEmpty else { return [] }
        defer { routeChanges = [] }
        return routeChanges
    }

    /// When `handleTimeout` wants to be called, at the latest.
    var nextDeadline: Int64? {
        switch phase {
        case .closed: return nil
        case .awaitingResponse: return min(handshakeDeadline, handshakeRepeat)
        case .awaitingFinish: return handshakeDeadline
        case .established: break
        }
        var deadline = idleDeadline ?? .max
        if let ack = received.deadline, !received.isAcknowledgmentDue {
            deadline = min(deadline, ack)
        }
        if let lossTime {
            deadline = min(deadline, lossTime)
        } else if let probe = probeDeadline {
            deadline = min(deadline, probe)
        }
        if let keepAlive = keepAliveDeadline { deadline = min(deadline, keepAlive) }
        if let paths = pathDeadline { deadline = min(deadline, paths) }
        if let maintenance = keys?.deadline { deadline = min(deadline, maintenance) }
        if let pacingDeadline { deadline = min(deadline, pacingDeadline) }
        return deadline
    }

    var probeDeadline: Int64? {
        guard sent.ackElicitingCount > 0 else { return nil }
        // Without leave to send, a probe has to wait for what gives it (RFC 9002 §6.2.2.1).
        guard path.isValidated || allowance >= Connection.pathPacketSizeMin else { return nil }
        let base = roundTrip.probeTimeout(maximumAcknowledgmentDelay: peerAckDelayMax)
        let backedOff = base << Int64(min(probeCount, 10))
        let bound = min(max(base, probeTimeoutMax), probeTimeoutLongest)
        return lastAckElicitingSent + min(backedOff, bound)
    }

    var idleDeadline: Int64? {
        streams.openCount == 0 ? lastUse + idleTimeout : nil
    }

    /// Only connections that somebody waits on are kept alive.
    var keepAliveDeadline: Int64? {
        guard streams.openCount > 0, sent.ackElicitingCount == 0 else { return nil }
        return max(lastReceived, lastAckElicitingSent) + keepAlive
    }

    mutating func handleTimeout(now: Int64) {
        switch phase {
        case .closed: return
        case .awaitingResponse, .awaitingFinish:
            if now >= handshakeDeadline { return close(.handshakeTimeout, telling: nil) }
            if phase == .awaitingResponse, now >= handshakeRepeat {
                isHandshakeDue = true
                handshakeInterval *= 2
                handshakeRepeat = now + handshakeInterval
            }
            return
        case .established: break
        }
        maintainKeys(now: now)
        if let paths = pathDeadline, now >= paths { pathTimeout(now: now) }
        if let ack = received.deadline, now >= ack { received.acknowledgmentTimedOut() }
        if let lossTime, now >= lossTime {
            detectLoss(now: now)
        } else if let probe = probeDeadline, now >= probe {
            probeTimedOut(now: now)
        }
        if let keepAlive = keepAliveDeadline, now >= keepAlive { isPingDue = true }
        if let idleDeadline, now >= idleDeadline {
            close(.idle, telling: TransportError.none.rawValue)
        }
    }
}

/// What the endpoint decides about a new connection.
struct ConnectionSetup {
    var address: SocketAddress
    var expectedPeer: PeerID?
    var originalDestination: ConnectionID
    var parameters: ConnectionParameters
    var timings: TransportTimings
    var limits: TransportLimits
    var engine: AESGCM.Engine
    var congestion: CongestionAlgorithm
    var defences: TransportDefences
    /// What challenges are drawn from.
    var pathSecret: [UInt8]
    /// Where packet numbers are skipped; the peer must not know.
    var skipSeed: UInt64
}
