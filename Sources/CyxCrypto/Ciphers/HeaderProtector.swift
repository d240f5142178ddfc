internal import COpenSSL
internal import CyxKernels

/// The five bytes that hide a packet's first byte and packet number.
package struct HeaderMask: Equatable, Sendable {
    /// Byte i in bits 8 i to 8 i + 7.
    package let bits: UInt64

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

    private enum Cipher {
        /// AES-256, a block at a time, where the CPU has instructions for it.
        case blocks(UnsafeMutablePointer<cyx_aes256_key>)
        case aes(OpaquePointer)
        case chaCha20(OpaquePointer)
    }

    private let cipher: Cipher

    package convenience init(_ algorithm: Algorithm, key: [UInt8]) {
        self.init(algorithm, key: key, usesInstructions: cyx_aes256_available() != 0)
    }

    /// Without `usesInstructions`, as on a CPU that has none for AES.
    init(_ algorithm: Algorithm, key: [UInt8], usesInstructions: Bool) {
        switch algorithm {
        case .aes:
            precondition(key.count == 16 || key.count == 32, "an AES key has 16 or 32 bytes")
            if key.count == 32, usesInstructions {
                let keys = UnsafeMutablePointer<cyx_aes256_key>.allocate(capacity: 1)
                cyx_aes256_expand(keys, key)
                cipher = .blocks(keys)
            } else {
                let algorithm: EVPAlgorithm = key.count == 16 ? .aes128ECB : .aes256ECB
                let context = algorithm.context(key: key, encrypts: true)
                EVP_CIPHER_CTX_set_padding(context, 0)
                cipher = .aes(context)
            }
        case .chaCha20:
            precondition(key.count == 32, "a ChaCha20 key has 32 bytes")
            cipher = .chaCha20(EVPAlgorithm.chaCha20.context(key: key, encrypts: true))
        }
    }

    deinit {
        switch cipher {
        case .blocks(let keys):
            OPENSSL_cleanse(keys, MemoryLayout<cyx_aes256_key>.size)
            keys.deallocate()
        case .aes(let context), .chaCha20(let context): EVP_CIPHER_CTX_free(context)
        }
    }

    /// The mask for the packet with this `sample` of 16 bytes of ciphertext.
    package func mask(sample: UnsafeRawBufferPointer) -> HeaderMask {
        precondition(sample.count == HeaderProtector.sampleSize, "a sample has 16 bytes")
        var written: Int32 = 0
        var block: (UInt64, UInt64) = (0, 0)
        let isDone = withUnsafeMutableBytes(of: &block) { output in
            switch cipher {
            case .blocks(let keys):
                cyx_aes256_encrypt(keys, output.bytes, sample.bytes)
                return true
            case .aes(let context):
                return EVP_EncryptUpdate(context, output.bytes, &written, sample.bytes, 16) == 1
            case .chaCha20(let context):
                // The sample is counter and nonce, as OpenSSL wants its initial vector.
                return EVP_EncryptInit_ex(context, nil, nil, nil, sample.bytes) == 1
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
