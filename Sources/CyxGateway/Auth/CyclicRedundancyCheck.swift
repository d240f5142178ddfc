/// The reflected CRCs that S3 names, eight table look-ups per eight bytes ("slicing-by-8",
/// Kounavis and Berry 2005). Registers narrower than 64 bits lie in the low bits.
struct CyclicRedundancyCheck: Sendable {
    enum Kind: Sendable {
        /// ISO-HDLC, as in zlib.
        case crc32
        /// Castagnoli (RFC 3720, appendix B.4).
        case crc32c
        /// NVM Express base specification, §5.2.1.3.4.
        case crc64NVMe

        var byteCount: Int { self == .crc64NVMe ? 8 : 4 }

        fileprivate var reflectedPolynomial: UInt64 {
            switch self {
            case .crc32: 0xEDB8_8320
            case .crc32c: 0x82F6_3B78
            case .crc64NVMe: 0x9A6C_9329_AC4B_C9B5
            }
        }

        fileprivate var mask: UInt64 { self == .crc64NVMe ? .max : 0xFFFF_FFFF }

        fileprivate var tables: [UInt64] {
            switch self {
            case .crc32: CyclicRedundancyCheck.crc32Tables
            case .crc32c: CyclicRedundancyCheck.crc32cTables
            case .crc64NVMe: CyclicRedundancyCheck.crc64Tables
            }
        }
    }

    private static let crc32Tables = makeTables(.crc32)
    private static let crc32cTables = makeTables(.crc32c)
    private static let crc64Tables = makeTables(.crc64NVMe)

    private let kind: Kind
    private let tables: [UInt64]
    private var register: UInt64

    init(_ kind: Kind) {
        self.kind = kind
        tables = kind.tables
        register = kind.mask
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var crc = register
        tables.withUnsafeBufferPointer { table in
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let mixed = UInt64(littleEndian: word) ^ crc
                crc = table[0x700 + Int(mixed & 0xFF)]
                crc ^= table[0x600 + Int(mixed >> 8 & 0xFF)]
                crc ^= table[0x500 + Int(mixed >> 16 & 0xFF)]
                crc ^= table[0x400 + Int(mixed >> 24 & 0xFF)]
                crc ^= table[0x300 + Int(mixed >> 32 & 0xFF)]
                crc ^= table[0x200 + Int(mixed >> 40 & 0xFF)]
                crc ^= table[0x100 + Int(mixed >> 48 & 0xFF)]
                crc ^= table[Int(mixed >> 56)]
                offset += 8
            }
            while offset < bytes.count {
                crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ bytes[offset])]
                offset += 1
            }
        }
        register = crc
    }

    /// Big-endian, as S3 encodes it in base 64.
    var bytes: [UInt8] {
        let value = register ^ kind.mask
        return (0..<kind.byteCount).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func makeTables(_ kind: Kind) -> [UInt64] {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt64(index)
            for _ in 0..<8 {
                value = value & 1 == 1 ? value >> 1 ^ kind.reflectedPolynomial : value >> 1
            }
            tables[index] = value
        }
        for slice in 1..<8 {
            for index in 0..<256 {
                let before = tables[(slice - 1) * 256 + index]
                tables[slice * 256 + index] = before >> 8 ^ tables[Int(before & 0xFF)]
            }
        }
        return tables
    }
}
