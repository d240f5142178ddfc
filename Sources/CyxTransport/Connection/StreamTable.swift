/// Both halves of one stream.
struct StreamState: Sendable {
    /// Nil until we answer a stream that the peer opened.
    var send: SendStream?
    var receive: ReceiveStream
    /// Its data may be taken in without bound: a message that somebody waits for.
    var isGranted = false
    /// How much of the receiving half's data was counted as consumed.
    var consumed: UInt64 = 0
    var isReadableReported = false

    var isFinished: Bool {
        (send?.isFinished ?? false) && receive.isFinished
            && (receive.isTaken || receive.resetCode != nil || receive.stopCode != nil)
    }
}

/// The open streams of one connection, and how many either side may open.
struct StreamTable: Sendable {
    let role: ConnectionRole
    private(set) var states: [StreamID: StreamState] = [:]
    /// Index of the next stream that we open, and the peer's limit on it.
    private var nextLocal: UInt64 = 0
    private var localMax: UInt64 = 0
    /// Index above every stream that the peer opened.
    private var nextRemote: UInt64 = 0
    /// What we allow the peer; grows as its streams finish.
    private(set) var remoteMax: UInt64
    private let remoteConcurrency: UInt64
    private var remoteFinished: UInt64 = 0
    /// Streams with something to send, in turn.
    private(set) var sendQueue: [StreamID] = []
    /// Waits for the peer to raise `localMax`.
    private(set) var isBlocked = false
    let streamWindow: FlowWindow
    private var sendLimit: UInt64 = 0
    private var turnUsed = 0

    init(role: ConnectionRole, limits: TransportLimits) {
        self.role = role
        remoteConcurrency = limits.incomingStreams
        remoteMax = limits.incomingStreams
        streamWindow = FlowWindow(size: limits.streamWindow, sizeMax: limits.streamWindowMax)
    }

    /// The peer's parameters are known.
    mutating func start(_ parameters: ConnectionParameters) {
        localMax = parameters.maxStreams
        sendLimit = parameters.maxStreamData
    }

    var openCount: Int { states.count }

    subscript(id: StreamID) -> StreamState? {
        _read { yield states[id] }
        _modify { yield &states[id] }
    }

    /// Opens a stream that carries one message; nil while the peer's limit is reached.
    mutating func open(header: UInt64, body: [UInt8]) -> StreamID? {
        guard nextLocal < localMax else {
            isBlocked = true
            return nil
        }
        let id = StreamID(index: nextLocal, role: role)
        nextLocal += 1
        var state = StreamState(receive: ReceiveStream(window: streamWindow))
        state.send = SendStream(header: header, body: body, maxData: sendLimit)
        state.isGranted = true
        states[id] = state
        enqueue(id)
        return id
    }

    /// Answers a stream of the peer with one message.
    mutating func answer(_ id: StreamID, header: UInt64, body: [UInt8]) -> Bool {
        guard states[id] != nil, states[id]?.send == nil else { return false }
        states[id]?.send = SendStream(header: header, body: body, maxData: sendLimit)
        enqueue(id)
        return true
    }

    /// Whether frames for `id` have a stream to go to; opens those that the peer opens by using
    /// them (RFC 9000 §3.2).
    mutating func admit(_ id: StreamID) throws(TransportError) -> Bool {
        if states[id] != nil { return true }
        if id.opener == role {
            guard id.index < nextLocal else { throw .streamState }
            return false
        }
        guard id.index >= nextRemote else { return false }
        guard id.index < remoteMax else { throw .streamLimit }
        while nextRemote <= id.index {
            let opened = StreamID(index: nextRemote, role: role.other)
            states[opened] = StreamState(receive: ReceiveStream(window: streamWindow))
            nextRemote += 1
        }
        return true
    }

    /// Forgets a finished stream; true if the peer should hear of a higher limit.
    mutating func removeIfFinished(_ id: StreamID) -> Bool {
        guard let state = states[id], state.isFinished else { return false }
        states[id] = nil
        guard id.opener != role else { return false }
        remoteFinished += 1
        return remoteFinished + remoteConcurrency - remoteMax >= max(1, remoteConcurrency / 4)
    }

    mutating func raiseRemoteLimit() -> UInt64 {
        remoteMax = remoteFinished + remoteConcurrency
        return remoteMax
    }

    /// The peer raised our limit; true if somebody waited for that.
    mutating func raiseLocalLimit(to limit: UInt64) -> Bool {
        guard limit > localMax else { return false }
        localMax = limit
        defer { isBlocked = false }
        return isBlocked
    }

    mutating func enqueue(_ id: StreamID) {
        guard states[id]?.send?.isQueued == false, states[id]?.send?.hasPending == true else {
            return
        }
        states[id]?.send?.isQueued = true
        sendQueue.append(id)
    }

    /// The stream at the front sent `piece`; ends its turn when it is used up or nothing is left.
    mutating func sent(_ id: StreamID, _ piece: SendStream.Piece) {
        states[id]?.send?.sent(piece)
        turnUsed += piece.length
        if states[id]?.send?.hasPending != true {
            rotate(keep: false)
        } else if turnUsed >= Connection.streamTurn, sendQueue.count > 1 {
            rotate(keep: true)
        }
    }

    /// Takes the stream at the front of the queue out of it, or puts it at the end.
    mutating func rotate(keep: Bool) {
        let id = sendQueue.removeFirst()
        turnUsed = 0
        if keep {
            sendQueue.append(id)
        } else {
            states[id]?.send?.isQueued = false
        }
    }
}
