/// What a frame in a sent packet was about, so that an acknowledgment or a loss can be acted on.
enum SentFrame: Sendable {
    case stream(StreamID, offset: UInt64, length: Int, isFinal: Bool)
    /// Our ACK frame told of packets below `below`.
    case acknowledgment(below: UInt64)
    case maxData
    case maxStreamData(StreamID)
    case maxStreams
    case resetStream(StreamID)
    case stopSending(StreamID)
    case handshakeDone
    case newConnectionID(UInt64)
    case retireConnectionID(UInt64)
    /// Unreliable: nothing follows from its loss.
    case datagram
    /// The packet is a probe of the path's MTU and has nothing else in it.
    case mtuProbe(size: Int)
}

struct SentPacket: Sendable {
    enum State: UInt8, Sendable {
        /// Not acknowledged, not lost.
        case outstanding
        case acknowledged
        case lost
        /// Its number was never used.
        case skipped
    }

    var timeSent: Int64
    /// In bytes; 0 for what did not go out on the path in use, and so takes no room on it.
    var size: Int32
    var frameCount: Int32
    var state: State
    var isAckEliciting: Bool
    /// A probe of the path's MTU: its loss says nothing about congestion (RFC 9000 §14.4).
    var isMTUProbe = false
    /// Sent with ECT(0).
    var isMarked = false
}

/// The packets that are not yet settled: a ring indexed by packet number, with a second ring of
/// their frames in the same order. Neither allocates while it has room.
struct SentPackets: Sendable {
    private var packets: Ring<SentPacket>
    private var frames: Ring<SentFrame>
    /// What BBR notes with each packet; empty for a controller that does not ask for it.
    private var records = Ring(filler: DeliveryRecord())
    let keepsRecords: Bool
    /// Packet number of the oldest packet in the ring.
    private(set) var firstNumber: UInt64 = 0
    /// Bytes in flight: outstanding and ack-eliciting.
    private(set) var bytesInFlight = 0
    private(set) var ackElicitingCount = 0

    init(keepsRecords: Bool = false) {
        self.keepsRecords = keepsRecords
        let packet = SentPacket(
            timeSent: 0, size: 0, frameCount: 0, state: .acknowledged, isAckEliciting: false)
        packets = Ring(filler: packet)
        frames = Ring(filler: .handshakeDone)
    }

    /// Packets in the ring.
    var count: Int { packets.count }

    /// Number of the next packet to be sent.
    var nextNumber: UInt64 { firstNumber + UInt64(packets.count) }

    /// Notes a frame of the packet that `append` completes next.
    mutating func appendFrame(_ frame: SentFrame) { frames.append(frame) }

    /// How many frames are in the ring; the difference around a packet is its `frameCount`.
    var frameCount: Int { frames.count }

    /// `record` is kept if records are.
    mutating func append(_ packet: SentPacket, record: DeliveryRecord? = nil) {
        packets.append(packet)
        if keepsRecords { records.append(record ?? DeliveryRecord()) }
        if packet.isAckEliciting {
            bytesInFlight += Int(packet.size)
            ackElicitingCount += 1
        }
    }

    /// Another path is in use: what is under way elsewhere takes no room on it, and its fate tells
    /// nothing about it (RFC 9000 §9.4).
    mutating func leavePath() {
        for index in 0..<packets.count { packets[index].size = 0 }
        bytesInFlight = 0
    }

    /// Steps over a packet number.
    mutating func appendSkip() {
        append(
            SentPacket(
                timeSent: 0, size: 0, frameCount: 0, state: .skipped, isAckEliciting: false))
    }

    @inline(__always)
    func packet(_ number: UInt64) -> SentPacket? {
        guard number >= firstNumber, number < nextNumber else { return nil }
        return packets[Int(number - firstNumber)]
    }

    /// The record of a packet in the ring, if records are kept.
    func record(_ number: UInt64) -> DeliveryRecord? {
        keepsRecords ? records[Int(number - firstNumber)] : nil
    }

    /// Settles an outstanding packet and gives the indices of its frames, good until `trim`.
    /// Frames of packets before it are stepped over from `cursor`, so that settling in ascending
    /// order is linear.
    @inline(__always)
    mutating func settle(
        _ number: UInt64, as state: SentPacket.State, cursor: inout FrameCursor
    ) -> Range<Int> {
        let index = Int(number - firstNumber)
        while cursor.packetIndex < index {
            cursor.frameIndex += Int(packets[cursor.packetIndex].frameCount)
            cursor.packetIndex += 1
        }
        let packet = packets[index]
        precondition(packet.state == .outstanding, "a packet is settled once")
        packets[index].state = state
        if packet.isAckEliciting {
            bytesInFlight -= Int(packet.size)
            ackElicitingCount -= 1
        }
        return cursor.frameIndex..<cursor.frameIndex + Int(packet.frameCount)
    }

    /// A frame by the index that `settle` gave.
    func frame(at index: Int) -> SentFrame { frames[index] }

    /// A place in both rings, valid until `trim`.
    struct FrameCursor {
        var packetIndex = 0
        var frameIndex = 0
    }

    /// Calls `body` with the frames of the oldest `packets` outstanding ack-eliciting packets.
    func forEachOutstandingFrame(packets number: Int, _ body: (SentFrame) -> Void) {
        var frameIndex = 0
        var found = 0
        for index in 0..<packets.count where found < number {
            let packet = packets[index]
            if packet.state == .outstanding, packet.isAckEliciting {
                found += 1
                for frame in 0..<Int(packet.frameCount) { body(frames[frameIndex + frame]) }
            }
            frameIndex += Int(packet.frameCount)
        }
    }

    /// Drops settled packets from the old end.
    @inline(__always)
    mutating func trim() {
        while packets.count > 0, packets[0].state != .outstanding {
            frames.removeFirst(Int(packets[0].frameCount))
            packets.removeFirst(1)
            if keepsRecords { records.removeFirst(1) }
            firstNumber += 1
        }
    }
}

/// A growing circular buffer; indices count from its oldest element.
struct Ring<Element: Sendable>: Sendable {
    private static var capacityMin: Int { 64 }

    private var storage: [Element]
    private let filler: Element
    private var head = 0
    private(set) var count = 0

    init(filler: Element) {
        self.filler = filler
        storage = []
    }

    @inline(__always)
    private func position(_ index: Int) -> Int { (head + index) & (storage.count - 1) }

    subscript(index: Int) -> Element {
        @inline(__always) get { storage[position(index)] }
        @inline(__always) _modify { yield &storage[position(index)] }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        if count == storage.count { grow() }
        storage[position(count)] = element
        count += 1
    }

    mutating func removeFirst(_ number: Int) {
        precondition(number <= count, "a ring gives back no more than it holds")
        guard number > 0 else { return }
        head = position(number)
        count -= number
    }

    private mutating func grow() {
        var larger: [Element] = []
        let capacity = max(Ring.capacityMin, storage.count * 2)
        larger.reserveCapacity(capacity)
        for index in 0..<count { larger.append(self[index]) }
        for _ in count..<capacity { larger.append(filler) }
        storage = larger
        head = 0
    }
}
