import CyxCore
import CyxCrypto
import Testing

/// What holds for each engine of AES-256-GCM, and that their bytes are the same. Where the CPU runs
/// only one of them, that one is compared with itself.
struct AEADEngineTests {
    private static let engines = AESGCM.Engine.allCases.filter(\.isAvailable)

    /// McGrew and Viega's GCM specification, test cases 13 to 16 (those of NIST's GCM submission).
    @Test(arguments: engines)
    func theSpecificationsVectorsHold(engine: AESGCM.Engine) throws {
        let zeros = String(repeating: "0", count: 64)
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
        let nonce = "cafebabefacedbaddecaf888"
        let plaintext =
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
        let ciphertext =
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        let vectors = [
            (zeros, String(repeating: "0", count: 24), "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
            (
                zeros, String(repeating: "0", count: 24), "", String(repeating: "0", count: 32),
                "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
            ),
            (key, nonce, "", plaintext, ciphertext + "b094dac5d93471bdec1a502270e3cc6c"),
            (
                key, nonce, "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                String(plaintext.dropLast(8)),
                ciphertext.dropLast(8) + "76fc6ece0f4e1768cddf8853bb2d551b"
            ),
        ]
        for (key, nonce, aad, plaintext, sealed) in vectors {
            let cipher = AESGCM(key: try #require(Hex.decode(key)), engine: engine)
            let nonce = try #require(Hex.decode(nonce))
            let aad = try #require(Hex.decode(aad))
            let plaintext = try #require(Hex.decode(plaintext))
            let result = cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext)
            #expect(Hex.encode(result) == sealed)
            #expect(try cipher.open(nonce: nonce, aad: aad, sealed: result) == plaintext)
        }
    }

    @Test(arguments: 1...4)
    func enginesSealTheSameBytesAndOpenEachOthers(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func bytes(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        }
        for round in 0..<400 {
            let key = bytes(32)
            let ciphers = AEADEngineTests.engines.map { AESGCM(key: key, engine: $0) }
            // One cipher seals several packets, as a connection does.
            for _ in 0..<4 {
                let nonce = bytes(12)
                let aad = bytes(Int(generator.next() % 48))
                let size = round < 50 ? round : Int(generator.next() % 1501)
                let plaintext = bytes(size)
                let sealed = ciphers.map {
                    $0.seal(nonce: nonce, aad: aad, plaintext: plaintext)
                }
                #expect(sealed.allSatisfy { $0 == sealed[0] })
                var forged = sealed[0]
                let bit = Int(generator.next() % UInt64(forged.count * 8))
                forged[bit / 8] ^= 1 << UInt8(bit % 8)
                var tag = sealed[0]
                tag[size + Int(generator.next() % 16)] &+= 1
                for cipher in ciphers {
                    #expect(
                        try cipher.open(nonce: nonce, aad: aad, sealed: sealed[0]) == plaintext)
                    for changed in [forged, tag] {
                        #expect(throws: AEADError.authenticationFailed) {
                            try cipher.open(nonce: nonce, aad: aad, sealed: changed)
                        }
                    }
                    #expect(throws: AEADError.authenticationFailed) {
                        try cipher.open(nonce: nonce, aad: aad + [0], sealed: sealed[0])
                    }
                }
            }
        }
    }

    /// The packet path seals where the plaintext lies.
    @Test(arguments: engines)
    func sealingAndOpeningInPlaceGivesTheSame(engine: AESGCM.Engine) throws {
        let cipher = AESGCM(key: [UInt8](repeating: 9, count: 32), engine: engine)
        let nonce = [UInt8](repeating: 1, count: 12)
        for size in [0, 1, 16, 255, 256, 257, 768, 1375, 65_537] {
            let plaintext = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let expected = cipher.seal(nonce: nonce, aad: [5], plaintext: plaintext)
            var buffer = plaintext + [UInt8](repeating: 0, count: 16)
            try buffer.withUnsafeMutableBytes { buffer in
                try nonce.withUnsafeBytes { nonce in
                    try [UInt8]([5]).withUnsafeBytes { aad in
                        cipher.seal(
                            nonce: nonce, aad: aad,
                            plaintext: UnsafeRawBufferPointer(rebasing: buffer[..<size]),
                            into: buffer)
                        #expect([UInt8](buffer) == expected)
                        try cipher.open(
                            nonce: nonce, aad: aad, sealed: UnsafeRawBufferPointer(buffer),
                            into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]))
                    }
                }
            }
            #expect(Array(buffer[..<size]) == plaintext)
        }
    }
}
