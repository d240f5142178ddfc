package import CyxCore

/// Why a text or bytes are no content identifier that we accept.
package enum CIDError: Error, Equatable {
    /// Not base 32 in lower case with the prefix `b`, nor `Qm…` in base 58.
    case notMultibase
    /// The bytes end too early, go on too long, or hold a number in more bytes than it needs.
    case malformed
    /// A version other than 1.
    case unknownVersion(UInt64)
    case unknownCodec(UInt64)
    /// Only sha2-256 and blake3, of 32 bytes each.
    case unknownHash(code: UInt64, length: UInt64)
}

/// A content identifier, version 1 (multiformats CID specification): what the content is encoded
/// in, and its hash.
///
/// Written as multibase `b`: base 32, lower case. Our own identifiers hash with BLAKE3-256.
package struct CID: Hashable, Sendable {
    /// Of the multicodec table.
    package enum Codec: UInt64, Sendable {
        case raw = 0x55
        case dagPB = 0x70
        case dagCBOR = 0x71
        case dagJSON = 0x0129
    }

    /// Of the multicodec table; each with 32 bytes.
    package enum Hash: UInt64, Sendable {
        case sha256 = 0x12
        case blake3 = 0x1e
    }

    package var codec: Codec
    package var hash: Hash
    package var digest: Digest

    package init(codec: Codec = .raw, hash: Hash = .blake3, digest: Digest) {
        self.codec = codec
        self.hash = hash
        self.digest = digest
    }

    /// The identifier of `content` as it is.
    package init(rawContent content: [UInt8]) {
        self.init(digest: BLAKE3.hash(content))
    }

    /// version ‖ codec ‖ hash code ‖ length ‖ digest, each number an unsigned varint.
    package var bytes: [UInt8] {
        CID.varint(1) + CID.varint(codec.rawValue) + CID.varint(hash.rawValue)
            + CID.varint(UInt64(Digest.byteCount)) + digest.bytes
    }

    package var text: String { "b" + Base32.encode(bytes) }

    /// Reads version 1 as we write it, and version 0 (`Qm…`), which becomes version 1 of dag-pb.
    package init(_ text: some StringProtocol) throws(CIDError) {
        if text.utf8.count == CID.versionZeroLength, text.hasPrefix("Qm") {
            guard let bytes = Base58.decode(text), bytes.count == 34 else { throw .notMultibase }
            guard bytes[0] == 0x12, bytes[1] == 0x20, let digest = Digest(bytes: Array(bytes[2...]))
            else { throw .malformed }
            self.init(codec: .dagPB, hash: .sha256, digest: digest)
            return
        }
        guard text.hasPrefix("b"), text.utf8.count <= CID.maximumTextLength,
            let bytes = Base32.decode(text.dropFirst())
        else { throw .notMultibase }
        try self.init(bytes: bytes)
    }

    /// Reads the bytes of version 1, all of them.
    package init(bytes: [UInt8]) throws(CIDError) {
        var rest = bytes[...]
        let version = try CID.readVarint(&rest)
        guard version == 1 else { throw .unknownVersion(version) }
        let codecCode = try CID.readVarint(&rest)
        guard let codec = Codec(rawValue: codecCode) else { throw .unknownCodec(codecCode) }
        let hashCode = try CID.readVarint(&rest)
        let length = try CID.readVarint(&rest)
        guard let hash = Hash(rawValue: hashCode), length == UInt64(Digest.byteCount) else {
            throw .unknownHash(code: hashCode, length: length)
        }
        guard let digest = Digest(bytes: Array(rest)) else { throw .malformed }
        self.init(codec: codec, hash: hash, digest: digest)
    }

    private static let versionZeroLength = 46
    /// Far above what the accepted codecs and hashes need.
    private static let maximumTextLength = 100
    /// The multiformats limit on a varint.
    private static let maximumVarintLength = 9

    private static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func readVarint(_ rest: inout ArraySlice<UInt8>) throws(CIDError) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<maximumVarintLength {
            guard let byte = rest.popFirst() else { throw .malformed }
            value |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte & 0x80 == 0 {
                // A last byte of zero says nothing: the number has a shorter form.
                guard byte != 0 || index == 0 else { throw .malformed }
                return value
            }
        }
        throw .malformed
    }
}

extension CID: CustomStringConvertible {
    package var description: String { text }
}
