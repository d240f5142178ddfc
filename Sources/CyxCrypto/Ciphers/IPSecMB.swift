internal import CIPSecMB
internal import COpenSSL

/// What of libipsec-mb is used: AES-256-GCM of one message at a time, whose blocks it encrypts and
/// hashes 48 at once on CPUs with VAES and VPCLMULQDQ.
///
/// Its queues of jobs are left alone: GCM gains nothing from them, as one packet already fills the
/// CPU's lanes.
struct IPSecMB {
    typealias Expand =
        @convention(c) (
            UnsafeRawPointer?, UnsafeMutablePointer<gcm_key_data>?
        ) -> Void
    typealias Crypt =
        @convention(c) (
            UnsafePointer<gcm_key_data>?, UnsafeMutablePointer<gcm_context_data>?,
            UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt64, UnsafePointer<UInt8>?,
            UnsafePointer<UInt8>?, UInt64, UnsafeMutablePointer<UInt8>?, UInt64
        ) -> Void

    let expand: Expand
    let encrypt: Crypt
    let decrypt: Crypt

    /// Nil where the CPU lacks what makes the library worth having.
    static let shared = IPSecMB()

    private init?() {
        guard let manager = alloc_mb_mgr(0) else { return nil }
        // The manager is only the table of functions that suit this CPU; they keep no state.
        defer { free_mb_mgr(manager) }
        // Told by the CPU. The functions themselves do not check it.
        let needed =
            IMB_FEATURE_AVX512F | IMB_FEATURE_AVX512DQ | IMB_FEATURE_AVX512CD
            | IMB_FEATURE_AVX512BW | IMB_FEATURE_AVX512VL | IMB_FEATURE_VAES
            | IMB_FEATURE_VPCLMULQDQ
        guard manager.pointee.features & needed == needed else { return nil }
        init_mb_mgr_avx512(manager)
        guard imb_get_errno(manager) == 0, let expand = manager.pointee.gcm256_pre,
            let encrypt = manager.pointee.gcm256_enc, let decrypt = manager.pointee.gcm256_dec
        else { return nil }
        self.expand = expand
        self.encrypt = encrypt
        self.decrypt = decrypt
    }
}

/// One AES-256-GCM key in the library's form.
struct IPSecMBCipher: ~Copyable {
    /// The library loads key material by whole cache lines.
    private static let alignment = 64

    private let functions: IPSecMB
    private let key: UnsafeMutablePointer<gcm_key_data>
    /// Filled and read within one call.
    private let scratch: UnsafeMutablePointer<gcm_context_data>
    private let memory: UnsafeMutableRawBufferPointer

    /// `key` has 32 bytes.
    init(_ functions: IPSecMB, key bytes: [UInt8]) {
        precondition(bytes.count == 32, "the key of AES-256 has 32 bytes")
        let keySize = MemoryLayout<gcm_key_data>.size
        memory = .allocate(
            byteCount: keySize + MemoryLayout<gcm_context_data>.size,
            alignment: IPSecMBCipher.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        guard let start = memory.baseAddress else { preconditionFailure("memory has an address") }
        key = start.bindMemory(to: gcm_key_data.self, capacity: 1)
        scratch = (start + keySize).bindMemory(to: gcm_context_data.self, capacity: 1)
        self.functions = functions
        functions.expand(bytes, key)
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    func seal(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(nonce.count == EVPCipher.nonceSize, "a nonce has 12 bytes")
        precondition(
            output.count == plaintext.count + EVPCipher.tagSize, "ciphertext and tag fill output")
        functions.encrypt(
            key, scratch, output.bytes, plaintext.bytes, UInt64(plaintext.count), nonce.bytes,
            aad.bytes, UInt64(aad.count), output.bytes?.advanced(by: plaintext.count),
            UInt64(EVPCipher.tagSize))
    }

    func open(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(AEADError) {
        precondition(nonce.count == EVPCipher.nonceSize, "a nonce has 12 bytes")
        guard sealed.count >= EVPCipher.tagSize else { throw .tooShort(count: sealed.count) }
        let length = sealed.count - EVPCipher.tagSize
        precondition(output.count == length, "the plaintext fills output")
        var tag: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &tag) { tag in
            functions.decrypt(
                key, scratch, output.bytes, sealed.bytes, UInt64(length), nonce.bytes, aad.bytes,
                UInt64(aad.count), tag.bytes, UInt64(EVPCipher.tagSize))
        }
        // Both halves in any case: how many bytes match must not show in the time taken.
        let difference =
            (tag.0 ^ sealed.loadUnaligned(fromByteOffset: length, as: UInt64.self))
            | (tag.1 ^ sealed.loadUnaligned(fromByteOffset: length + 8, as: UInt64.self))
        guard difference == 0 else { throw .authenticationFailed }
    }
}
