internal import CyxKernels

/// The sending half of a stream: one message, known in whole when it is opened, that ends the
/// half. Its bytes stay here until all are acknowledged; packets copy from them.
struct SendStream: Sendable {
    /// Bytes of the header word before the body.
    static let headerSize = 8

    let header: UInt64
    private(set) var body: [UInt8]
    let length: UInt64
    /// What the peer allows.
    private(set) var maxData: UInt64
    private(set) var next: UInt64 = 0
    private var isFinalSent = false
    private var isFinalAcknowledged = false
    private var isFinalLost = false
    private var acknowledged = RangeSet()
    private var lost = RangeSet()
    private(set) var resetCode: UInt64?
    private var isResetAcknowledged = false
    var isQueued = false
    let urgency: CallUrgency

    init(header: UInt64, body: [UInt8], maxData: UInt64, urgency: CallUrgency = .foreground) {
        self.urgency = urgency
        self.header = header
        self.body = body
        length = UInt64(SendStream.headerSize + body.count)
        self.maxData = maxData
    }

    /// Nothing will be sent any more.
    var isFinished: Bool {
        if resetCode != nil { return isResetAcknowledged }
        guard isFinalAcknowledged, let range = acknowledged.first else { return false }
        return range.lowerBound == 0 && range.upperBound == length
    }

    var isReset: Bool { resetCode != nil }

    /// Whether something can be sent without more credit of the stream's own.
    var hasPending: Bool {
        guard resetCode == nil else { return false }
        return !lost.isEmpty || isFinalLost || (next < length ? next < maxData : !isFinalSent)
    }

    // The same, and more, for who holds the half in an optional: in place, without a copy.

    mutating func isDone() -> Bool { isFinished }
    mutating func isPending() -> Bool { hasPending }

    /// Notes that the half is queued; false if it is already, or has nothing to send.
    mutating func claimQueuePlace() -> Bool {
        guard !isQueued, hasPending else { return false }
        isQueued = true
        return true
    }

    struct Piece {
        var offset: UInt64
        var length: Int
        var isFinal: Bool
        var isFresh: Bool

        /// How much of it was never sent before, which costs connection credit.
        var fresh: UInt64 { isFresh ? UInt64(length) : 0 }
    }

    /// The next bytes to send, lost ones first; nil if none fit. `credit` is what the connection
    /// still allows of new bytes.
    @inline(__always)
    func nextPiece(room: Int, credit: UInt64) -> Piece? {
        guard resetCode == nil else { return nil }
        if let range = lost.first {
            let end = min(range.upperBound, range.lowerBound + UInt64(room))
            guard end > range.lowerBound else { return nil }
            let isFinal = end == length && isFinalLost
            return Piece(
                offset: range.lowerBound, length: Int(end - range.lowerBound), isFinal: isFinal,
                isFresh: false)
        }
        let limit = min(length, maxData, next + credit)
        let end = min(limit, next + UInt64(room))
        if end > next {
            return Piece(
                offset: next, length: Int(end - next), isFinal: end == length,
                isFresh: true)
        }
        guard isFinalLost || (next == length && !isFinalSent) else { return nil }
        return Piece(offset: length, length: 0, isFinal: true, isFresh: false)
    }

    /// Writes the next STREAM frame; nil if there is nothing to send or no room.
    mutating func writeNext(
        _ id: StreamID, to writer: inout PacketWriter, credit: UInt64
    ) -> Piece? {
        // The offset of a repeated piece is never longer than that of the next new one.
        let room = writer.remaining - PacketWriter.streamHeaderSize(id, offset: next)
        guard let piece = nextPiece(room: max(0, room), credit: credit) else { return nil }
        writer.writeStreamHeader(
            id, offset: piece.offset, length: piece.length, isFinal: piece.isFinal)
        copy(piece, to: writer.reserve(piece.length))
        sent(piece)
        return piece
    }

    @inline(__always)
    mutating func sent(_ piece: Piece) {
        let end = piece.offset + UInt64(piece.length)
        if piece.fresh == 0, piece.length > 0 { lost.remove(piece.offset..<end) }
        next = max(next, end)
        if piece.isFinal {
            isFinalSent = true
            isFinalLost = false
        }
    }

    /// Copies `piece` to `destination`, which has exactly its length. What the next packet will take
    /// is fetched into the cache meanwhile: this one is about to be encrypted, which leaves the time.
    @inline(__always)
    func copy(_ piece: Piece, to destination: UnsafeMutableRawBufferPointer) {
        var written = 0
        let size = UInt64(SendStream.headerSize)
        if piece.offset < size {
            withUnsafeBytes(of: header.bigEndian) { bytes in
                let start = Int(piece.offset)
                written = min(piece.length, SendStream.headerSize - start)
                destination.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + written]))
            }
        }
        guard written < piece.length else { return }
        let start = Int(piece.offset) + written - SendStream.headerSize
        body.withUnsafeBytes { bytes in
            let end = start + piece.length - written
            UnsafeMutableRawBufferPointer(rebasing: destination[written...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            let next = UnsafeRawBufferPointer(rebasing: bytes[end...].prefix(piece.length))
            cyx_prefetch_read(next.baseAddress, next.count)
        }
    }

    /// True if that finished the half.
    mutating func acknowledge(offset: UInt64, length: Int, isFinal: Bool) -> Bool {
        acknowledged.insert(offset..<offset + UInt64(length))
        if !lost.isEmpty { lost.remove(offset..<offset + UInt64(length)) }
        if isFinal {
            isFinalAcknowledged = true
            isFinalLost = false
        }
        guard isFinished else { return false }
        body = []
        return true
    }

    mutating func lose(offset: UInt64, length: Int, isFinal: Bool) {
        guard resetCode == nil else { return }
        lost.insert(offset..<offset + UInt64(length))
        for range in acknowledged.ranges { lost.remove(range) }
        if isFinal, !isFinalAcknowledged { isFinalLost = true }
    }

    mutating func raiseLimit(to limit: UInt64) { maxData = max(maxData, limit) }

    /// Gives the message up; false if it is finished or given up already.
    mutating func reset(code: UInt64) -> Bool {
        guard resetCode == nil, !isFinished else { return false }
        resetCode = code
        body = []
        lost.removeAll()
        return true
    }

    mutating func resetAcknowledged() { isResetAcknowledged = true }
}
