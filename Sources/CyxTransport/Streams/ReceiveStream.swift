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

    var hasHeader: Bool { contiguous >= UInt64(SendStream.headerSize) }
    var isComplete: Bool { finalSize == contiguous }
    /// Nothing more is to come from the peer.
    var isFinished: Bool { resetCode != nil || isComplete }
    /// And nobody will ask for what came.
    var isOver: Bool { isFinished && (isTaken || resetCode != nil || stopCode != nil) }

    /// Takes a STREAM frame in; returns by how much `highest` grew.
    mutating func insert(_ frame: StreamFrame) throws(TransportError) -> UInt64 {
        let end = frame.offset + UInt64(frame.data.count)
        guard end <= window.limit else { throw .flowControl }
        if let finalSize {
            guard end <= finalSize, !frame.isFinal || end == finalSize else { throw .finalSize }
        } else if frame.isFinal {
            guard end >= highest else { throw .finalSize }
            finalSize = end
        }
        let growth = end > highest ? end - highest : 0
        highest = max(highest, end)
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

    /// Where a packet of `count` bytes at most may be decrypted to, if it goes on where the last
    /// one ended and has `frameHeader` bytes before its data; nil if there is no such place. The
    /// memory is fetched while header protection is removed.
    mutating func landing(_ count: Int, frameHeader: Int) -> Landing? {
        guard beyond.isEmpty, resetCode == nil, stopCode == nil, !isTaken,
            contiguous >= UInt64(SendStream.headerSize + Landing.savedCount),
            frameHeader <= Landing.savedCount
        else { return nil }
        let start = Int(contiguous) - SendStream.headerSize
        guard body.count - start >= count else { return nil }
        return body.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            cyx_prefetch_write(base + start, count)
            return Landing(end: base + start, frameHeader: frameHeader, offset: contiguous)
        }
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
        if end > body.count { grow(to: max(end, 2 * body.count)) }
        body.withUnsafeMutableBytes { bytes in
            let destination = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end])
            // It may have been decrypted to where it belongs.
            if UnsafeRawPointer(destination.baseAddress) != data.baseAddress {
                destination.copyMemory(from: data)
            }
        }
    }

    /// Moves the body to larger room. Filling what did not arrive would take as long as receiving.
    private mutating func grow(to count: Int) {
        body = [UInt8](unsafeUninitializedCapacity: count) { room, initialized in
            UnsafeMutableRawBufferPointer(room).copyBytes(from: body)
            initialized = count
        }
    }

    /// Makes room for a body of `length` bytes, as far as what arrived justifies it.
    mutating func reserve(_ length: Int) {
        let arrived = Int(highest) - min(Int(highest), SendStream.headerSize)
        let justified = max(
            ReceiveStream.reservationMin, ReceiveStream.reservationFactor * arrived)
        let wanted = min(length, justified)
        if wanted > body.count { grow(to: wanted) }
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

/// Where a packet's plaintext goes if all of it is the next piece of a message: its data to their
/// place in the message, and the frame's header in front of them, over bytes that arrived before,
/// which are put back. So a packet's bytes are written once, by the cipher.
///
/// Nothing may change the stream in the meantime, as it owns the memory.
struct Landing {
    /// Bytes that are saved, and so the longest header of a STREAM frame that there can be.
    static let savedCount = 32

    /// Where the data belong.
    private let end: UnsafeMutableRawPointer
    private let frameHeader: Int
    /// Offset in the stream of what is at `end`.
    let offset: UInt64
    private let saved: SIMD4<UInt64>

    fileprivate init(end: UnsafeMutableRawPointer, frameHeader: Int, offset: UInt64) {
        self.end = end
        self.frameHeader = frameHeader
        self.offset = offset
        saved = (end - Landing.savedCount).loadUnaligned(as: SIMD4<UInt64>.self)
    }

    /// Room for `count` bytes of plaintext.
    func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: end - frameHeader, count: count)
    }

    /// Whether `data` have been decrypted to where they belong.
    func holds(_ data: UnsafeRawBufferPointer) -> Bool {
        data.baseAddress == UnsafeRawPointer(end)
    }

    /// Puts back what the frame's header lies on.
    func restore() {
        (end - Landing.savedCount).storeBytes(of: saved, as: SIMD4<UInt64>.self)
    }
}
