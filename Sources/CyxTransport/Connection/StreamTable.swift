/// Both halves of one stream.
struct StreamState: Sendable {
    let id: StreamID
    /// Nil until we answer a stream that the peer opened.
    var send: SendStream?
    var receive: ReceiveStream
    /// Its data may be taken in without bound: a message that somebody waits for.
    var isGranted = false
    /// How much of the receiving half's data was counted as consumed.
    var consumed: UInt64 = 0
    var isReadableReported = false

    /// A place without a stream.
    static func vacant(_ window: FlowWindow) -> StreamState {
        StreamState(id: StreamID(.max), receive: ReceiveStream(window: window))
    }

    // Mutating so that they work in place: a read through an optional copies what it holds.

    mutating func isUnanswered() -> Bool { send == nil }

    mutating func isSendPending() -> Bool { send?.isPending() ?? false }

    /// False if the sending half is queued already, or has nothing to send.
    mutating func claimQueuePlace() -> Bool { send?.claimQueuePlace() ?? false }

    /// True if the owner does not know yet that there is something to read.
    mutating func becomeReadable() -> Bool {
        defer { isReadableReported = true }
        return !isReadableReported
    }

    mutating func sendUrgency() -> CallUrgency { send?.urgency ?? .foreground }

    mutating func requestUrgency() -> CallUrgency {
        receive.hasHeader ? RPCHeader.urgency(of: receive.header) : .foreground
    }

    mutating func isOver() -> Bool {
        receive.isOver && (send?.isDone() ?? false)
    }

    mutating func snapshot() -> StreamSnapshot {
        StreamSnapshot(
            isAnswered: !isUnanswered(), isTaken: receive.isTaken, isComplete: receive.isComplete,
            resetCode: receive.resetCode, isStopped: receive.stopCode != nil,
            header: receive.hasHeader && receive.stopCode == nil && !receive.isTaken
                ? receive.header : nil)
    }

    /// Credit for a message of `length` bytes that is taken in for sure; true if the peer should
    /// hear of it.
    mutating func widen(to size: UInt64, length: Int) -> Bool {
        guard receive.finalSize == nil, receive.window.size < size,
            receive.window.limit < UInt64(length + SendStream.headerSize)
        else { return false }
        return receive.window.adopt(size, consumed: consumed)
    }

    mutating func consume(now: Int64, roundTrip: Int64) -> (bytes: UInt64, wantsUpdate: Bool) {
        isReadableReported = false
        let isOver = receive.isFinished || receive.stopCode != nil
        guard isGranted || isOver else { return (0, false) }
        // What will never be read counts as consumed too.
        let total = isOver ? receive.highest : receive.contiguous
        guard total > consumed else { return (0, false) }
        let bytes = total - consumed
        consumed = total
        guard !isOver, receive.finalSize == nil else { return (bytes, false) }
        return (
            bytes, receive.window.update(consumed: total, now: now, roundTrip: roundTrip)
        )
    }
}

/// A stream as its owner sees it.
struct StreamSnapshot: Equatable {
    /// Our half was opened: an answer, or a call of ours.
    var isAnswered: Bool
    var isTaken: Bool
    var isComplete: Bool
    var resetCode: UInt64?
    var isStopped: Bool
    /// The header word, once it is there and while it matters.
    var header: UInt64?
}

/// The open streams of one connection, and how many either side may open.
struct StreamTable {
    let role: ConnectionRole
    /// Slots rather than dictionary values, so that packets change streams in place.
    private let slots = StreamSlots()
    private var freeSlots: [Int] = []
    private var positions: [StreamID: Int] = [:]
    /// Where the last stream was found: packets in a row mostly belong to one.
    private var lastPosition = 0
    /// Bytes before the data in the last packet that had nothing but a STREAM frame, else 0.
    private var lastFrameHeader = 0
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
    private(set) var sendQueue = SendQueue()
    /// Waits for the peer to raise `localMax`.
    private(set) var isBlocked = false
    let streamWindow: FlowWindow
    /// What the window of some stream has grown to.
    private var grownWindow: UInt64
    private var sendLimit: UInt64 = 0

    init(role: ConnectionRole, limits: TransportLimits) {
        self.role = role
        remoteConcurrency = limits.incomingStreams
        remoteMax = limits.incomingStreams
        streamWindow = FlowWindow(size: limits.streamWindow, sizeMax: limits.streamWindowMax)
        grownWindow = limits.streamWindow
    }

