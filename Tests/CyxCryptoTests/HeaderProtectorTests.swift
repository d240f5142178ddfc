import CyxCore
@testable import CyxCrypto
import Testing

struct HeaderProtectorTests {
    private func mask(
        _ algorithm: HeaderProtector.Algorithm, key: String, sample: String
    ) throws -> String {
        let protector = HeaderProtector(algorithm, key: try #require(Hex.decode(key)))
        let sample = try #require(Hex.decode(sample))
        // Twice, since a stream cipher that kept its state would give something else.
        #expect(protector.mask(sample: sample) == protector.mask(sample: sample))
        let mask = protector.mask(sample: sample)
        return Hex.encode((0..<5).map { mask[$0] })
    }

    /// RFC 9001 §A.2.
    @Test func aesMatchesTheRFC() throws {
        let mask = try mask(
            .aes, key: "9f50449e04a0e810283a1e9933adedd2",
            sample: "d1b1c98dd7689fb8ec11d242b123dc9b")
        #expect(mask == "437b9aec36")
    }

    /// FIPS 197 §C.3.
    @Test func aes256MatchesTheStandard() throws {
        let mask = try mask(
            .aes, key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            sample: "00112233445566778899aabbccddeeff")
        #expect(mask == "8ea2b7ca51")
    }

    @Test func itsOwnAESIsOpenSSLs() {
        var state: UInt64 = 1
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        for _ in 0..<200 {
            let key = (0..<32).map { _ in next() }
            let sample = (0..<16).map { _ in next() }
            #expect(
                HeaderProtector(.aes, key: key).mask(sample: sample)
                    == HeaderProtector(.aes, key: key, usesInstructions: false)
                    .mask(sample: sample))
        }
    }

    /// RFC 9001 §A.5.
    @Test func chaCha20MatchesTheRFC() throws {
        let mask = try mask(
            .chaCha20, key: "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
            sample: "5e5cd55c41f69080575d7999c25a5bfb")
        #expect(mask == "aefefe7d03")
    }
}

struct XChaChaPolyTests {
    /// draft-irtf-cfrg-xchacha-03 §A.3.1.
    @Test func matchesTheDraft() throws {
        let cipher = XChaChaPoly(key: (0x80...0x9f).map { UInt8($0) })
        let nonce = (0x40...0x57).map { UInt8($0) }
        let aad = try #require(Hex.decode("50515253c0c1c2c3c4c5c6c7"))
        let plaintext = Array(
            ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                + "future, sunscreen would be it.").utf8)
        let sealed = cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext)
        #expect(Hex.encode(Array(sealed.prefix(16))) == "bd6d179d3e83d43b9576579493c0e939")
        #expect(Hex.encode(Array(sealed.suffix(16))) == "c0875924c1c7987947deafd8780acf49")
        #expect(try cipher.open(nonce: nonce, aad: aad, sealed: sealed) == plaintext)
    }

    @Test func changedOrShortenedBytesAreRejected() {
        let cipher = XChaChaPoly(key: [UInt8](repeating: 1, count: 32))
        let nonce = [UInt8](repeating: 2, count: 24)
        let sealed = cipher.seal(nonce: nonce, plaintext: [1, 2, 3])
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: AEADError.authenticationFailed) {
                try cipher.open(nonce: nonce, sealed: changed)
            }
        }
        for count in 0..<sealed.count {
            #expect(throws: AEADError.self) {
                try cipher.open(nonce: nonce, sealed: Array(sealed.prefix(count)))
            }
        }
    }
}
