import CyxCore
import CyxCrypto
import Testing

struct HPKETests {
    static func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

    static let info = Array("Ode on a Grecian Urn".utf8)
    static let aad = Array("Count-0".utf8)
    static let message = Array("Beauty is truth, truth beauty".utf8)

    /// RFC 9180 §A.2.1, the message of sequence number 0.
    @Test func aMessageIsSealedAsTheRFCSealsIt() throws {
        let recipient = X25519.PrivateKey(
            bytes: try Self.bytes(
                "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"))
        #expect(
            Hex.encode(recipient.publicKey)
                == "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
        let ephemeral = X25519.PrivateKey(
            bytes: try Self.bytes(
                "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600"))
        let sealed = try HPKE.seal(
            Self.message, to: recipient.publicKey, info: Self.info, aad: Self.aad,
            ephemeral: ephemeral)
        #expect(
            Hex.encode(sealed.encapsulated)
                == "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
        #expect(
            Hex.encode(sealed.ciphertext)
                == "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db"
                + "21993c62ce81883d2dd1b51a28")
        let opened = try HPKE.open(sealed, with: recipient, info: Self.info, aad: Self.aad)
        #expect(opened == Self.message)
    }

    static let recipient = X25519.PrivateKey(bytes: [UInt8](repeating: 7, count: 32))
    static let ephemeral = X25519.PrivateKey(bytes: [UInt8](repeating: 8, count: 32))

    static func sealed() throws -> HPKE.Sealed {
        try HPKE.seal(
            message, to: recipient.publicKey, info: info, aad: aad, ephemeral: ephemeral)
    }

    @Test func nothingButTheSealedMessageOpens() throws {
        let sealed = try Self.sealed()
        func opens(
            _ sealed: HPKE.Sealed, with key: X25519.PrivateKey = Self.recipient,
            info: [UInt8] = Self.info, aad: [UInt8] = Self.aad
        ) -> Bool {
            do {
                return try HPKE.open(sealed, with: key, info: info, aad: aad) == Self.message
            } catch { return false }
        }
        #expect(opens(sealed))
        #expect(!opens(sealed, with: Self.ephemeral))
        #expect(!opens(sealed, info: Self.info + [0]))
        #expect(!opens(sealed, aad: []))
        for index in sealed.ciphertext.indices {
            var changed = sealed
            changed.ciphertext[index] ^= 1
            #expect(!opens(changed))
            changed.ciphertext = Array(sealed.ciphertext.prefix(index))
            #expect(!opens(changed))
        }
        var changed = sealed
        changed.encapsulated[3] ^= 1
        #expect(!opens(changed))
    }

    @Test func keysThatAreNoneAreTold() throws {
        let zero = [UInt8](repeating: 0, count: 32)
        #expect(throws: HPKEError.badKey(.smallOrder)) {
            try HPKE.seal([1], to: zero, info: [], aad: [], ephemeral: Self.ephemeral)
        }
        var sealed = try Self.sealed()
        sealed.encapsulated.removeLast()
        #expect(throws: HPKEError.badKey(.wrongLength(count: 31))) {
            try HPKE.open(sealed, with: Self.recipient, info: [], aad: [])
        }
        sealed.ciphertext = [1]
        sealed.encapsulated = Self.recipient.publicKey
        #expect(throws: HPKEError.cipher(.tooShort(count: 1))) {
            try HPKE.open(sealed, with: Self.recipient, info: [], aad: [])
        }
    }
}