    /// The peer's parameters are known.
    mutating func start(_ parameters: ConnectionParameters) {
        localMax = parameters.maxStreams
        sendLimit = parameters.maxStreamData
    }

    var openCount: Int { positions.count }

    /// The largest credit that one of the open streams gives at a time.
    var largestReceiveWindow: UInt64 {
        positions.values.reduce(0) { max($0, slots[$1].receive.window.size) }
    }

    private func position(_ id: StreamID) -> Int? {
        if lastPosition < slots.count, slots[lastPosition].id == id { return lastPosition }
        return positions[id]
    }

    /// For what is rare; what packets do has functions of its own that change the slot in place.
    subscript(id: StreamID) -> StreamState? {
        get { position(id).map { slots[$0] } }
        _modify {
            guard let position = position(id) else {
                var none: StreamState?
                yield &none
                return
            }
            lastPosition = position
            // Moved out and back, so that what it refers to stays uniquely referenced.
            var state: StreamState? = slots.exchange(position, .vacant(streamWindow))
            defer { if let state { slots[position] = state } }
            yield &state
        }
    }

    private mutating func insert(_ state: StreamState) {
        if let free = freeSlots.popLast() {
            slots[free] = state
            positions[state.id] = free
        } else {
            positions[state.id] = slots.append(state)
        }
    }

    private mutating func remove(_ id: StreamID) {
        guard let position = positions.removeValue(forKey: id) else { return }
        slots[position] = .vacant(streamWindow)
        freeSlots.append(position)
    }

    // MARK: Opening and closing

    /// Opens a stream that carries one message; nil while the peer's limit is reached.
    mutating func open(header: UInt64, body: [UInt8]) -> StreamID? {
        guard nextLocal < localMax else {
            isBlocked = true
            return nil
        }
        let id = StreamID(index: nextLocal, role: role)
        nextLocal += 1
        var state = StreamState(id: id, receive: ReceiveStream(window: streamWindow))
        state.send = SendStream(
            header: header, body: body, maxData: sendLimit,
            urgency: RPCHeader.urgency(of: header))
        state.isGranted = true
        insert(state)
        enqueue(id)
        return id
    }

    /// Answers a stream of the peer with one message.
    mutating func answer(_ id: StreamID, header: UInt64, body: [UInt8]) -> Bool {
        guard let position = position(id), slots[position].isUnanswered() else { return false }
        // As urgent as the request was.
        slots[position].send = SendStream(
            header: header, body: body, maxData: sendLimit,
            urgency: slots[position].requestUrgency())
        enqueue(id)
        return true
    }

    /// Whether frames for `id` have a stream to go to; opens those that the peer opens by using
    /// them (RFC 9000 §3.2).
    mutating func admit(_ id: StreamID) throws(TransportError) -> Bool {
        if position(id) != nil { return true }
        if id.opener == role {
            guard id.index < nextLocal else { throw .streamState }
            return false
        }
        guard id.index >= nextRemote else { return false }
        guard id.index < remoteMax else { throw .streamLimit }
        while nextRemote <= id.index {
            let opened = StreamID(index: nextRemote, role: role.other)
            insert(StreamState(id: opened, receive: ReceiveStream(window: streamWindow)))
            nextRemote += 1
        }
        return true
    }

