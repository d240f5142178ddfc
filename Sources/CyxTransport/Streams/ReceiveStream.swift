internal import CyxKernels

/// The receiving half of a stream: one message of a header word and a body, put together in place
/// however its packets arrive.
struct ReceiveStream: Sendable {
    /// Runs of missing bytes at one time; a peer that makes more is not sending packets.
    static let gapsMax = 8192
    /// The body's array never reserves more than this many times what arrived.
    static let reservationFactor = 16
    static let reservationMin = 64 << 10

    private(set) var header: UInt64 = 0
    /// Room for the body, as much of it as was worth having so far; what did not arrive yet is
    /// anything.
    private var body: [UInt8] = []
    /// Every byte below arrived.
    private(set) var contiguous: UInt64 = 0
    /// What arrived beyond.
    private var beyond = RangeSet()
    /// End of the highest byte that arrived: what the peer's credit is charged with.
    private(set) var highest: UInt64 = 0
    private(set) var finalSize: UInt64?
    private(set) var resetCode: UInt64?
    private(set) var isTaken = false
    /// We asked the peer to stop; what still arrives is dropped.
    private(set) var stopCode: UInt64?

    /// The credit that we gave, and how fast it is renewed.
    var window: FlowWindow

    init(window: FlowWindow) { self.window = window }

    /// How much of the body there is room for.
    var roomSize: Int { body.count }

    var hasHeader: Bool { contiguous >= UInt64(SendStream.headerSize) }
    var isComplete: Bool { finalSize == contiguous }
    /// Nothing more is to come from the peer.
    var isFinished: Bool { resetCode != nil || isComplete }
    /// And nobody will ask for what came.
    var isOver: Bool { isFinished && (isTaken || resetCode != nil || stopCode != nil) }

    /// Checks a frame that ends at `end`; returns by how much `highest` grew.
    @inline(__always)
    private mutating func admit(
        end: UInt64, isFinal: Bool
    ) throws(TransportError) -> UInt64 {
        guard end <= window.limit else { throw .flowControl }
        if let finalSize {
            guard end <= finalSize, !isFinal || end == finalSize else { throw .finalSize }
        } else if isFinal {
            guard end >= highest else { throw .finalSize }
            finalSize = end
        }
        let growth = end > highest ? end - highest : 0
        highest = max(highest, end)
        return growth
    }

    /// Takes a STREAM frame in; returns by how much `highest` grew.
    mutating func insert(_ frame: StreamFrame) throws(TransportError) -> UInt64 {
        let end = frame.offset + UInt64(frame.data.count)
        let growth = try admit(end: end, isFinal: frame.isFinal)
        guard resetCode == nil, stopCode == nil, !isTaken else {
            if stopCode != nil { contiguous = max(contiguous, end) }
            return growth
        }
        if frame.offset <= contiguous {
            guard end > contiguous else { return growth }
            let skipped = Int(contiguous - frame.offset)
            store(UnsafeRawBufferPointer(rebasing: frame.data[skipped...]), at: contiguous)
            contiguous = end
            absorb()
        } else if !frame.data.isEmpty {
            store(frame.data, at: frame.offset)
            beyond.insert(frame.offset..<end)
            guard beyond.count <= ReceiveStream.gapsMax else { throw .protocolViolation }
        }
        return growth
    }

    /// Lets `open` decrypt a packet of `count` bytes at most to where its data belong, if it goes on
    /// where the last one ended and has a frame header of `headerSize` bytes before its data. So a
    /// packet's bytes are written once, by the cipher. The frame header lies over bytes that arrived
    /// before, which are put back.
    ///
    /// Nil if there is no place for such a packet. Of one that has something else in it, the payload
    /// is moved to `scratch`. The memory is fetched while header protection is removed.
    @inline(__always)
    mutating func land(
        _ count: Int, on id: StreamID, headerSize: Int, scratch: UnsafeMutableRawBufferPointer,
        open: (UnsafeMutableRawBufferPointer) throws(TransportError) -> OpenedPacket?
    ) throws(TransportError) -> Landing? {
        guard beyond.isEmpty, resetCode == nil, stopCode == nil, !isTaken,
            contiguous >= UInt64(SendStream.headerSize + Landing.savedCount),
            headerSize <= Landing.savedCount
        else { return nil }
        let offset = contiguous
        let start = Int(offset) - SendStream.headerSize
        guard body.count - start >= count else { return nil }
        return try body.withUnsafeMutableBufferPointer { body throws(TransportError) in
            let body = UnsafeMutableRawBufferPointer(body)
            let end = UnsafeMutableRawBufferPointer(rebasing: body[start...])
            cyx_prefetch_write(end.baseAddress, count)
            let savedStart = start - Landing.savedCount
            let saved = body.loadUnaligned(fromByteOffset: savedStart, as: SIMD4<UInt64>.self)
            defer { body.storeBytes(of: saved, toByteOffset: savedStart, as: type(of: saved)) }
            let roomStart = start - headerSize
            let room = UnsafeMutableRawBufferPointer(
                rebasing: body[roomStart..<roomStart + count])
            guard let opened = try open(room) else { return Landing() }
            let payload = UnsafeRawBufferPointer(rebasing: room[..<opened.payloadSize])
            if let frame = FrameDecoder.soleStream(payload), frame.id == id,
                frame.offset == offset, frame.data.count == payload.count - headerSize
            {
                let piece = LandedPiece(
                    id: id, length: frame.data.count, isFinal: frame.isFinal)
                return Landing(opened: opened, piece: piece)
            }
            scratch.copyMemory(from: payload)
            return Landing(opened: opened)
        }
    }

