/// A cursor over the bytes of one packet, big-endian, with the variable-length integers of
/// RFC 9000 §16. Reading past the end throws; nothing is copied.
struct PacketReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - offset }
    var isAtEnd: Bool { offset == bytes.count }

    @inline(__always)
    mutating func readUInt8() throws(TransportError) -> UInt8 {
        guard offset < bytes.count else { throw .frameEncoding }
        defer { offset += 1 }
        return bytes[offset]
    }

    @inline(__always)
    private mutating func readInteger<Value: FixedWidthInteger>(
        _ type: Value.Type
    ) throws(TransportError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw .frameEncoding }
        defer { offset += size }
        return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    mutating func readUInt16() throws(TransportError) -> UInt16 { try readInteger(UInt16.self) }
    mutating func readUInt32() throws(TransportError) -> UInt32 { try readInteger(UInt32.self) }
    mutating func readUInt64() throws(TransportError) -> UInt64 { try readInteger(UInt64.self) }

    @inline(__always)
    mutating func readVariable() throws(TransportError) -> UInt64 {
        guard offset < bytes.count else { throw .frameEncoding }
        switch bytes[offset] >> 6 {
        case 0:
            defer { offset += 1 }
            return UInt64(bytes[offset])
        case 1: return UInt64(try readInteger(UInt16.self) & 0x3FFF)
        case 2: return UInt64(try readInteger(UInt32.self) & 0x3FFF_FFFF)
        default: return try readInteger(UInt64.self) & 0x3FFF_FFFF_FFFF_FFFF
        }
    }

    /// The next `count` bytes, borrowed from the packet.
    @inline(__always)
    mutating func readSlice(_ count: UInt64) throws(TransportError) -> UnsafeRawBufferPointer {
        guard count <= UInt64(remaining) else { throw .frameEncoding }
        defer { offset += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(count)])
    }

    mutating func readBytes(_ count: Int) throws(TransportError) -> [UInt8] {
        [UInt8](try readSlice(UInt64(count)))
    }

    /// Steps over zero bytes, which are PADDING frames.
    mutating func skipPadding() {
        while offset < bytes.count, bytes[offset] == 0 { offset += 1 }
    }
}
