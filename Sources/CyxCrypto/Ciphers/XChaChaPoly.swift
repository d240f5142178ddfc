internal import CSodium

/// XChaCha20-Poly1305: nonces of 24 bytes, long enough to be drawn at random
/// (draft-irtf-cfrg-xchacha-03).
package struct XChaChaPoly: Sendable {
    package static let keySize = 32
    package static let nonceSize = 24
    package static let tagSize = 16

    private let key: [UInt8]

    package init(key: [UInt8]) {
        precondition(key.count == XChaChaPoly.keySize, "an XChaCha20 key has 32 bytes")
        Sodium.prepare()
        self.key = key
    }

    /// Ciphertext, then tag.
    package func seal(nonce: [UInt8], aad: [UInt8] = [], plaintext: [UInt8]) -> [UInt8] {
        precondition(nonce.count == XChaChaPoly.nonceSize, "a nonce has 24 bytes")
        var sealed = [UInt8](repeating: 0, count: plaintext.count + XChaChaPoly.tagSize)
        var count: UInt64 = 0
        let failed = crypto_aead_xchacha20poly1305_ietf_encrypt(
            &sealed, &count, plaintext, UInt64(plaintext.count), aad, UInt64(aad.count), nil,
            nonce, key)
        precondition(failed == 0 && count == sealed.count, "libsodium seals any plaintext")
        return sealed
    }

    /// The plaintext of `sealed`, which ends in its tag.
    package func open(
        nonce: [UInt8], aad: [UInt8] = [], sealed: [UInt8]
    ) throws(AEADError) -> [UInt8] {
        precondition(nonce.count == XChaChaPoly.nonceSize, "a nonce has 24 bytes")
        guard sealed.count >= XChaChaPoly.tagSize else { throw .tooShort(count: sealed.count) }
        var plaintext = [UInt8](repeating: 0, count: sealed.count - XChaChaPoly.tagSize)
        var count: UInt64 = 0
        let failed = crypto_aead_xchacha20poly1305_ietf_decrypt(
            &plaintext, &count, nil, sealed, UInt64(sealed.count), aad, UInt64(aad.count), nonce,
            key)
        guard failed == 0 else { throw .authenticationFailed }
        return plaintext
    }
}
