internal import COpenSSL

/// A cipher of OpenSSL's, looked up once: a look-up for each key costs more than the key.
struct EVPAlgorithm: Sendable {
    static let aes128GCM = EVPAlgorithm("AES-128-GCM")
    static let aes256GCM = EVPAlgorithm("AES-256-GCM")
    static let chaCha20Poly1305 = EVPAlgorithm("ChaCha20-Poly1305")
    static let aes128ECB = EVPAlgorithm("AES-128-ECB")
    static let aes256ECB = EVPAlgorithm("AES-256-ECB")
    static let aes256CTR = EVPAlgorithm("AES-256-CTR")
    static let chaCha20 = EVPAlgorithm("ChaCha20")

    /// Never changed and never freed.
    nonisolated(unsafe) let pointer: OpaquePointer

    private init(_ name: String) {
        guard let pointer = EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("OpenSSL lacks \(name)")
        }
        self.pointer = pointer
    }

    /// A context with that key, for one direction.
    func context(key: [UInt8], encrypts: Bool) -> OpaquePointer {
        precondition(key.count == Int(EVP_CIPHER_get_key_length(pointer)), "wrong key length")
        guard let context = EVP_CIPHER_CTX_new() else {
            preconditionFailure("OpenSSL is out of memory")
        }
        let isReady = EVP_CipherInit_ex(context, pointer, nil, key, nil, encrypts ? 1 : 0)
        precondition(isReady == 1, "OpenSSL accepts a key of the right length")
        return context
    }
}

/// One keyed OpenSSL AEAD: a context for each direction that is used, so that neither ever reloads
/// its key.
final class EVPCipher {
    static let nonceSize = 12
    static let tagSize = 16

    private let algorithm: EVPAlgorithm
    private let key: [UInt8]
    // Most ciphers work in one direction only.
    private var sealing: OpaquePointer?
    private var opening: OpaquePointer?

    /// `algorithm` is an AEAD with 12-byte nonces; `key` has the length it wants.
    init(_ algorithm: EVPAlgorithm, key: [UInt8]) {
        self.algorithm = algorithm
        self.key = key
    }

    deinit {
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    private func sealingContext() -> OpaquePointer {
        if let sealing { return sealing }
        let context = algorithm.context(key: key, encrypts: true)
        sealing = context
        return context
    }

    private func openingContext() -> OpaquePointer {
        if let opening { return opening }
        let context = algorithm.context(key: key, encrypts: false)
        opening = context
        return context
    }

    func seal(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(nonce.count == EVPCipher.nonceSize, "a nonce has 12 bytes")
        precondition(
            output.count == plaintext.count + EVPCipher.tagSize, "ciphertext and tag fill output")
        let sealing = sealingContext()
        var written: Int32 = 0
        var isDone = EVP_EncryptInit_ex(sealing, nil, nil, nil, nonce.bytes) == 1
        if !aad.isEmpty {
            isDone =
                isDone
                && EVP_EncryptUpdate(sealing, nil, &written, aad.bytes, Int32(aad.count)) == 1
        }
        if !plaintext.isEmpty {
            isDone =
                isDone
                && EVP_EncryptUpdate(
                    sealing, output.bytes, &written, plaintext.bytes, Int32(plaintext.count)) == 1
        }
        let tag = output.baseAddress?.advanced(by: plaintext.count)
        var scratch: UInt64 = 0
        isDone =
            isDone
            && withUnsafeMutableBytes(of: &scratch) {
                EVP_EncryptFinal_ex(sealing, $0.bytes, &written)
            } == 1
        isDone =
            isDone
            && EVP_CIPHER_CTX_ctrl(
                sealing, EVP_CTRL_AEAD_GET_TAG, Int32(EVPCipher.tagSize), tag) == 1
        precondition(isDone, "sealing with a keyed context does not fail")
    }

    func open(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(AEADError) {
        precondition(nonce.count == EVPCipher.nonceSize, "a nonce has 12 bytes")
        guard sealed.count >= EVPCipher.tagSize else { throw .tooShort(count: sealed.count) }
        let length = sealed.count - EVPCipher.tagSize
        precondition(output.count == length, "the plaintext fills output")
        let opening = openingContext()
        var written: Int32 = 0
        // OpenSSL takes the expected tag through a mutable pointer and only reads it.
        let tag = UnsafeMutableRawPointer(mutating: sealed.baseAddress?.advanced(by: length))
        var isDone = EVP_DecryptInit_ex(opening, nil, nil, nil, nonce.bytes) == 1
        isDone =
            isDone
            && EVP_CIPHER_CTX_ctrl(
                opening, EVP_CTRL_AEAD_SET_TAG, Int32(EVPCipher.tagSize), tag) == 1
        if !aad.isEmpty {
            isDone =
                isDone
                && EVP_DecryptUpdate(opening, nil, &written, aad.bytes, Int32(aad.count)) == 1
        }
        if length > 0 {
            isDone =
                isDone
                && EVP_DecryptUpdate(
                    opening, output.bytes, &written, sealed.bytes, Int32(length)) == 1
        }
        precondition(isDone || length > 0, "starting to open with a keyed context does not fail")
        var scratch: UInt64 = 0
        let isAuthentic = withUnsafeMutableBytes(of: &scratch) {
            EVP_DecryptFinal_ex(opening, $0.bytes, &written)
        }
        guard isDone, isAuthentic == 1 else { throw .authenticationFailed }
    }
}

extension UnsafeRawBufferPointer {
    var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    var bytes: UnsafeMutablePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
