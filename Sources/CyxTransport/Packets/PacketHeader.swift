/// What a long-header packet carries (decisions.md §D).
enum LongPacketType: UInt8, Sendable {
    /// The initiator's first message, in a datagram of at least 1200 bytes.
    case initial = 0b00
    /// The responder's answer.
    case response = 0b01
    /// The initiator's second message, which ends the handshake.
    case finish = 0b10
    /// A demand to show the address by repeating a token.
    case retry = 0b11
}

/// The sizes and bit patterns of packet headers.
package enum PacketFormat {
    package static let version: UInt32 = 1
    /// What stands for the version in a list of versions (RFC 9000 §17.2.1).
    static let negotiationVersion: UInt32 = 0
    static let longHeaderSize = 1 + 4 + ConnectionID.byteCount * 2
    /// First byte and connection ID of a short header; the packet number follows.
    static let shortHeaderSize = 1 + ConnectionID.byteCount
    static let tagSize = 16
    static let sampleSize = 16
    /// Anything shorter cannot be a protected packet: the sample starts 4 bytes into the packet
    /// number (RFC 9001 §5.4.2).
    static let shortPacketSizeMin = shortHeaderSize + 4 + sampleSize
    /// Datagrams that open a connection have at least this size (RFC 9000 §14.1).
    static let initialDatagramSizeMin = 1200
    /// The largest datagram that anyone sends or takes: IPv6 in an Ethernet jumbo frame of 9000
    /// bytes. What is sent on a path is for `PathMTU` to find out.
    static let datagramSizeMax = 8952
    /// Not used; its value differs by connection ID, so that nobody on the way counts on one
    /// (RFC 9000 §17.4).
    static let spinBit: UInt8 = 0b0010_0000
    static let keyPhaseBit: UInt8 = 0b0000_0100
    static let shortReservedBits: UInt8 = 0b0001_1000
}

/// `11TT0000 ‖ version 4 ‖ DCID 8 ‖ SCID 8`.
struct LongHeader: Equatable {
    var type: LongPacketType
    var version: UInt32
    var destination: ConnectionID
    var source: ConnectionID

    /// Nil for anything that is not a well-formed long header, which gets no answer.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= PacketFormat.longHeaderSize, bytes[0] & 0b1100_1111 == 0b1100_0000,
            let type = LongPacketType(rawValue: bytes[0] >> 4 & 0b11)
        else { return nil }
        self.type = type
        version = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        destination = ConnectionID(
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt64.self)))
        source = ConnectionID(
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 13, as: UInt64.self)))
    }

    init(
        type: LongPacketType, version: UInt32, destination: ConnectionID, source: ConnectionID
    ) {
        self.type = type
        self.version = version
        self.destination = destination
        self.source = source
    }

    func write(to writer: inout PacketWriter) {
        writer.write(UInt8(0b1100_0000 | type.rawValue << 4))
        writer.write(version)
        writer.write(destination.value)
        writer.write(source.value)
    }

    var bytes: [UInt8] {
        var packet = [UInt8](repeating: 0, count: PacketFormat.longHeaderSize)
        packet.withUnsafeMutableBytes { bytes in
            var writer = PacketWriter(bytes)
            write(to: &writer)
        }
        return packet
    }
}

/// `01SRRKPP ‖ DCID 8`: what of a short header is readable before header protection is removed.
struct ShortHeader {
    var destination: ConnectionID

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= PacketFormat.shortPacketSizeMin, bytes[0] >> 6 == 0b01 else {
            return nil
        }
        destination = ConnectionID(
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)))
    }
}
