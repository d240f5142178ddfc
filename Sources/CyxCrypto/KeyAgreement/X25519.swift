internal import COpenSSL
internal import CSodium
internal import CyxKernels

/// Why two parties have no shared secret.
package enum KeyAgreementError: Error, Equatable {
    /// A public key has 32 bytes.
    case wrongLength(count: Int)
    /// The other's key has small order, so that the secret would be zero whatever ours is.
    case smallOrder
}

/// Diffie–Hellman on Curve25519 (RFC 7748).
package enum X25519 {
    package static let keySize = 32

    /// OpenSSL's form of a key pair, made from both halves: from the private one alone, OpenSSL would
    /// find the public one again.
    private final class Key: Sendable {
        /// Counted by OpenSSL and never changed after `init`, so that threads may share it.
        nonisolated(unsafe) let pointer: OpaquePointer

        init(bytes: [UInt8], publicKey: [UInt8]) {
            guard let pointer = cyx_x25519_pair(bytes, publicKey) else {
                preconditionFailure("any 32 bytes are a key")
            }
            self.pointer = pointer
        }

        deinit { EVP_PKEY_free(pointer) }
    }

    /// A secret scalar and its public key.
    package struct PrivateKey: Sendable {
        private let key: Key
        package let publicKey: [UInt8]

        /// The key that 32 secret random bytes stand for.
        package init(bytes: [UInt8]) {
            precondition(bytes.count == X25519.keySize, "an X25519 key has 32 bytes")
            publicKey = X25519.publicKey(bytes)
            key = Key(bytes: bytes, publicKey: publicKey)
        }

        /// The 32-byte secret shared with the holder of `publicKey`, before any key derivation.
        package func sharedSecret(
            with publicKey: [UInt8]
        ) throws(KeyAgreementError) -> [UInt8] {
            guard publicKey.count == X25519.keySize else {
                throw .wrongLength(count: publicKey.count)
            }
            let other = EVP_PKEY_new_raw_public_key(
                EVP_PKEY_X25519, nil, publicKey, publicKey.count)
            let context = EVP_PKEY_CTX_new(key.pointer, nil)
            defer {
                EVP_PKEY_CTX_free(context)
                EVP_PKEY_free(other)
            }
            // The last argument spares a check of the key that on this curve checks nothing.
            precondition(
                EVP_PKEY_derive_init(context) == 1
                    && EVP_PKEY_derive_set_peer_ex(context, other, 0) == 1,
                "any 32 bytes are a public key")
            var secret = [UInt8](repeating: 0, count: X25519.keySize)
            var count = secret.count
            // OpenSSL refuses an all-zero secret by itself (RFC 7748 §6.1); the check below makes
            // that independent of its version.
            guard EVP_PKEY_derive(context, &secret, &count) == 1, count == X25519.keySize,
                !isEqualInConstantTime(secret, [UInt8](repeating: 0, count: X25519.keySize))
            else {
                ERR_clear_error()
                throw .smallOrder
            }
            return secret
        }
    }

    /// The public key of a private one. The base point has an Edwards form (RFC 7748 §4.1), whose
    /// multiples libsodium looks up in the tables of Ed25519, in half the time of the Montgomery
    /// ladder or less, and in constant time as well. The scalar is clamped as by RFC 7748 §5.
    private static func publicKey(_ bytes: [UInt8]) -> [UInt8] {
        Sodium.prepare()
        var point = [UInt8](repeating: 0, count: keySize)
        var scalar = bytes
        scalar[0] &= 0xF8
        scalar[31] = scalar[31] & 0x7F | 0x40
        let failed = crypto_scalarmult_ed25519_base_noclamp(&point, scalar)
        precondition(failed == 0, "no clamped scalar is a multiple of the order")
        var result = [UInt8](repeating: 0, count: keySize)
        cyx_montgomery_u(&result, point)
        return result
    }
}
