/// Why a message that was sealed to a key cannot be opened.
package enum HPKEError: Error, Equatable {
    /// The encapsulated key is no public key that anybody made.
    case badKey(KeyAgreementError)
    /// It was sealed to another key, or for another purpose, or was changed since.
    case cipher(AEADError)
}

/// Hybrid public key encryption of single messages: RFC 9180 in base mode, with
/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305 (its §7: 0x0020, 0x0001, 0x0003).
///
/// Nobody can tell from a message who made it: what it says has to be signed.
package enum HPKE {
    /// What a message becomes.
    package struct Sealed: Hashable, Sendable {
        /// The sender's ephemeral public key, 32 bytes.
        package var encapsulated: [UInt8]
        /// As long as the message and a tag of 16 bytes.
        package var ciphertext: [UInt8]

        package init(encapsulated: [UInt8], ciphertext: [UInt8]) {
            self.encapsulated = encapsulated
            self.ciphertext = ciphertext
        }
    }

    private static let version = Array("HPKE-v1".utf8)
    private static let kemSuite = Array("KEM".utf8) + [0x00, 0x20]
    private static let suite = Array("HPKE".utf8) + [0x00, 0x20, 0x00, 0x01, 0x00, 0x03]
    private static let baseMode: UInt8 = 0

    /// `message` for whoever has the private key of `publicKey`. `info`: what it is for; who opens it
    /// must say the same. `ephemeral`: fresh for every message, since the cipher's nonce is derived
    /// from it alone.
    package static func seal(
        _ message: [UInt8], to publicKey: [UInt8], info: [UInt8], aad: [UInt8],
        ephemeral: X25519.PrivateKey
    ) throws(HPKEError) -> Sealed {
        let encapsulated = ephemeral.publicKey
        let secret = try shared(ephemeral, publicKey, context: encapsulated + publicKey)
        let (key, nonce) = schedule(secret, info: info)
        return Sealed(
            encapsulated: encapsulated,
            ciphertext: ChaChaPoly.seal(message, key: key, nonce: nonce, aad: aad))
    }

    /// The message that was sealed to the public key of `privateKey` with the same `info` and `aad`.
    package static func open(
        _ sealed: Sealed, with privateKey: X25519.PrivateKey, info: [UInt8], aad: [UInt8]
    ) throws(HPKEError) -> [UInt8] {
        let context = sealed.encapsulated + privateKey.publicKey
        let secret = try shared(privateKey, sealed.encapsulated, context: context)
        let (key, nonce) = schedule(secret, info: info)
        do {
            return try ChaChaPoly.open(sealed.ciphertext, key: key, nonce: nonce, aad: aad)
        } catch { throw .cipher(error) }
    }

    /// The KEM's shared secret (RFC 9180 §4.1), of which X25519's is but the raw material.
    private static func shared(
        _ privateKey: X25519.PrivateKey, _ publicKey: [UInt8], context: [UInt8]
    ) throws(HPKEError) -> [UInt8] {
        let secret: [UInt8]
        do { secret = try privateKey.sharedSecret(with: publicKey) } catch { throw .badKey(error) }
        let key = extract(kemSuite, salt: [], label: "eae_prk", secret)
        return expand(kemSuite, key: key, label: "shared_secret", context, count: 32)
    }

    /// Key and nonce of the first message, the only one here (RFC 9180 §5.1).
    private static func schedule(
        _ secret: [UInt8], info: [UInt8]
    ) -> (key: [UInt8], nonce: [UInt8]) {
        let context =
            [baseMode] + extract(suite, salt: [], label: "psk_id_hash", [])
            + extract(suite, salt: [], label: "info_hash", info)
        let key = extract(suite, salt: secret, label: "secret", [])
        return (
            expand(suite, key: key, label: "key", context, count: 32),
            expand(suite, key: key, label: "base_nonce", context, count: ChaChaPoly.nonceSize)
        )
    }

    /// LabeledExtract of RFC 9180 §4.
    private static func extract(
        _ suite: [UInt8], salt: [UInt8], label: String, _ material: [UInt8]
    ) -> [UInt8] {
        HKDF.extract(salt: salt, material: version + suite + Array(label.utf8) + material)
    }

    /// LabeledExpand of RFC 9180 §4.
    private static func expand(
        _ suite: [UInt8], key: [UInt8], label: String, _ info: [UInt8], count: Int
    ) -> [UInt8] {
        let length = [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
        return HKDF.expand(
            key: key, info: length + version + suite + Array(label.utf8) + info, count: count)
    }
}
