/// Writes one packet into a slice of the transmit buffer. The caller asks `remaining` before it
/// writes; writing past the end is our own bug.
struct PacketWriter {
    static let variableMax: UInt64 = 1 << 62 - 1

    let bytes: UnsafeMutableRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - offset }

    @inline(__always)
    private mutating func claim(_ count: Int) -> Int {
        precondition(count <= remaining, "a packet writer's caller checks the room first")
        defer { offset += count }
        return offset
    }

    @inline(__always)
    mutating func write(_ value: UInt8) {
        bytes[claim(1)] = value
    }

    @inline(__always)
    private mutating func store<Value: FixedWidthInteger>(_ value: Value) {
        let start = claim(MemoryLayout<Value>.size)
        bytes.storeBytes(of: value.bigEndian, toByteOffset: start, as: Value.self)
    }

    mutating func write(_ value: UInt16) { store(value) }
    mutating func write(_ value: UInt32) { store(value) }
    mutating func write(_ value: UInt64) { store(value) }

    mutating func write(_ more: [UInt8]) {
        let start = claim(more.count)
        more.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + more.count])
                .copyMemory(from: source)
        }
    }

    /// Room for `count` bytes that the caller fills.
    mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let start = claim(count)
        return UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + count])
    }

    @inline(__always)
    static func variableSize(_ value: UInt64) -> Int {
        if value < 1 << 6 { return 1 }
        if value < 1 << 14 { return 2 }
        if value < 1 << 30 { return 4 }
        return 8
    }

    /// RFC 9000 §16.
    @inline(__always)
    mutating func writeVariable(_ value: UInt64) {
        precondition(value <= PacketWriter.variableMax, "a variable-length integer has 62 bits")
        if value < 1 << 6 {
            write(UInt8(truncatingIfNeeded: value))
        } else if value < 1 << 14 {
            store(UInt16(truncatingIfNeeded: value) | 0x4000)
        } else if value < 1 << 30 {
            store(UInt32(truncatingIfNeeded: value) | 0x8000_0000)
        } else {
            store(value | 0xC000_0000_0000_0000)
        }
    }

    /// Fills up to `size` bytes in all with PADDING frames.
    @inline(__always)
    mutating func pad(to size: Int) {
        guard size > offset else { return }
        let start = claim(size - offset)
        UnsafeMutableRawBufferPointer(rebasing: bytes[start..<size])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }
}
