internal import CSodium

/// Argon2id (RFC 9106) of libsodium, for passwords that people make up: three passes over 64 MiB, as
/// decisions §G has it for servers. One takes some hundred milliseconds: not on a reactor's thread.
package enum PasswordHash {
    package static let saltBytes = 16
    package static let hashBytes = 32
    package static let memoryBytes = 64 << 20
    private static let passes: UInt64 = 3

    /// `salt`: 16 bytes, of this password alone. Nil where the memory is not to be had.
    package static func hash(_ password: [UInt8], salt: [UInt8]) -> [UInt8]? {
        precondition(salt.count == saltBytes, "a salt has 16 bytes")
        Sodium.prepare()
        var hash = [UInt8](repeating: 0, count: hashBytes)
        let characters = password.map { CChar(bitPattern: $0) }
        let failed = crypto_pwhash(
            &hash, UInt64(hashBytes), characters, UInt64(characters.count), salt, passes,
            memoryBytes, crypto_pwhash_ALG_ARGON2ID13)
        return failed == 0 ? hash : nil
    }
}