    /// Forgets a finished stream; true if the peer should hear of a higher limit.
    mutating func removeIfFinished(_ id: StreamID) -> Bool {
        guard let position = position(id), slots[position].isOver() else { return false }
        remove(id)
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

    // MARK: Reading

    /// What the owner decides by, read in place.
    mutating func snapshot(_ id: StreamID) -> StreamSnapshot? {
        guard let position = position(id) else { return nil }
        lastPosition = position
        return slots[position].snapshot()
    }

    /// Counts what arrived as consumed: how much that is, and whether the peer should hear of
    /// more credit for the stream.
    mutating func consume(
        _ id: StreamID, now: Int64, roundTrip: Int64
    ) -> (bytes: UInt64, wantsUpdate: Bool) {
        guard let position = position(id) else { return (0, false) }
        lastPosition = position
        defer { grownWindow = max(grownWindow, slots[position].receive.window.size) }
        return slots[position].consume(now: now, roundTrip: roundTrip)
    }

    /// A message of `length` bytes is taken in for sure. Its window begins where those of other
    /// streams of this path have got to: to grow again would cost each large message round trips.
    /// True if the peer should hear of it.
    mutating func grant(_ id: StreamID, length: Int) -> Bool {
        guard let position = position(id) else { return false }
        lastPosition = position
        slots[position].isGranted = true
        return slots[position].widen(to: grownWindow, length: length)
    }

    // MARK: Frames

    /// Opens a packet with `keys` right where its data belong, if it goes on where the last one
    /// ended, as is most likely; nil if there is no such place.
    mutating func land(
        _ packet: UnsafeRawBufferPointer, with keys: inout PacketKeys?, largestReceived: UInt64?,
        scratch: UnsafeMutableRawBufferPointer, now: Int64
    ) throws(TransportError) -> Landing? {
        guard lastPosition < slots.count, lastFrameHeader > 0 else { return nil }
        return try slots[lastPosition].receive.land(
            packet.count, on: slots[lastPosition].id, headerSize: lastFrameHeader, scratch: scratch
        ) { room throws(TransportError) in
            try keys?.open(
                packet, largestReceived: largestReceived, scratch: scratch, into: room, now: now)
        }
    }

    /// Takes the piece in that has just landed: as `insert(_:)` does a frame.
    @inline(__always)
    mutating func insert(
        _ piece: LandedPiece
    ) throws(TransportError) -> (growth: UInt64, isNews: Bool) {
        precondition(slots[lastPosition].id == piece.id, "a piece is taken in once it has landed")
        let growth = try slots[lastPosition].receive.insert(piece)
        return (growth, slots[lastPosition].becomeReadable())
    }

    /// How long the header of a STREAM frame was that filled a packet.
    mutating func noteFrameHeader(_ payload: UnsafeRawBufferPointer) {
        let frame = FrameDecoder.soleStream(payload)
        lastFrameHeader = frame.map { payload.count - $0.data.count } ?? 0
    }

    /// Takes a STREAM frame in: by how much its end grew, and whether the owner should be told
    /// that there is something to read. Nil if the stream is gone.
    mutating func insert(
        _ frame: StreamFrame
    ) throws(TransportError) -> (growth: UInt64, isNews: Bool)? {
        guard let position = position(frame.id) else { return nil }
        lastPosition = position
        let growth = try slots[position].receive.insert(frame)
        return (growth, slots[position].becomeReadable())
    }

    /// A STREAM frame of ours was acknowledged; true if that may have finished the stream.
    mutating func acknowledge(
        _ id: StreamID, offset: UInt64, length: Int, isFinal: Bool
    ) -> Bool {
        guard let position = position(id) else { return false }
        lastPosition = position
        return slots[position].send?.acknowledge(
            offset: offset, length: length, isFinal: isFinal) ?? false
    }

    mutating func enqueue(_ id: StreamID) {
        guard let position = position(id), slots[position].claimQueuePlace() else { return }
        sendQueue.append(id, slots[position].sendUrgency())
    }

    /// Writes one STREAM frame of the stream whose turn it is; nil if none has anything to send
    /// that fits and that the connection's `credit` allows.
    mutating func writeNext(
        to writer: inout PacketWriter, credit: UInt64
    ) -> (id: StreamID, piece: SendStream.Piece)? {
        guard !sendQueue.isEmpty else { return nil }
        if let level = sendQueue.overdueLevel,
            let written = writeNext(level: level, to: &writer, credit: credit)
        {
            return written
        }
        for level in 0..<SendQueue.levelCount {
            if let written = writeNext(level: level, to: &writer, credit: credit) {
                return written
            }
        }
        return nil
    }

    private mutating func writeNext(
        level: Int, to writer: inout PacketWriter, credit: UInt64
    ) -> (id: StreamID, piece: SendStream.Piece)? {
        var blocked = 0
        while blocked < sendQueue.count(level: level) {
            let id = sendQueue.first(level: level)
            guard let position = position(id) else {
                sendQueue.rotate(level: level, keep: false)
                continue
            }
            lastPosition = position
            if let piece = slots[position].send?.writeNext(id, to: &writer, credit: credit) {
                let isTurnOver = sendQueue.used(piece.length, level: level)
                if !slots[position].isSendPending() {
                    sendQueue.rotate(level: level, keep: false)
                    slots[position].send?.isQueued = false
                } else if isTurnOver {
                    sendQueue.rotate(level: level, keep: true)
                }
                return (id, piece)
            }
            // Waits for the connection's credit, or has nothing left to send.
            let isPending = slots[position].isSendPending()
            sendQueue.rotate(level: level, keep: isPending)
            if isPending { blocked += 1 } else { slots[position].send?.isQueued = false }
        }
        return nil
    }
}
