internal import CyxCore
internal import CyxCrypto

/// Encrypts chunks under keys derived from their contents (`decisions.md` B3).
enum ChunkCipher {
    enum Codec: UInt32 {
        case plain = 0
        case zstd = 1
    }

    private static let nonce = [UInt8](repeating: 0, count: 12)

    /// Keyed BLAKE3 of codec ‖ length ‖ the exact bytes that go into the cipher. The nonce can then
    /// be zero: equal keys mean equal input.
    static func key(dedup: Digest, codec: Codec, bytes: UnsafeRawBufferPointer) -> Digest {
        var header = ByteWriter(capacity: 16)
        header.write(codec.rawValue)
        header.write(UInt64(bytes.count))
        var hasher = BLAKE3.Hasher(key: dedup)
        hasher.update(header.bytes)
        hasher.update(bytes)
        return hasher.finalize()
    }

    /// Writes ciphertext and tag of `bytes` to the front of `output`.
    static func seal(
        _ bytes: UnsafeRawBufferPointer, key: Digest, into output: UnsafeMutableRawBufferPointer
    ) {
        nonce.withUnsafeBytes { nonce in
            AESGCM(key: key.bytes).seal(
                nonce: nonce, aad: UnsafeRawBufferPointer(start: nil, count: 0), plaintext: bytes,
                into: UnsafeMutableRawBufferPointer(
                    rebasing: output[..<(bytes.count + ObjectLimits.tagBytes)]))
        }
    }

    /// The bytes that `seal` encrypted; nil if the tag does not fit.
    static func open(_ sealed: UnsafeRawBufferPointer, key: Digest) -> [UInt8]? {
        guard sealed.count >= ObjectLimits.tagBytes else { return nil }
        let size = sealed.count - ObjectLimits.tagBytes
        var isAuthentic = true
        let plaintext = [UInt8](unsafeUninitializedCapacity: size) { output, count in
            nonce.withUnsafeBytes { nonce in
                do throws(AEADError) {
                    try AESGCM(key: key.bytes).open(
                        nonce: nonce, aad: UnsafeRawBufferPointer(start: nil, count: 0),
                        sealed: sealed, into: UnsafeMutableRawBufferPointer(output))
                    count = size
                } catch {
                    isAuthentic = false
                }
            }
        }
        return isAuthentic ? plaintext : nil
    }
}
