/// AES-GCM with a 16- or 32-byte key (NIST SP 800-38D), keyed once.
package final class AESGCM: PacketCipher {
    /// Who does the work. Their bytes are the same.
    package enum Engine: String, Sendable, CaseIterable {
        /// libipsec-mb: four times as fast at packets, on CPUs with AVX-512 and VAES.
        case ipsecMB = "ipsec-mb"
        /// OpenSSL, on any CPU.
        case openSSL = "openssl"

        /// Whether this CPU runs it.
        package var isAvailable: Bool {
            switch self {
            case .ipsecMB: IPSecMB.shared != nil
            case .openSSL: true
            }
        }

        /// The fastest that this CPU runs.
        package static let best: Engine = Engine.ipsecMB.isAvailable ? .ipsecMB : .openSSL
    }

    private enum Cipher: ~Copyable {
        case ipsecMB(IPSecMBCipher)
        case openSSL(EVPCipher)
    }

    private let cipher: Cipher

    /// AES-128 for a key of 16 bytes, which OpenSSL does always; AES-256 for 32, which OpenSSL does
    /// where `engine` is not available.
    package init(key: [UInt8], engine: Engine = .best) {
        precondition(key.count == 16 || key.count == 32, "an AES-GCM key has 16 or 32 bytes")
        if key.count == 32, engine == .ipsecMB, let functions = IPSecMB.shared {
            cipher = .ipsecMB(IPSecMBCipher(functions, key: key))
        } else {
            cipher = .openSSL(EVPCipher(key.count == 16 ? .aes128GCM : .aes256GCM, key: key))
        }
    }

    package func seal(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) {
        switch cipher {
        case .ipsecMB(let cipher):
            cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext, into: output)
        case .openSSL(let cipher):
            cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext, into: output)
        }
    }

    package func open(
        nonce: UnsafeRawBufferPointer, aad: UnsafeRawBufferPointer,
        sealed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(AEADError) {
        switch cipher {
        case .ipsecMB(let cipher):
            try cipher.open(nonce: nonce, aad: aad, sealed: sealed, into: output)
        case .openSSL(let cipher):
            try cipher.open(nonce: nonce, aad: aad, sealed: sealed, into: output)
        }
    }
}
