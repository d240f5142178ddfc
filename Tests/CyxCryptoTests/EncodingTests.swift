import CyxCore
import CyxCrypto
import Testing

struct EncodingTests {
    /// RFC 4648 §10.
    static let vectors = [
        ("", "", ""), ("f", "Zg==", "my"), ("fo", "Zm8=", "mzxq"), ("foo", "Zm9v", "mzxw6"),
        ("foob", "Zm9vYg==", "mzxw6yq"), ("fooba", "Zm9vYmE=", "mzxw6ytb"),
        ("foobar", "Zm9vYmFy", "mzxw6ytboi"),
    ]

    @Test func textsMatchTheRFC() {
        for (plain, base64, base32) in EncodingTests.vectors {
            let bytes = Array(plain.utf8)
            let unpadded = String(base64.prefix { $0 != "=" })
            #expect(Base64.encode(bytes) == base64)
            #expect(Base64.encode(bytes, .url) == unpadded)
            #expect(Base32.encode(bytes) == base32)
            #expect(Base64.decode(base64) == bytes)
            #expect(Base64.decode(unpadded, .url) == bytes)
            #expect(Base32.decode(base32) == bytes)
        }
    }

    @Test func everyByteComesBack() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 83 + 200) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
            #expect(Base64.decode(Base64.encode(bytes, .url), .url) == bytes)
            #expect(Base32.decode(Base32.encode(bytes)) == bytes)
        }
        #expect(Base64.encode([0xfb, 0xff]) == "+/8=")
        #expect(Base64.encode([0xfb, 0xff], .url) == "-_8")
    }

    @Test func otherSpellingsAreRefused() {
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm9v ", "-_8=",
        ] {
            #expect(Base64.decode(text) == nil)
        }
        for text in ["Z", "Zh", "Zg==", "+/8"] { #expect(Base64.decode(text, .url) == nil) }
        for text in ["m", "mz", "mzx", "MY", "my======", "m1", "my y", "mzxw6yqaa"] {
            #expect(Base32.decode(text) == nil)
        }
        #expect(Base58.decode("0OIl") == nil)
        #expect(Base58.decode(String(repeating: "z", count: 129)) == nil)
        #expect(Base58.decode("112") == [0, 0, 1])
    }
}

struct CIDTests {
    /// Of the empty content: known to every IPFS node, as raw bytes and as an empty directory node.
    static let rawSHA256 = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    static let versionZero = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
    static let versionZeroAsOne = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

    /// Computed in Python with the `blake3` package and `base64.b32encode`.
    @Test func ourIdentifiersMatchAnotherImplementation() {
        #expect(
            CID(rawContent: []).text
                == "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi")
        #expect(
            CID(rawContent: Array("hello world".utf8)).text
                == "bafkr4igxjga67jykbseaxdmmdgc5a5o3zp3htom2l6mrjznk7fvyggu6eq")
    }

    @Test func knownIdentifiersComeBack() throws {
        let cid = try CID(CIDTests.rawSHA256)
        #expect(cid.codec == .raw)
        #expect(cid.hash == .sha256)
        #expect(cid.digest.bytes == SHA256.hash([]))
        #expect(cid.text == CIDTests.rawSHA256)
        #expect(try CID(bytes: cid.bytes) == cid)
    }

    @Test func versionZeroBecomesVersionOne() throws {
        #expect(try CID(CIDTests.versionZero).text == CIDTests.versionZeroAsOne)
    }

    @Test func aCodecOfTwoBytesComesBack() throws {
        let cid = CID(codec: .dagJSON, digest: BLAKE3.hash([1]))
        #expect(Array(cid.bytes.prefix(3)) == [0x01, 0xa9, 0x02])
        #expect(try CID(cid.text) == cid)
    }

    @Test func otherSpellingsAreRefused() throws {
        let bytes = CID(rawContent: [1]).bytes
        func refuses(_ bytes: [UInt8], _ error: CIDError) {
            #expect(throws: error) { try CID(bytes: bytes) }
        }
        refuses([2] + bytes[1...], .unknownVersion(2))
        refuses([0x01, 0x56] + bytes[2...], .unknownCodec(0x56))
        refuses([0x01, 0xd5, 0x00] + bytes[2...], .malformed)
        refuses([0x01, 0x55, 0x11] + bytes[3...], .unknownHash(code: 0x11, length: 32))
        refuses([0x01, 0x55, 0x1e, 31] + bytes[5...], .unknownHash(code: 0x1e, length: 31))
        refuses(bytes + [0], .malformed)
        refuses([UInt8](repeating: 0xff, count: 40), .malformed)
        for count in bytes.indices { refuses(Array(bytes.prefix(count)), .malformed) }
        for text in [
            "", "b", "B" + CIDTests.rawSHA256.dropFirst().uppercased(), "f01551e20",
            CIDTests.rawSHA256 + "a", CIDTests.rawSHA256 + "=", " " + CIDTests.rawSHA256,
            String(CIDTests.versionZero.dropLast()), CIDTests.versionZero + "1",
            "Qm" + String(repeating: "0", count: 44),
            "b" + String(repeating: "a", count: 1_000_000),
        ] {
            #expect(throws: CIDError.self) { try CID(text) }
        }
    }

    @Test func mutatedTextsNeverTrap() {
        let characters = Array(CIDTests.rawSHA256.utf8)
        for position in characters.indices {
            for byte in stride(from: 0, through: 127, by: 3) {
                var changed = characters
                changed[position] = UInt8(byte)
                let text = String(decoding: changed, as: UTF8.self)
                if let cid = try? CID(text) { #expect(cid.text == text) }
            }
        }
    }
}
