internal import COpenSSL
internal import Synchronization

/// The hashes that S3 names, computed bit by bit by OpenSSL.
enum DigestAlgorithm: Sendable {
    case md5, sha1, sha256
}

/// One hash on its way. Safe to hand from the reactor to the pool and back.
final class MessageDigest: Sendable {
    private struct Context: ~Copyable {
        /// The address of an `EVP_MD_CTX` that this owns.
        let address: UInt

        var pointer: OpaquePointer? { OpaquePointer(bitPattern: address) }

        deinit { EVP_MD_CTX_free(pointer) }
    }

    private let context: Mutex<Context>

    init(_ algorithm: DigestAlgorithm) {
        guard let pointer = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        let kind =
            switch algorithm {
            case .md5: EVP_md5()
            case .sha1: EVP_sha1()
            case .sha256: EVP_sha256()
            }
        let status = EVP_DigestInit_ex(pointer, kind, nil)
        precondition(status == 1, "OpenSSL has MD5, SHA-1 and SHA-256")
        context = Mutex(Context(address: UInt(bitPattern: pointer)))
    }

    func update(_ bytes: UnsafeRawBufferPointer) {
        let (address, count) = (UInt(bitPattern: bytes.baseAddress), bytes.count)
        let status = context.withLock {
            EVP_DigestUpdate($0.pointer, UnsafeRawPointer(bitPattern: address), count)
        }
        precondition(status == 1, "a digest is updated before it is finished")
    }

    func finish() -> [UInt8] {
        let (status, bytes) = context.withLock { context in
            var length: UInt32 = 0
            var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            let status = EVP_DigestFinal_ex(context.pointer, &bytes, &length)
            return (status, Array(bytes.prefix(Int(length))))
        }
        precondition(status == 1, "a digest is finished once")
        return bytes
    }

    static func hash(_ algorithm: DigestAlgorithm, _ bytes: [UInt8]) -> [UInt8] {
        let digest = MessageDigest(algorithm)
        bytes.withUnsafeBytes { digest.update($0) }
        return digest.finish()
    }

    /// HMAC-SHA-256 (RFC 2104).
    static func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        let blockBytes = 64
        var block = key.count > blockBytes ? hash(.sha256, key) : key
        block += [UInt8](repeating: 0, count: blockBytes - block.count)
        let inner = hash(.sha256, block.map { $0 ^ 0x36 } + message)
        return hash(.sha256, block.map { $0 ^ 0x5C } + inner)
    }
}