    /// Takes the piece in that `land` has just put where it belongs; returns by how much `highest`
    /// grew.
    @inline(__always)
    mutating func insert(_ piece: LandedPiece) throws(TransportError) -> UInt64 {
        let end = contiguous + UInt64(piece.length)
        let growth = try admit(end: end, isFinal: piece.isFinal)
        contiguous = end
        return growth
    }

    private mutating func absorb() {
        while let first = beyond.first, first.lowerBound <= contiguous {
            contiguous = max(contiguous, first.upperBound)
            beyond.removeFirst()
        }
    }

    private mutating func store(_ data: UnsafeRawBufferPointer, at offset: UInt64) {
        var data = data
        var offset = offset
        let size = UInt64(SendStream.headerSize)
        if offset < size {
            let count = min(data.count, Int(size - offset))
            for index in 0..<count {
                let shift = (size - 1 - offset - UInt64(index)) * 8
                header |= UInt64(data[index]) << shift
            }
            data = UnsafeRawBufferPointer(rebasing: data[count...])
            offset += UInt64(count)
        }
        guard !data.isEmpty else { return }
        let start = Int(offset - size)
        let end = start + data.count
        if end > body.count { grow(to: end) }
        body.withUnsafeMutableBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end]).copyMemory(from: data)
        }
    }

    /// Moves the body to larger room for at least `count` bytes: for all that the header announces,
    /// as far as what arrived justifies it. Filling what did not arrive would take as long as
    /// receiving.
    private mutating func grow(to count: Int) {
        let arrived = min(body.count, Int(highest) - SendStream.headerSize)
        let justified = max(
            ReceiveStream.reservationMin, ReceiveStream.reservationFactor * arrived)
        let announced = min(RPCHeader.length(of: header), justified)
        let size = max(count, announced > body.count ? announced : 2 * body.count)
        body = [UInt8](unsafeUninitializedCapacity: size) { room, initialized in
            UnsafeMutableRawBufferPointer(room).copyBytes(
                from: body.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[..<arrived]) })
            initialized = size
        }
    }

    /// The body of a complete message, moved out.
    mutating func take() -> [UInt8] {
        precondition(isComplete && !isTaken, "a message is taken once, when it is complete")
        isTaken = true
        defer { body = [] }
        body.removeLast(body.count - max(0, Int(contiguous) - SendStream.headerSize))
        return body
    }

    /// RESET_STREAM: returns by how much `highest` grew.
    mutating func reset(code: UInt64, finalSize size: UInt64) throws(TransportError) -> UInt64 {
        guard size <= window.limit else { throw .flowControl }
        guard size >= highest, finalSize.map({ $0 == size }) ?? true else { throw .finalSize }
        let growth = size - highest
        finalSize = size
        highest = size
        if !isComplete || !isTaken { resetCode = resetCode ?? code }
        body = []
        beyond.removeAll()
        return growth
    }

    /// Drops what arrived and what will; false if nothing more was to come.
    mutating func stop(code: UInt64) -> Bool {
        guard stopCode == nil, resetCode == nil, !isTaken else { return false }
        let wasComplete = isComplete
        stopCode = code
        body = []
        beyond.removeAll()
        contiguous = highest
        return !wasComplete
    }
}

/// What became of a packet that was opened where its data might belong.
struct Landing {
    /// Bytes that are put back, and so the longest header of a STREAM frame that there can be.
    static let savedCount = 32

    /// Nil if it is not authentic.
    var opened: OpenedPacket?
    /// What of the message it is, and has been put there; nil if it is not, and its payload is in
    /// the scratch memory.
    var piece: LandedPiece?
}

/// The next piece of a message, already in its place.
struct LandedPiece {
    var id: StreamID
    var length: Int
    var isFinal: Bool
}
