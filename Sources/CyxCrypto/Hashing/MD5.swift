internal import COpenSSL
internal import Synchronization

/// MD5 (RFC 1321) of a stream: S3's ETags are made of it. Not for anything that must be secure.
///
/// A class because OpenSSL's context is; calls may come from any one thread at a time.
package final class MD5: Sendable {
    private struct Context: ~Copyable {
        /// The address of an `EVP_MD_CTX` that this owns.
        let address: UInt

        var pointer: OpaquePointer? { OpaquePointer(bitPattern: address) }

        deinit { EVP_MD_CTX_free(pointer) }
    }

    package static let byteCount = 16

    private let context: Mutex<Context>

    package init() {
        guard let pointer = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        let status = EVP_DigestInit_ex(pointer, EVP_md5(), nil)
        precondition(status == 1, "OpenSSL has MD5")
        context = Mutex(Context(address: UInt(bitPattern: pointer)))
    }

    package func update(_ bytes: [UInt8]) {
        let status = context.withLock { EVP_DigestUpdate($0.pointer, bytes, bytes.count) }
        precondition(status == 1, "a digest is updated before it is finished")
    }

    /// The 16 bytes of the digest; nothing may follow.
    package func finalize() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: MD5.byteCount)
        let status = context.withLock { EVP_DigestFinal_ex($0.pointer, &digest, nil) }
        precondition(status == 1, "a digest is finished once")
        return digest
    }

    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        let digest = MD5()
        digest.update(bytes)
        return digest.finalize()
    }
}
