internal import COpenSSL

/// A hash of the SHA and MD families that is fed piece by piece; a copy forks it.
package protocol IncrementalHash: Sendable {
    /// Bytes of the result.
    static var digestSize: Int { get }

    init()
    mutating func update(_ bytes: UnsafeRawBufferPointer)
    /// The digest of what was fed so far; more may follow.
    func finalize() -> [UInt8]
}

extension IncrementalHash {
    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    package mutating func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { update($0) }
    }

    package static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var hasher = Self()
        hasher.update(bytes)
        return hasher.finalize()
    }

    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0) }
    }
}

/// SHA-256 (FIPS 180-4): signatures of S3 requests, payload hashes, HKDF.
package struct SHA256: IncrementalHash {
    package static let digestSize = 32
    private var context = SHA256_CTX()

    package init() { SHA256_Init(&context) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA256_Update(&context, bytes.baseAddress, bytes.count)
    }

    package func finalize() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: SHA256.digestSize) { digest, count in
            finalize(into: UnsafeMutableRawBufferPointer(digest))
            count = SHA256.digestSize
        }
    }

    /// The same, written to the first 32 bytes of `digest`.
    package func finalize(into digest: UnsafeMutableRawBufferPointer) {
        precondition(digest.count >= SHA256.digestSize, "a digest has 32 bytes")
        var copy = context
        SHA256_Final(digest.bytes, &copy)
    }
}

/// SHA-1 (FIPS 180-4), broken for signatures: only for the S3 checksum header and WebSocket accept.
package struct SHA1: IncrementalHash {
    package static let digestSize = 20
    private var context = SHA_CTX()

    package init() { SHA1_Init(&context) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA1_Update(&context, bytes.baseAddress, bytes.count)
    }

    package func finalize() -> [UInt8] {
        var copy = context
        var digest = [UInt8](repeating: 0, count: SHA1.digestSize)
        SHA1_Final(&digest, &copy)
        return digest
    }
}
