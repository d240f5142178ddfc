import CSodium
import CyxCore
import Testing

@testable import CyxCrypto

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

    private func random(_ count: Int, _ state: inout [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            state = SHA256.hash(state)
            bytes += state
        }
        return Array(bytes.prefix(count))
    }

    /// Ours and libsodium's, where the processor has what ours needs.
    @Test(.enabled(if: EdwardsVectors.areAvailable))
    func vectorsSignAsLibsodiumDoes() {
        var state: [UInt8] = [1]
        for length in 0..<200 {
            let seed = random(32, &state)
            let message = random(length, &state)
            let ours = SigningKey(seed: seed, usesVectors: true)
            let theirs = SigningKey(seed: seed, usesVectors: false)
            #expect(ours.sign(message) == theirs.sign(message))
        }
    }

    private func bothSay(
        _ key: [UInt8], _ signature: [UInt8], _ message: [UInt8],
        at location: SourceLocation = #_sourceLocation
    ) throws -> Bool {
        let key = try #require(VerifyingKey(bytes: key))
        let ours = key.isValid(signature: signature, for: message, usesVectors: true)
        let theirs = key.isValid(signature: signature, for: message, usesVectors: false)
        #expect(ours == theirs, sourceLocation: location)
        return ours
    }

    @Test(.enabled(if: EdwardsVectors.areAvailable))
    func vectorsAcceptAndRefuseWhatLibsodiumDoes() throws {
        var state: [UInt8] = [2]
        for round in 0..<128 {
            let key = SigningKey(seed: random(32, &state))
            let message = random(40, &state)
            var signature = key.sign(message)
            #expect(try bothSay(key.verifyingKey.bytes, signature, message))
            signature[round % 64] ^= 1 << UInt8(round % 8)
            #expect(try !bothSay(key.verifyingKey.bytes, signature, message))
            // Most are points of the curve, and half of the others are none.
            #expect(try !bothSay(random(32, &state), signature, message))
        }
    }

    /// Encodings of points of small order, with and without a sign, and of numbers from p on.
    @Test(.enabled(if: EdwardsVectors.areAvailable))
    func vectorsRefuseTheSamePoints() throws {
        let key = SigningKey(seed: [UInt8](repeating: 9, count: 32))
        let signature = key.sign([1, 2, 3])
        let tails: [(UInt8, UInt8)] = [(0, 0), (0, 0x80), (0xFF, 0x7F), (0xFF, 0xFF)]
        for (middle, last) in tails {
            for first in [0, 1, 2, 3, 0xEB, 0xEC, 0xED, 0xEE, 0xEF, 0xFE, 0xFF] as [UInt8] {
                let point = [first] + [UInt8](repeating: middle, count: 30) + [last]
                _ = try bothSay(point, signature, [1, 2, 3])
                // A signature by the key zero is its point alone.
                _ = try bothSay(point, point + [UInt8](repeating: 0, count: 32), [1, 2, 3])
                _ = try bothSay(key.verifyingKey.bytes, point + signature[32...], [1, 2, 3])
            }
        }
        let eighth = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
        let other = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
        for text in [eighth, other] {
            var point = try #require(Hex.decode(text))
            for _ in 0..<2 {
                #expect(try !bothSay(point, point + [UInt8](repeating: 0, count: 32), []))
                point[31] ^= 0x80
            }
        }
    }

    /// Without its nonce, a signature is the identity and the challenge times the key: it satisfies
    /// the equation, and is refused for its point of small order.
    @Test(.enabled(if: EdwardsVectors.areAvailable))
    func aSignatureWithoutNonceIsRefused() throws {
        let key = SigningKey(seed: [UInt8](repeating: 9, count: 32))
        let identity = [1] + [UInt8](repeating: 0, count: 31)
        var hash = [UInt8](repeating: 0, count: 64)
        let hashed = identity + key.verifyingKey.bytes + [5]
        crypto_hash_sha512(&hash, hashed, UInt64(hashed.count))
        var challenge = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_reduce(&challenge, hash)
        var scalar = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_mul(
            &scalar, challenge, EdwardsVectors.expand(seed: key.seed).scalar)
        #expect(try !bothSay(key.verifyingKey.bytes, identity + scalar, [5]))
    }
}
