internal import COpenSSL

/// The five bytes that hide a packet's first byte and packet number.
package struct HeaderMask: Equatable, Sendable {
    /// Byte i in bits 8 i to 8 i + 7.
    private var bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    /// Byte `index` of the mask, 0…4.
    package subscript(index: Int) -> UInt8 {
        precondition((0..<5).contains(index), "a mask has five bytes")
        return UInt8(truncatingIfNeeded: bits >> UInt64(8 * index))
    }
}

/// Header protection of RFC 9001 §5.4, keyed once and confined to its owner.
package final class HeaderProtector {
    package static let sampleSize = 16

    package enum Algorithm: Sendable {
        /// AES in ECB mode, key of 16 or 32 bytes (§5.4.3).
        case aes
        /// ChaCha20, key of 32 bytes (§5.4.4).
        case chaCha20
    }

    private let context: OpaquePointer
    private let algorithm: Algorithm

    package init(_ algorithm: Algorithm, key: [UInt8]) {
        let cipher: EVPAlgorithm
        switch algorithm {
        case .aes:
            precondition(key.count == 16 || key.count == 32, "an AES key has 16 or 32 bytes")
            cipher = key.count == 16 ? .aes128ECB : .aes256ECB
        case .chaCha20:
            precondition(key.count == 32, "a ChaCha20 key has 32 bytes")
            cipher = .chaCha20
        }
        context = cipher.context(key: key, encrypts: true)
        EVP_CIPHER_CTX_set_padding(context, 0)
        self.algorithm = algorithm
    }

    deinit { EVP_CIPHER_CTX_free(context) }

    /// The mask for the packet with this `sample` of 16 bytes of ciphertext.
    package func mask(sample: UnsafeRawBufferPointer) -> HeaderMask {
        precondition(sample.count == HeaderProtector.sampleSize, "a sample has 16 bytes")
        var written: Int32 = 0
        var block: (UInt64, UInt64) = (0, 0)
        let isDone = withUnsafeMutableBytes(of: &block) { output in
            switch algorithm {
            case .aes:
                EVP_EncryptUpdate(context, output.bytes, &written, sample.bytes, 16) == 1
            case .chaCha20:
                // The sample is counter and nonce, as OpenSSL wants its initial vector.
                EVP_EncryptInit_ex(context, nil, nil, nil, sample.bytes) == 1
                    && EVP_EncryptUpdate(
                        context, output.bytes, &written, UnsafePointer(output.bytes), 5) == 1
            }
        }
        precondition(isDone, "a keyed context encrypts any sample")
        return HeaderMask(bits: UInt64(littleEndian: block.0))
    }

    package func mask(sample: [UInt8]) -> HeaderMask {
        sample.withUnsafeBytes { mask(sample: $0) }
    }
}
