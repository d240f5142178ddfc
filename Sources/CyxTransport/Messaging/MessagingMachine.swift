internal import CyxCore

/// Names a call, or a dial of an unknown peer, of this side.
struct CallID: Hashable, Comparable, Sendable {
    var value: UInt64
    static func < (left: CallID, right: CallID) -> Bool { left.value < right.value }
}

/// Names a request of another peer until it is answered.
struct RequestID: Hashable, Sendable {
    var connection: ConnectionHandle
    var stream: StreamID
}

/// What the machine wants its shell to do.
enum MessagingOutput {
    case completed(CallID, Result<[UInt8], RPCError>)
    case identified(CallID, Result<PeerContact, RPCError>)
    case request(RequestID, PeerContact, RPCMethod, [UInt8])
    /// A peer is reached at another address now.
    case moved(PeerContact)
    /// An address that was tried for a peer does not answer.
    case migrationFailed(PeerContact)
    /// For the log: a connection ended.
    case closed(PeerID?, SocketAddress, CloseReason)
    /// An unreliable datagram of a peer.
    case datagram(PeerContact, [UInt8])
    /// For who finds paths.
    case path(PathEvent)
}

/// Calls over streams: finds or opens a connection for each call, puts requests and responses
/// together, and bounds what is held for others.
struct MessagingMachine {
    /// Calls of this side that have no answer yet, in all.
    static let callsMax = 1 << 16
    /// Bytes of unfinished requests that are taken in beyond each stream's first window.
    static let incomingBytesMax = 128 << 20
    /// Connections with one peer. One would do; more come of dialing at once from both sides, of
    /// restarts, and of paths that change. Beyond that the least preferred is closed, so that no
    /// peer fills the endpoint by dialing again and again.
    static let connectionsPerPeerMax = 4
    /// Addresses remembered.
    static let addressesMax = 1 << 16

    /// Deadlines of ended calls that are always tolerated.
    static let deadDeadlinesMax = 256

    struct Call {
        var peer: PeerID?
        var header: RPCHeader
        /// Emptied once it is handed to a stream.
        var body: [UInt8]
        var stream: RequestID?
        /// The connection being opened for an `identify`.
        var dialed: ConnectionHandle?
    }

    struct PeerState {
        var address: SocketAddress?
        /// Established connections, the preferred one first.
        var connections: [ConnectionHandle] = []
        var dialing: ConnectionHandle?
        /// Calls that wait for a connection or for stream credit, the most urgent first.
        var waiting: [CallID] = []
        /// Calls that were started since a less urgent one was that waits.
        var startedAhead = 0
        /// Datagrams that wait for a connection.
        var datagrams: [[UInt8]] = []
        /// Cannot just be dialed, as far as is known.
        var isHidden = false
        /// The finder of paths has been asked.
        var isSearching = false
    }

    struct Link {
        var peer: PeerID?
        var address: SocketAddress
        var isInitiator: Bool
        var identifies: [CallID] = []
        var outgoing: [StreamID: CallID] = [:]
        /// Bytes reserved for requests that are still arriving.
        var reserved: [StreamID: Int] = [:]
        var running = 0
    }

    var endpoint: Endpoint
    var peers: [PeerID: PeerState] = [:]
    var links = HandleTable<Link>()
    var calls: [CallID: Call] = [:]
    /// Somebody finds paths to peers that cannot just be dialed.
    var findsPaths = false
    var reservedBytes = 0
    var reservationQueue: [RequestID] = []
    private var deadlines = DeadlineHeap<CallID>()
    private var events: [(ConnectionHandle, ConnectionEvent)] = []
    /// Room that changes places with `events` while those are carried out.
    private var batch: [(ConnectionHandle, ConnectionEvent)] = []
    private(set) var isShutDown = false
    /// Datagrams that were given up before they were sent.
    var datagramsDropped: UInt64 = 0
    var outputs: [MessagingOutput] = []

    init(endpoint: Endpoint) {
        self.endpoint = endpoint
    }

    // MARK: Calls

