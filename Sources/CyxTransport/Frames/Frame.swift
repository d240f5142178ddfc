/// Names a stream of one connection. The lowest bit says who opened it (0: the initiator of the
/// connection); the next is 0, as all streams are bidirectional (RFC 9000 §2.1).
struct StreamID: Hashable, Sendable, Comparable {
    var value: UInt64
    init(_ value: UInt64) { self.value = value }
    init(index: UInt64, role: ConnectionRole) { value = index << 2 | UInt64(role.rawValue) }

    var index: UInt64 { value >> 2 }
    var opener: ConnectionRole { value & 1 == 0 ? .initiator : .responder }
    var isBidirectional: Bool { value & 2 == 0 }

    static func < (left: StreamID, right: StreamID) -> Bool { left.value < right.value }
}

/// Which side of a connection this is; the raw value goes into signatures and stream IDs.
enum ConnectionRole: UInt8, Sendable {
    case initiator = 0
    case responder = 1

    var other: ConnectionRole { self == .initiator ? .responder : .initiator }
}

/// The frame types of RFC 9000 §19 that are in use.
enum FrameType {
    static let padding: UInt64 = 0x00
    static let ping: UInt64 = 0x01
    static let acknowledgment: UInt64 = 0x02
    static let acknowledgmentECN: UInt64 = 0x03
    static let resetStream: UInt64 = 0x04
    static let stopSending: UInt64 = 0x05
    static let stream: UInt64 = 0x08
    static let streamFin: UInt64 = 0x01
    static let streamLength: UInt64 = 0x02
    static let streamOffset: UInt64 = 0x04
    static let maxData: UInt64 = 0x10
    static let maxStreamData: UInt64 = 0x11
    static let maxStreams: UInt64 = 0x12
    static let dataBlocked: UInt64 = 0x14
    static let streamDataBlocked: UInt64 = 0x15
    static let streamsBlocked: UInt64 = 0x16
    static let newConnectionID: UInt64 = 0x18
    static let retireConnectionID: UInt64 = 0x19
    static let pathChallenge: UInt64 = 0x1A
    static let pathResponse: UInt64 = 0x1B
    static let connectionClose: UInt64 = 0x1C
    static let handshakeDone: UInt64 = 0x1E
    /// RFC 9221 §4; the lowest bit says that a length follows.
    static let datagram: UInt64 = 0x30
    static let datagramLength: UInt64 = 0x01
}

/// One decoded frame; bytes are borrowed from the packet.
enum Frame {
    case padding
    case ping
    case acknowledgment(AckFrame)
    case resetStream(StreamID, code: UInt64, finalSize: UInt64)
    case stopSending(StreamID, code: UInt64)
    case stream(StreamFrame)
    case maxData(UInt64)
    case maxStreamData(StreamID, UInt64)
    case maxStreams(UInt64)
    /// A sender waits for credit: DATA_BLOCKED, STREAM_DATA_BLOCKED or STREAMS_BLOCKED.
    case blocked
    case newConnectionID(NewConnectionIDFrame)
    case retireConnectionID(UInt64)
    case pathChallenge(UInt64)
    case pathResponse(UInt64)
    case connectionClose(code: UInt64)
    case handshakeDone
    case datagram(UnsafeRawBufferPointer)

    /// Whether a packet of such frames alone says nothing of which path the peer wants to use
    /// (RFC 9000 §9.1).
    var isProbing: Bool {
        switch self {
        case .padding, .pathChallenge, .pathResponse, .newConnectionID: true
        default: false
        }
    }

    /// Whether a packet with this frame has to be acknowledged (RFC 9002 §2).
    var isAckEliciting: Bool {
        switch self {
        case .padding, .acknowledgment, .connectionClose: false
        default: true
        }
    }
}

/// NEW_CONNECTION_ID (RFC 9000 §19.15): those before `retirePriorTo` should be retired.
struct NewConnectionIDFrame {
    var sequence: UInt64
    var retirePriorTo: UInt64
    var id: ConnectionID
    var token: UnsafeRawBufferPointer
}

/// STREAM (RFC 9000 §19.8).
struct StreamFrame {
    var id: StreamID
    var offset: UInt64
    var data: UnsafeRawBufferPointer
    var isFinal: Bool
}

/// ACK (RFC 9000 §19.3): checked when it is decoded, so that walking it cannot fail.
struct AckFrame {
    static let delayExponent: UInt64 = 3
    static let rangesMax: UInt64 = 256

    var largest: UInt64
    /// In nanoseconds.
    var delay: Int64
    var firstLength: UInt64
    var rangeCount: UInt64
    var ranges: UnsafeRawBufferPointer
    /// What arrived with which mark, if the peer says so.
    var ecn: ECNCounts?

    /// Calls `body` with each acknowledged range, highest first.
    func forEachRange(_ body: (ClosedRange<UInt64>) -> Void) throws(TransportError) {
        var lowest = largest - firstLength
        body(lowest...largest)
        var reader = PacketReader(ranges)
        for _ in 0..<rangeCount {
            let gap = try reader.readVariable()
            let length = try reader.readVariable()
            guard lowest >= gap + 2, lowest - gap - 2 >= length else { throw .frameEncoding }
            let highest = lowest - gap - 2
            lowest = highest - length
            body(lowest...highest)
        }
    }
}
