import CyxCore
import CyxCrypto
import Testing

struct AEADTests {
    /// McGrew and Viega's GCM specification, test case 16.
    @Test func aes256GCMMatchesTheSpecification() throws {
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
        let cipher = AESGCM(key: try #require(Hex.decode(key)))
        let nonce = try #require(Hex.decode("cafebabefacedbaddecaf888"))
        let aad = try #require(Hex.decode("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
        let plaintext = try #require(
            Hex.decode(
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                    + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"))
        let sealed = cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext)
        #expect(
            Hex.encode(sealed)
                == "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                + "76fc6ece0f4e1768cddf8853bb2d551b")
        #expect(try cipher.open(nonce: nonce, aad: aad, sealed: sealed) == plaintext)
    }

    /// RFC 8439 §2.8.2.
    @Test func chaChaPolyMatchesTheRFC() throws {
        let key = (0x80...0x9f).map { UInt8($0) }
        let cipher = ChaChaPoly(key: key)
        let nonce = try #require(Hex.decode("070000004041424344454647"))
        let aad = try #require(Hex.decode("50515253c0c1c2c3c4c5c6c7"))
        let plaintext = Array(
            ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                + "future, sunscreen would be it.").utf8)
        let sealed = cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext)
        #expect(Hex.encode(Array(sealed.prefix(16))) == "d31a8d34648e60db7b86afbc53ef7ec2")
        #expect(Hex.encode(Array(sealed.suffix(16))) == "1ae10b594f09e26a7e902ecbd0600691")
        #expect(try cipher.open(nonce: nonce, aad: aad, sealed: sealed) == plaintext)
        // The same without a cipher that is set up first.
        #expect(ChaChaPoly.seal(plaintext, key: key, nonce: nonce, aad: aad) == sealed)
        #expect(try ChaChaPoly.open(sealed, key: key, nonce: nonce, aad: aad) == plaintext)
    }

    @Test func aSingleMessageThatWasChangedIsRejected() {
        let key = [UInt8](repeating: 1, count: 32)
        let nonce = [UInt8](repeating: 3, count: 12)
        func open(_ sealed: [UInt8], aad: [UInt8] = [1, 2]) throws(AEADError) -> [UInt8] {
            try ChaChaPoly.open(sealed, key: key, nonce: nonce, aad: aad)
        }
        let sealed = ChaChaPoly.seal([4, 5, 6], key: key, nonce: nonce, aad: [1, 2])
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: AEADError.authenticationFailed) { try open(changed) }
        }
        for count in 0..<sealed.count {
            #expect(throws: AEADError.self) { try open(Array(sealed.prefix(count))) }
        }
        #expect(throws: AEADError.authenticationFailed) { try open(sealed, aad: [1]) }
    }

    static let ciphers: [@Sendable () -> any PacketCipher] = [
        { AESGCM(key: [UInt8](repeating: 1, count: 16)) },
        { AESGCM(key: [UInt8](repeating: 1, count: 32)) },
        { ChaChaPoly(key: [UInt8](repeating: 1, count: 32)) },
    ]

    @Test(arguments: 0..<3)
    func everyFlippedBitAndEveryTruncationIsRejected(index: Int) {
        let cipher = AEADTests.ciphers[index]()
        let nonce = [UInt8](repeating: 3, count: 12)
        let sealed = cipher.seal(nonce: nonce, aad: [1, 2], plaintext: [4, 5, 6])
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: AEADError.authenticationFailed) {
                try cipher.open(nonce: nonce, aad: [1, 2], sealed: changed)
            }
        }
        for count in 0..<sealed.count {
            #expect(
                throws: count < 16
                    ? AEADError.tooShort(count: count) : AEADError.authenticationFailed
            ) {
                try cipher.open(nonce: nonce, aad: [1, 2], sealed: Array(sealed.prefix(count)))
            }
        }
        #expect(throws: AEADError.authenticationFailed) {
            try cipher.open(nonce: nonce, aad: [1], sealed: sealed)
        }
        #expect(throws: AEADError.authenticationFailed) {
            try cipher.open(nonce: [UInt8](repeating: 4, count: 12), aad: [1, 2], sealed: sealed)
        }
    }

    @Test(arguments: 0..<3)
    func emptyAndPacketSizedInputsComeBack(index: Int) throws {
        let cipher = AEADTests.ciphers[index]()
        for count in [0, 1, 15, 16, 17, 1400, 65_535] {
            let plaintext = (0..<count).map { UInt8($0 % 251) }
            var nonce = [UInt8](repeating: 0, count: 12)
            nonce[11] = UInt8(count % 256)
            let sealed = cipher.seal(nonce: nonce, plaintext: plaintext)
            #expect(sealed.count == count + 16)
            #expect(try cipher.open(nonce: nonce, sealed: sealed) == plaintext)
        }
    }
}
