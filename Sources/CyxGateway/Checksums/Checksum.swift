internal import CyxCore
internal import CyxCrypto

/// The checksums that S3 stores with objects, by the ends of their header names.
enum ChecksumAlgorithm: String, CaseIterable, Sendable {
    case crc32, crc32c, crc64nvme, sha1, sha256

    /// What an object gets that comes without a checksum.
    static let implied = crc64nvme

    var header: String { "x-amz-checksum-\(rawValue)" }

    /// CRCs take tens of microseconds a megabyte, hashes thousands.
    var isHash: Bool { self == .sha1 || self == .sha256 }

    var byteCount: Int {
        switch self {
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        case .sha1: 20
        case .sha256: 32
        }
    }
}

/// One checksum on its way.
enum RunningChecksum: Sendable {
    case crc32(UInt32)
    case crc32c(UInt32)
    case crc64nvme(UInt64)
    case sha1(SHA1)
    case sha256(SHA256)

    init(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: self = .crc32(0)
        case .crc32c: self = .crc32c(0)
        case .crc64nvme: self = .crc64nvme(0)
        case .sha1: self = .sha1(SHA1())
        case .sha256: self = .sha256(SHA256())
        }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .crc32(let sum): self = .crc32(CRC.crc32(bytes, continuing: sum))
        case .crc32c(let sum): self = .crc32c(CRC.crc32c(bytes, continuing: sum))
        case .crc64nvme(let sum): self = .crc64nvme(CRC.crc64NVME(bytes, continuing: sum))
        case .sha1(var hash):
            hash.update(bytes)
            self = .sha1(hash)
        case .sha256(var hash):
            hash.update(bytes)
            self = .sha256(hash)
        }
    }

    /// CRCs big-endian, as S3 encodes them in base 64.
    func finish() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .crc32(let sum), .crc32c(let sum): writer.write(sum)
        case .crc64nvme(let sum): writer.write(sum)
        case .sha1(let hash): return hash.finalize()
        case .sha256(let hash): return hash.finalize()
        }
        return writer.bytes
    }
}
