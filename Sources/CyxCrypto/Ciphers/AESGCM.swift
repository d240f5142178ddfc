internal import COpenSSL

/// AES-GCM with a 16- or 32-byte key (NIST SP 800-38D), keyed once.
package final class AESGCM: PacketCipher {
    private let cipher: EVPCipher

    /// AES-128 for a key of 16 bytes, AES-256 for 32.
    package init(key: [UInt8]) {
        precondition(key.count == 16 || key.count == 32, "an AES-GCM key has 16 or 32 bytes")
        let algorithm = key.count == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm()
        cipher = EVPCipher(cipher: algorithm, key: key)
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
