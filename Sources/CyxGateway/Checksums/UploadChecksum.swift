internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// How the checksum of an object comes from those of its parts.
enum ChecksumType: String, Sendable {
    /// The checksum of the parts' checksums, and how many they were.
    case composite = "COMPOSITE"
    /// What the object's bytes themselves come to.
    case fullObject = "FULL_OBJECT"

    /// Of a stored value: one of parts ends with their number.
    init(of value: String) { self = value.contains("-") ? .composite : .fullObject }
}

/// What a multipart upload was created to check its parts and its object by. Kept among the upload's
/// headers, under names that no answer shows.
struct UploadChecksum: Equatable, Sendable {
    var algorithm: ChecksumAlgorithm
    var type: ChecksumType
    /// What parts keep theirs as.
    private(set) var partName: String

    /// Of an upload that was created without one: S3 tells of it when the object is there and not
    /// before, neither with the parts nor with the upload.
    static let implied = UploadChecksum(
        algorithm: .implied, type: .fullObject, partName: "implied")
    var isImplied: Bool { self == .implied }

    private static let algorithmName = S3Headers.hiddenPrefix + "checksum-algorithm"
    private static let typeName = S3Headers.hiddenPrefix + "checksum-type"

    private init(algorithm: ChecksumAlgorithm, type: ChecksumType, partName: String) {
        self.algorithm = algorithm
        self.type = type
        self.partName = partName
    }

    /// Of an upload with these stored headers; nil where S3 computes none: under a customer's key.
    static func effective(_ stored: [String: String]) -> UploadChecksum? {
        UploadChecksum(stored) ?? (CustomerCipher.isUsed(by: stored) ? nil : .implied)
    }

    /// What the creation asked for, out of an upload's stored headers.
    init?(_ stored: [String: String]) {
        guard
            let algorithm = stored[UploadChecksum.algorithmName].flatMap(
                ChecksumAlgorithm.init(rawValue:)),
            let type = stored[UploadChecksum.typeName].flatMap(ChecksumType.init(rawValue:))
        else { return nil }
        self.init(algorithm: algorithm, type: type, partName: algorithm.rawValue)
    }

    /// What a request to create an upload asks for; nil if it does not.
    init?(requested headers: HTTPHeaders) throws(S3Error) {
        let wanted = headers["x-amz-checksum-type"]
        guard let name = headers["x-amz-checksum-algorithm"] else {
            guard wanted == nil else {
                throw .invalidRequest(
                    "The x-amz-checksum-type header can only be used with the "
                        + "x-amz-checksum-algorithm header.")
            }
            return nil
        }
        guard let algorithm = ChecksumAlgorithm(rawValue: name.lowercased()) else {
            throw .invalidRequest(
                "Checksum algorithm provided is unsupported. Please try again with any of the "
                    + "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        }
        guard let wanted else {
            let type = algorithm == .crc64nvme ? ChecksumType.fullObject : .composite
            self.init(algorithm: algorithm, type: type, partName: algorithm.rawValue)
            return
        }
        guard let type = ChecksumType(rawValue: wanted.uppercased()) else {
            throw .invalidRequest("Value for x-amz-checksum-type header is invalid.")
        }
        guard algorithm.types.contains(type) else {
            throw .invalidRequest(
                "The \(type.rawValue) checksum type cannot be used with the "
                    + "\(algorithm.rawValue) checksum algorithm.")
        }
        self.init(algorithm: algorithm, type: type, partName: algorithm.rawValue)
    }

    /// Beside the headers that the object itself will have.
    func store(in headers: inout [String: String]) {
        headers[UploadChecksum.algorithmName] = algorithm.rawValue
        headers[UploadChecksum.typeName] = type.rawValue
    }

    func write(_ xml: inout XMLWriter) {
        xml.element("ChecksumAlgorithm", algorithm.name)
        xml.element("ChecksumType", type.rawValue)
    }

    // MARK: Joining

    /// The object's checksum out of those of `parts`, in base 64. Nil if one has none.
    func joined(_ parts: [PartInfo]) -> String? {
        var sums: [(bytes: [UInt8], size: UInt64)] = []
        for part in parts {
            // A part that brought one of that kind has it under the kind's name.
            let text = part.checksums[partName] ?? part.checksums[algorithm.rawValue]
            guard let bytes = text.flatMap({ Base64.decode($0) }),
                bytes.count == algorithm.byteCount
            else { return nil }
            sums.append((bytes, part.size))
        }
        switch type {
        case .composite:
            var running = RunningChecksum(algorithm)
            sums.flatMap(\.bytes).withUnsafeBytes { running.update($0) }
            return "\(Base64.encode(running.finish()))-\(parts.count)"
        case .fullObject:
            return algorithm.joined(sums).map { Base64.encode($0) }
        }
    }
}

extension ChecksumAlgorithm {
    /// As S3 writes it.
    var name: String { rawValue.uppercased() }

    /// How it can be made of parts' checksums: hashes cannot be joined, and of CRC64NVME S3 knows
    /// only the object's own.
    var types: [ChecksumType] {
        switch self {
        case .crc32, .crc32c: [.composite, .fullObject]
        case .crc64nvme: [.fullObject]
        case .sha1, .sha256: [.composite]
        }
    }

    /// The CRC of pieces one behind another, without their bytes; nil for a hash.
    func joined(_ pieces: [(bytes: [UInt8], size: UInt64)]) -> [UInt8]? {
        var writer = ByteWriter()
        let values = pieces.map { piece in
            (sum: piece.bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }, size: piece.size)
        }
        // The CRC of no bytes is 0.
        switch self {
        case .crc32:
            writer.write(
                values.reduce(UInt32(0)) {
                    CRC.crc32($0, joinedWith: UInt32(truncatingIfNeeded: $1.sum), of: $1.size)
                })
        case .crc32c:
            writer.write(
                values.reduce(UInt32(0)) {
                    CRC.crc32c($0, joinedWith: UInt32(truncatingIfNeeded: $1.sum), of: $1.size)
                })
        case .crc64nvme:
            writer.write(
                values.reduce(UInt64(0)) {
                    CRC.crc64NVME($0, joinedWith: $1.sum, of: $1.size)
                })
        case .sha1, .sha256: return nil
        }
        return writer.bytes
    }
}
