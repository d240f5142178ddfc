/// What kind of thing happened, as the trace records it.
package enum EventKind: UInt8, Sendable {
    case timer = 1
    case datagram = 2
    case message = 3
    case blocking = 4
    case fault = 5
    case log = 6
}

/// A running hash over everything that happened: two runs of one seed must end with the same one.
package struct TraceHash: Hashable, Sendable, CustomStringConvertible {
    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func fold(_ word: UInt64) {
        var mixed = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 29
        value = mixed &* 0xBF58_476D_1CE4_E5B9
    }

    /// A hash of `bytes` alone, eight at a time.
    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = TraceHash()
        hash.fold(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            hash.fold(UInt64(littleEndian: word))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        hash.fold(rest)
        return hash.value
    }

    package static func of(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { of($0) } }

    package var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
