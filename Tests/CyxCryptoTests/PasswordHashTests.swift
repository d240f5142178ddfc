import CyxCore
import CyxCrypto
import Testing

/// What the reference implementation of Argon2 in C gives (by way of argon2-cffi 25.1): type id,
/// version 1.3, t = 3, m = 64 MiB, p = 1, 32 bytes.
@Suite struct PasswordHashTests {
    @Test func hashesAreThoseOfTheReference() throws {
        let first = PasswordHash.hash(
            Array("correct horse".utf8), salt: Array("0123456789abcdef".utf8))
        #expect(
            first.map { Hex.encode($0) }
                == "92599c67f23f1d9dce9b6f0cfb5a9b18ce110336de00799947472465edd9e49a")
        let second = PasswordHash.hash(
            Array("pässword\0x".utf8), salt: [UInt8](repeating: 0, count: 16))
        #expect(
            second.map { Hex.encode($0) }
                == "740bad04ec72775c382ce8c9ad7c10fa79fb7e43290c52473ce4056dee1ba5ee")
    }
}
