internal import CSodium

/// ChaCha20-Poly1305 with a 32-byte key (RFC 8439 §2.8), keyed once.
package final class ChaChaPoly: PacketCipher {
    private let cipher: EVPCipher

    package init(key: [UInt8]) {
        precondition(key.count == 32, "a ChaCha20-Poly1305 key has 32 bytes")
        cipher = EVPCipher(.chaCha20Poly1305, key: key)
    }

    package func seal(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext, into: output)
    }

    package func open(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(AEADError) {
        try cipher.open(nonce: nonce, aad: aad, sealed: sealed, into: output)
    }
}

/// Single messages, for keys that are changed after one or two of them, as a handshake's are: to
/// set a cipher up for a key costs more than so short a message, and libsodium needs no setting up.
extension ChaChaPoly {
    /// `plaintext` encrypted under a key of 32 bytes and a nonce of 12, tag at the end.
    package static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8]
    ) -> [UInt8] {
        precondition(
            key.count == 32 && nonce.count == nonceSize, "a key of 32 bytes, a nonce of 12")
        Sodium.prepare()
        let size = plaintext.count + tagSize
        return [UInt8](unsafeUninitializedCapacity: size) { output, count in
            guard let output = output.baseAddress else { preconditionFailure("room for a tag") }
            let failed = crypto_aead_chacha20poly1305_ietf_encrypt(
                output, nil, plaintext, UInt64(plaintext.count), aad, UInt64(aad.count), nil,
                nonce, key)
            precondition(failed == 0, "libsodium seals any plaintext")
            count = size
        }
    }

    /// The plaintext of `sealed`, which ends in its tag.
    package static func open(
        _ sealed: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8]
    ) throws(AEADError) -> [UInt8] {
        precondition(
            key.count == 32 && nonce.count == nonceSize, "a key of 32 bytes, a nonce of 12")
        guard sealed.count >= tagSize else { throw .tooShort(count: sealed.count) }
        Sodium.prepare()
        let size = sealed.count - tagSize
        var isAuthentic = false
        let plaintext = [UInt8](unsafeUninitializedCapacity: size) { output, count in
            isAuthentic =
                crypto_aead_chacha20poly1305_ietf_decrypt(
                    output.baseAddress, nil, nil, sealed, UInt64(sealed.count), aad,
                    UInt64(aad.count), nonce, key) == 0
            count = isAuthentic ? size : 0
        }
        guard isAuthentic else { throw .authenticationFailed }
        return plaintext
    }
}
