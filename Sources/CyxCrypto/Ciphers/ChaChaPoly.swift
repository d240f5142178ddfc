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