    /// Starts a call; `completed` follows, at `deadline` at the latest.
    mutating func call(
        _ id: CallID, peer: PeerID, method: RPCMethod, request: [UInt8],
        urgency: CallUrgency = .foreground, deadline: Int64, wall: WallTime, now: Int64
    ) {
        guard request.count <= PeerMessagingLimits.messageBytes else {
            return outputs.append(.completed(id, .failure(.tooLarge)))
        }
        guard !isShutDown, calls.count < MessagingMachine.callsMax else {
            return outputs.append(.completed(id, .failure(.cancelled)))
        }
        let header = RPCHeader(
            code: method.rawValue, length: request.count, urgency: urgency)
        insertDeadline(id, deadline: deadline)
        if let stream = openAtOnce(peer, header, request, now: now) {
            calls[id] = Call(peer: peer, header: header, body: [], stream: stream)
            links[stream.connection]?.outgoing[stream.stream] = id
        } else {
            calls[id] = Call(peer: peer, header: header, body: request)
            wait(id, for: peer, urgency)
            dispatch(peer, wall: wall, now: now)
        }
        finishTurn(wall: wall, now: now)
    }

    /// Deadlines of calls that ended are dropped before they outnumber those that count.
    private mutating func insertDeadline(_ id: CallID, deadline: Int64) {
        if deadlines.count > 2 * calls.count + MessagingMachine.deadDeadlinesMax {
            deadlines.removeAll { calls[$0] == nil }
        }
        deadlines.insert(id, deadline: deadline)
    }

    /// Behind the calls that are as urgent, before those that are less.
    private mutating func wait(_ id: CallID, for peer: PeerID, _ urgency: CallUrgency) {
        let waiting = peers[peer]?.waiting ?? []
        var index = waiting.count
        while index > 0, let other = calls[waiting[index - 1]],
            other.header.urgency.level > urgency.level
        {
            index -= 1
        }
        peers[peer, default: PeerState()].waiting.insert(id, at: index)
    }

    /// Gives a call up: its stream is reset, and nothing is said about it any more.
    mutating func cancel(_ id: CallID, wall: WallTime, now: Int64) {
        abandon(id, now: now)
        finishTurn(wall: wall, now: now)
    }

    private mutating func abandon(_ id: CallID, now: Int64) {
        guard let call = calls.removeValue(forKey: id) else { return }
        if let stream = call.stream {
            endpoint[stream.connection]?.resetStream(
                stream.stream, code: RPCStreamCode.cancelled)
            endpoint[stream.connection]?.stopStream(
                stream.stream, code: RPCStreamCode.cancelled, now: now)
            links[stream.connection]?.outgoing[stream.stream] = nil
        } else if let peer = call.peer {
            peers[peer]?.waiting.removeAll { $0 == id }
        } else if let dialed = call.dialed {
            links[dialed]?.identifies.removeAll { $0 == id }
        }
    }

    mutating func complete(_ id: CallID, _ result: Result<[UInt8], RPCError>) {
        guard calls.removeValue(forKey: id) != nil else { return }
        outputs.append(.completed(id, result))
    }

    /// Finds out who answers at `address`; `identified` follows.
    mutating func identify(
        _ id: CallID, address: SocketAddress, deadline: Int64, wall: WallTime, now: Int64
    ) {
        guard !isShutDown, calls.count < MessagingMachine.callsMax,
            let handle = endpoint.dial(address, expecting: nil, wall: wall, now: now)
        else { return outputs.append(.identified(id, .failure(.unreachable))) }
        calls[id] = Call(header: RPCHeader(code: 0, length: 0), body: [], dialed: handle)
        insertDeadline(id, deadline: deadline)
        links[handle] = Link(address: address, isInitiator: true, identifies: [id])
        finishTurn(wall: wall, now: now)
    }

    /// Remembers where a peer can be reached, unless a working connection knows better.
    mutating func learn(_ contact: PeerContact) {
        if let state = peers[contact.peer], !state.connections.isEmpty { return }
        guard peers[contact.peer] != nil || peers.count < MessagingMachine.addressesMax else {
            return
        }
        peers[contact.peer, default: PeerState()].address = contact.address
    }

