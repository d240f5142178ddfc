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
    private static let level = cyx_x25519_best()
    private static let zeros = [UInt8](repeating: 0, count: keySize)

    /// A secret scalar and its public key.
    package struct PrivateKey: Sendable {
        private let bytes: [UInt8]
        package let publicKey: [UInt8]

        /// The key that 32 secret random bytes stand for.
        package init(bytes: [UInt8]) {
            precondition(bytes.count == X25519.keySize, "an X25519 key has 32 bytes")
            self.bytes = bytes
            publicKey = X25519.publicKey(bytes)
        }

        /// The 32-byte secret shared with the holder of `publicKey`, before any key derivation.
        package func sharedSecret(
            with publicKey: [UInt8]
        ) throws(KeyAgreementError) -> [UInt8] {
            guard publicKey.count == X25519.keySize else {
                throw .wrongLength(count: publicKey.count)
            }
            let secret = [UInt8](unsafeUninitializedCapacity: X25519.keySize) { secret, count in
                cyx_x25519(X25519.level, secret.baseAddress, bytes, publicKey)
                count = X25519.keySize
            }
            // RFC 7748 §6.1.
            guard !isEqualInConstantTime(secret, X25519.zeros) else { throw .smallOrder }
            return secret
        }
    }

    /// The public key of a private one. The base point has an Edwards form (RFC 7748 §4.1), whose
    /// multiples are looked up in the tables of Ed25519, in half the time of the Montgomery
    /// ladder or less, and in constant time as well. The scalar is clamped as by RFC 7748 §5.
    private static func publicKey(_ bytes: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: keySize)
        if EdwardsVectors.areAvailable {
            cyx_x25519_base(&result, bytes)
            return result
        }
        Sodium.prepare()
        var point = [UInt8](repeating: 0, count: keySize)
        var scalar = bytes
        scalar[0] &= 0xF8
        scalar[31] = scalar[31] & 0x7F | 0x40
        let failed = crypto_scalarmult_ed25519_base_noclamp(&point, scalar)
        precondition(failed == 0, "no clamped scalar is a multiple of the order")
        cyx_montgomery_u(&result, point)
        return result
    }
}
