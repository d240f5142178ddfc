/// The checksums that S3 stores with objects, by the ends of their header names.
enum ChecksumAlgorithm: String, CaseIterable, Sendable {
    case crc32, crc32c, crc64nvme, sha1, sha256

    var header: String { "x-amz-checksum-\(rawValue)" }
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
    case cyclic(CyclicRedundancyCheck)
    case digest(MessageDigest)

    init(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: self = .cyclic(CyclicRedundancyCheck(.crc32))
        case .crc32c: self = .cyclic(CyclicRedundancyCheck(.crc32c))
        case .crc64nvme: self = .cyclic(CyclicRedundancyCheck(.crc64NVMe))
        case .sha1: self = .digest(MessageDigest(.sha1))
        case .sha256: self = .digest(MessageDigest(.sha256))
        }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .cyclic(var check):
            check.update(bytes)
            self = .cyclic(check)
        case .digest(let digest): digest.update(bytes)
        }
    }

    /// Call once.
    func finish() -> [UInt8] {
        switch self {
        case .cyclic(let check): check.bytes
        case .digest(let digest): digest.finish()
        }
    }
}
