import CyxCore
import CyxCrypto
import Testing

/// RFC 8032 §7.1, tests 1 to 3.
struct Ed25519Tests {
    struct Vector {
        var seed: String
        var publicKey: String
        var message: String
        var signature: String
    }

    static let vectors = [
        Vector(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            message: "",
            signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        Vector(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            message: "72",
            signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        Vector(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            message: "af82",
            signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ]

    @Test(arguments: Ed25519Tests.vectors)
    func signsAndVerifiesTheVectors(vector: Vector) throws {
        let key = SigningKey(seed: try #require(Hex.decode(vector.seed)))
        let message = try #require(Hex.decode(vector.message))
        #expect(Hex.encode(key.verifyingKey.bytes) == vector.publicKey)
        let signature = key.sign(message)
        #expect(Hex.encode(signature) == vector.signature)
        #expect(key.verifyingKey.isValid(signature: signature, for: message))
        #expect(Hex.encode(key.seed) == vector.seed)
    }

    @Test func everyFlippedBitOfASignatureIsRejected() throws {
        let key = SigningKey(seed: [UInt8](repeating: 7, count: 32))
        let message = Array("the bytes that were signed".utf8)
        let signature = key.sign(message)
        for bit in 0..<512 {
            var changed = signature
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!key.verifyingKey.isValid(signature: changed, for: message))
        }
        #expect(!key.verifyingKey.isValid(signature: signature, for: message + [0]))
    }

    @Test func wrongLengthsAreRejected() {
        let key = SigningKey(seed: [UInt8](repeating: 7, count: 32))
        let signature = key.sign([1])
        for count in 0..<64 {
            let short = Array(signature.prefix(count))
            #expect(!key.verifyingKey.isValid(signature: short, for: [1]))
        }
        #expect(!key.verifyingKey.isValid(signature: signature + [0], for: [1]))
        #expect(VerifyingKey(bytes: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(VerifyingKey(bytes: [UInt8](repeating: 0, count: 33)) == nil)
    }

    /// S + L verifies by the equation alone; RFC 8032 §5.1.7 wants S < L.
    @Test func aMalleatedScalarIsRejected() {
        let key = SigningKey(seed: [UInt8](repeating: 9, count: 32))
        var signature = key.sign([1, 2, 3])
        let order: [UInt8] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde,
            0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ]
        var carry: UInt16 = 0
        for index in 0..<32 {
            let sum = UInt16(signature[32 + index]) + UInt16(order[index]) + carry
            signature[32 + index] = UInt8(sum & 0xff)
            carry = sum >> 8
        }
        #expect(!key.verifyingKey.isValid(signature: signature, for: [1, 2, 3]))
    }

    @Test func aKeyOfSmallOrderVerifiesNothing() {
        let identity = VerifyingKey(bytes: [1] + [UInt8](repeating: 0, count: 31))
        let signature = [1] + [UInt8](repeating: 0, count: 63)
        #expect(identity?.isValid(signature: signature, for: []) == false)
    }

    @Test func identifiersAreTheHashOfThePublicKey() {
        let key = SigningKey(seed: [UInt8](repeating: 1, count: 32)).verifyingKey
        #expect(key.peerID.digest == BLAKE3.hash(key.bytes))
        #expect(key.accountID.digest == key.peerID.digest)
    }
}