    /// Answers a request; nothing happens if its connection or stream is gone.
    mutating func respond(
        _ id: RequestID, _ result: Result<[UInt8], RPCFailure>, wall: WallTime, now: Int64
    ) {
        links[id.connection]?.running -= 1
        var status = RPCStatus.success
        var body: [UInt8]
        switch result {
        case .success(let bytes): body = bytes
        case .failure(let failure):
            status = RPCStatus.refused
            body = failure.encoded
        }
        if body.count > PeerMessagingLimits.messageBytes {
            status = RPCStatus.refused
            body =
                RPCFailure(code: RPCFailure.handlerFailed, message: "response too large").encoded
        }
        let header = RPCHeader(code: status, length: body.count)
        _ = endpoint[id.connection]?.answer(id.stream, header: header.word, body: body, now: now)
        finishTurn(wall: wall, now: now)
    }

    // MARK: Time and packets

    mutating func handle(_ datagrams: ReceivedDatagrams, wall: WallTime, now: Int64) {
        endpoint.handle(datagrams, wall: wall, now: now)
    }

    /// When `handleTimeout` wants to be called.
    var nextDeadline: Int64? {
        switch (endpoint.nextDeadline, deadlines.first?.deadline) {
        case (let left?, let right?): min(left, right)
        case (let left, let right): left ?? right
        }
    }

    mutating func handleTimeout(wall: WallTime, now: Int64) {
        endpoint.handleTimeout(now: now)
        while let first = deadlines.first, first.deadline <= now {
            guard let id = deadlines.popFirst()?.value, let call = calls[id] else { continue }
            abandon(id, now: now)
            if call.peer == nil {
                outputs.append(.identified(id, .failure(.timedOut)))
            } else {
                outputs.append(.completed(id, .failure(.timedOut)))
            }
        }
        finishTurn(wall: wall, now: now)
    }

    /// Carries out what the connections report, until they report nothing more.
    mutating func finishTurn(wall: WallTime, now: Int64) {
        drainOpeners()
        endpoint.drainEvents(into: &events)
        while !events.isEmpty {
            swap(&events, &batch)
            for index in batch.indices {
                let (connection, event) = batch[index]
                handle(connection, event, wall: wall, now: now)
            }
            batch.removeAll(keepingCapacity: true)
            endpoint.drainEvents(into: &events)
        }
    }

    private mutating func handle(
        _ handle: ConnectionHandle, _ event: ConnectionEvent, wall: WallTime, now: Int64
    ) {
        switch event {
        case .established(let peer): established(handle, peer, wall: wall, now: now)
        case .readable(let stream): readable(RequestID(connection: handle, stream: stream), now)
        case .stopped: break
        case .streamsAvailable:
            if let peer = links[handle]?.peer { dispatch(peer, wall: wall, now: now) }
        case .datagram(let bytes): arrived(bytes, on: handle)
        case .moved(let address): moved(handle, to: address)
        case .pathDoubtful: doubted(handle)
        case .keysUpdated: endpoint.statistics.keyUpdates += 1
        case .migrationFailed(let address):
            endpoint.statistics.pathsFailed += 1
            if let peer = links[handle]?.peer {
                outputs.append(.migrationFailed(PeerContact(peer: peer, address: address)))
            }
        case .closed(let reason): closed(handle, reason, wall: wall, now: now)
        }
    }

    /// Ends everything; calls fail with `cancelled`.
    mutating func shutDown(wall: WallTime, now: Int64) {
        isShutDown = true
        for id in calls.keys.sorted() {
            let call = calls[id]
            abandon(id, now: now)
            outputs.append(
                call?.peer == nil
                    ? .identified(id, .failure(.cancelled))
                    : .completed(id, .failure(.cancelled)))
        }
        for handle in links.keys {
            endpoint[handle]?.close(.local(.none), telling: TransportError.none.rawValue)
        }
        finishTurn(wall: wall, now: now)
    }
}
