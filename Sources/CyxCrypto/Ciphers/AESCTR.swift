internal import COpenSSL

/// AES-256 in counter mode (NIST SP 800-38A §6.5): a key stream that may be entered at any byte.
///
/// It hides and does not authenticate; whoever uses it has the bytes vouched for by other means.
package enum AESCTR {
    package static let keySize = 32
    private static let blockSize = 16

    /// Encrypts or decrypts `bytes`, the first of which lies at `offset` in the stream. The counter
    /// begins at 0, so that a key is good for one stream only.
    package static func apply(key: [UInt8], at offset: UInt64, to bytes: [UInt8]) -> [UInt8] {
        precondition(key.count == keySize, "an AES-256 key has 32 bytes")
        guard !bytes.isEmpty else { return [] }
        let skipped = Int(offset % UInt64(blockSize))
        var counter = [UInt8](repeating: 0, count: blockSize)
        let block = offset / UInt64(blockSize)
        for index in 0..<8 {
            counter[15 - index] = UInt8(truncatingIfNeeded: block >> UInt64(8 * index))
        }
        let context = EVPAlgorithm.aes256CTR.context(key: key, encrypts: true)
        defer { EVP_CIPHER_CTX_free(context) }
        var written: Int32 = 0
        var isDone = EVP_EncryptInit_ex(context, nil, nil, nil, counter) == 1
        if skipped > 0 {
            var scratch = [UInt8](repeating: 0, count: blockSize)
            isDone =
                isDone
                && EVP_EncryptUpdate(context, &scratch, &written, counter, Int32(skipped)) == 1
        }
        let result = [UInt8](unsafeUninitializedCapacity: bytes.count) { output, count in
            isDone =
                isDone
                && EVP_EncryptUpdate(
                    context, output.baseAddress, &written, bytes, Int32(bytes.count)) == 1
            count = bytes.count
        }
        precondition(isDone, "a stream cipher with its key does not fail")
        return result
    }
}
