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

    /// Tells the CPU that `count` bytes come next, where they will be stored: while a packet is
    /// decrypted, the memory that its bytes go to is fetched.
    mutating func anticipate(_ count: Int) {
        guard body.capacity - body.count >= count else { return }
        body.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { cyx_prefetch_write(base + bytes.count, count) }
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
        if start == body.count {
            body.append(contentsOf: data)
            return
        }
        let end = start + data.count
        if end > body.count {
            body.append(contentsOf: repeatElement(0, count: end - body.count))
        }
        body.withUnsafeMutableBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end]).copyMemory(from: data)
        }
    }

    /// Makes room for a body of `length` bytes, as far as what arrived justifies it.
    mutating func reserve(_ length: Int) {
        let justified = max(
            ReceiveStream.reservationMin, ReceiveStream.reservationFactor * body.count)
        let wanted = min(length, justified)
        if wanted > body.capacity { body.reserveCapacity(wanted) }
    }

    /// The body of a complete message, moved out.
    mutating func take() -> [UInt8] {
        precondition(isComplete && !isTaken, "a message is taken once, when it is complete")
        isTaken = true
        defer { body = [] }
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
