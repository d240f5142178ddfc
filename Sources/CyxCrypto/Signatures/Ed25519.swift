internal import CSodium
package import CyxCore

/// Prepares libsodium once; every wrapper of it calls this first.
enum Sodium {
    private static let isReady = sodium_init() >= 0

    static func prepare() {
        precondition(isReady, "libsodium must initialise")
    }
}

/// An Ed25519 private key (RFC 8032), kept as its 32-byte seed and the expanded form.
package struct SigningKey: Sendable {
    package static let seedSize = 32
    package static let signatureSize = 64

    package let verifyingKey: VerifyingKey
    private let expanded: [UInt8]
    /// Where the processor has vectors for them.
    private let vectors: (scalar: [UInt8], prefix: [UInt8])?

    /// The key that `seed`, 32 secret bytes, stands for.
    package init(seed: [UInt8]) {
        self.init(seed: seed, usesVectors: EdwardsVectors.areAvailable)
    }

    /// Without `usesVectors`, as on a processor that has none.
    init(seed: [UInt8], usesVectors: Bool) {
        precondition(seed.count == SigningKey.seedSize, "an Ed25519 seed has 32 bytes")
        Sodium.prepare()
        var publicKey = [UInt8](repeating: 0, count: VerifyingKey.byteCount)
        var expanded = [UInt8](repeating: 0, count: 64)
        let failed = crypto_sign_ed25519_seed_keypair(&publicKey, &expanded, seed)
        precondition(failed == 0, "libsodium derives a key pair from any seed")
        self.expanded = expanded
        verifyingKey = VerifyingKey(trusted: publicKey)
        vectors = usesVectors ? EdwardsVectors.expand(seed: seed) : nil
    }

    package var seed: [UInt8] { Array(expanded.prefix(SigningKey.seedSize)) }

    /// The 64-byte signature of `message`; the same message gives the same signature.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        if let vectors {
            return EdwardsVectors.sign(
                message, scalar: vectors.scalar, prefix: vectors.prefix, key: verifyingKey.bytes)
        }
        var signature = [UInt8](repeating: 0, count: SigningKey.signatureSize)
        let failed = crypto_sign_ed25519_detached(
            &signature, nil, message, UInt64(message.count), expanded)
        precondition(failed == 0, "libsodium signs any message")
        return signature
    }
}

/// An Ed25519 public key.
package struct VerifyingKey: Hashable, Sendable {
    package static let byteCount = 32

    package let bytes: [UInt8]

    /// Nil unless there are 32 bytes. Whether they encode a point shows when a signature is checked:
    /// bytes that do not, and points of small order, verify nothing.
    package init?(bytes: [UInt8]) {
        guard bytes.count == VerifyingKey.byteCount else { return nil }
        self.bytes = bytes
    }

    init(trusted bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// BLAKE3-256 of the key.
    package var digest: Digest { BLAKE3.hash(bytes) }

    package var peerID: PeerID { PeerID(digest) }
    package var accountID: AccountID { AccountID(digest) }

    /// True if `signature` is this key's for `message`; false for any wrong length.
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        isValid(signature: signature, for: message, usesVectors: EdwardsVectors.areAvailable)
    }

    func isValid(signature: [UInt8], for message: [UInt8], usesVectors: Bool) -> Bool {
        guard signature.count == SigningKey.signatureSize else { return false }
        if usesVectors { return EdwardsVectors.isValid(signature, for: message, key: bytes) }
        Sodium.prepare()
        return crypto_sign_ed25519_verify_detached(
            signature, message, UInt64(message.count), bytes) == 0
    }
}
