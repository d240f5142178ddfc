/// Why an authenticated decryption gave nothing.
package enum AEADError: Error, Equatable {
    /// The input is shorter than a tag.
    case tooShort(count: Int)
    /// The tag does not match: another key, nonce or additional data, or changed bytes.
    case authenticationFailed
}

/// An authenticated cipher keyed once and used packet by packet, without allocating.
///
/// Nonces are 12 bytes and tags 16, as in RFC 5116 §5. It is confined to its owner: no two calls at
/// once. The caller sizes `output`; a wrong size is its bug.
package protocol PacketCipher: AnyObject {
    /// Encrypts into exactly `plaintext.count + tagSize` bytes: ciphertext, then tag.
    ///
    /// `output` may start where `plaintext` does, and may not overlap it otherwise.
    func seal(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer)

    /// Decrypts ciphertext and tag into exactly `sealed.count - tagSize` bytes.
    ///
    /// When it throws, `output` holds nothing of meaning and must not be used.
    func open(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(AEADError)
}

extension PacketCipher {
    package static var nonceSize: Int { 12 }
    package static var tagSize: Int { 16 }

    /// `plaintext` encrypted, tag at the end; for callers off the packet path.
    package func seal(nonce: [UInt8], aad: [UInt8] = [], plaintext: [UInt8]) -> [UInt8] {
        let size = plaintext.count + Self.tagSize
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let output = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: size)
            nonce.withUnsafeBytes { nonce in
                aad.withUnsafeBytes { aad in
                    plaintext.withUnsafeBytes {
                        seal(nonce: nonce, aad: aad, plaintext: $0, into: output)
                    }
                }
            }
            count = size
        }
    }

    /// The plaintext of `sealed`, which ends in its tag.
    package func open(
        nonce: [UInt8], aad: [UInt8] = [], sealed: [UInt8]
    ) throws(AEADError) -> [UInt8] {
        guard sealed.count >= Self.tagSize else { throw .tooShort(count: sealed.count) }
        var plaintext = [UInt8](repeating: 0, count: sealed.count - Self.tagSize)
        var failure: AEADError?
        plaintext.withUnsafeMutableBytes { output in
            nonce.withUnsafeBytes { nonce in
                aad.withUnsafeBytes { aad in
                    sealed.withUnsafeBytes { sealed in
                        do throws(AEADError) {
                            try open(nonce: nonce, aad: aad, sealed: sealed, into: output)
                        } catch {
                            failure = error
                        }
                    }
                }
            }
        }
        if let failure { throw failure }
        return plaintext
    }
}
