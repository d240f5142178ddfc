internal import COpenSSL

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

    /// OpenSSL's form of a private key. Making one costs a multiplication of its own, for the
    /// public key, so it is made once.
    private final class Key: Sendable {
        /// Counted by OpenSSL and never changed after `init`, so that threads may share it.
        nonisolated(unsafe) let pointer: OpaquePointer

        init(bytes: [UInt8]) {
            guard
                let pointer = EVP_PKEY_new_raw_private_key(
                    EVP_PKEY_X25519, nil, bytes, bytes.count)
            else { preconditionFailure("any 32 bytes are a key") }
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
            key = Key(bytes: bytes)
            var publicKey = [UInt8](repeating: 0, count: X25519.keySize)
            var count = publicKey.count
            let isDone = EVP_PKEY_get_raw_public_key(key.pointer, &publicKey, &count)
            precondition(isDone == 1 && count == X25519.keySize, "any 32 bytes are a key")
            self.publicKey = publicKey
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
}
