import CSodium
import CyxCore
import CyxCrypto
import CyxKernels
import Testing

struct KeyAgreementTests {
    static func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

    /// RFC 7748 §5.2; the second point has its highest bit set.
    @Test(arguments: [
        [
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ],
        [
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ],
    ])
    func x25519MatchesTheRFC(vector: [String]) throws {
        let key = X25519.PrivateKey(bytes: try KeyAgreementTests.bytes(vector[0]))
        let other = try KeyAgreementTests.bytes(vector[1])
        #expect(Hex.encode(try key.sharedSecret(with: other)) == vector[2])
    }

    /// For any bytes, among them points that are no numbers below p and those of the twist: what
    /// libsodium finds, with the instructions that not every processor has and without.
    @Test(arguments: CYX_X25519_PORTABLE.rawValue...cyx_x25519_best().rawValue)
    func x25519IsThatOfAnotherImplementation(level: UInt32) {
        let edges: [[UInt8]] = [
            [0xEC], [0xED], [0xEE], [0xFF], [0xFE], [0x7F], [0x02], [0x09], [0x13],
        ].map { $0 + [UInt8](repeating: $0[0] < 0x80 ? 0 : 0xFF, count: 30) + [0x7F] }
        var random = [UInt8](repeating: 3, count: 32)
        for round in 0..<400 {
            let scalar = round < 2 ? [UInt8](repeating: round == 0 ? 0 : 0xFF, count: 32) : random
            random = SHA256.hash(random)
            let point = round < edges.count ? edges[round] : random
            var expected = [UInt8](repeating: 0, count: 32)
            _ = crypto_scalarmult_curve25519(&expected, scalar, point)
            var found = [UInt8](repeating: 1, count: 32)
            cyx_x25519(cyx_x25519_level(rawValue: level), &found, scalar, point)
            #expect(found == expected)
        }
    }

    /// RFC 7748 §5.2: the scalar and the point, fed back a thousand times.
    @Test func aThousandIterationsMatchTheRFC() throws {
        var scalar = [9] + [UInt8](repeating: 0, count: 31)
        var point = scalar
        for round in 1...1000 {
            let next = try X25519.PrivateKey(bytes: scalar).sharedSecret(with: point)
            point = scalar
            scalar = next
            if round == 1 {
                #expect(
                    Hex.encode(scalar)
                        == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
            }
        }
        #expect(
            Hex.encode(scalar)
                == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    }

    /// RFC 7748 §6.1.
    @Test func bothSidesAgree() throws {
        let bob = X25519.PrivateKey(
            bytes: try KeyAgreementTests.bytes(
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(
            Hex.encode(bob.publicKey)
                == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let alice = try KeyAgreementTests.bytes(
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(
            Hex.encode(try bob.sharedSecret(with: alice))
                == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        let (left, right) = (
            X25519.PrivateKey(bytes: [UInt8](repeating: 1, count: 32)),
            X25519.PrivateKey(bytes: [UInt8](repeating: 2, count: 32))
        )
        #expect(
            try left.sharedSecret(with: right.publicKey)
                == right.sharedSecret(with: left.publicKey))
    }

    /// The public key is found in another way than by multiplying the base point, u = 9.
    @Test func aPublicKeyIsTheSecretSharedWithTheBasePoint() throws {
        var base = [UInt8](repeating: 0, count: X25519.keySize)
        base[0] = 9
        var bytes = [UInt8](repeating: 0, count: X25519.keySize)
        for _ in 0..<200 {
            let key = X25519.PrivateKey(bytes: bytes)
            #expect(try key.sharedSecret(with: base) == key.publicKey)
            bytes = SHA256.hash(bytes)
        }
        let largest = X25519.PrivateKey(bytes: [UInt8](repeating: 0xFF, count: X25519.keySize))
        #expect(try largest.sharedSecret(with: base) == largest.publicKey)
    }

    /// The points of order 1, 2, 4 and 8 and their other encodings (Bernstein's list).
    @Test(arguments: [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ])
    func pointsOfSmallOrderAreRejected(point: String) throws {
        let key = X25519.PrivateKey(bytes: [UInt8](repeating: 5, count: 32))
        let other = try KeyAgreementTests.bytes(point)
        #expect(throws: KeyAgreementError.smallOrder) { try key.sharedSecret(with: other) }
    }

    @Test func keysOfAnotherLengthAreRejected() {
        let key = X25519.PrivateKey(bytes: [UInt8](repeating: 5, count: 32))
        for count in [0, 31, 33] {
            #expect(throws: KeyAgreementError.wrongLength(count: count)) {
                try key.sharedSecret(with: [UInt8](repeating: 9, count: count))
            }
        }
    }

    /// RFC 5869, test cases 1 and 3.
    @Test func hkdfMatchesTheRFC() throws {
        let material = [UInt8](repeating: 0x0b, count: 22)
        let key = HKDF.extract(salt: (0...12).map { UInt8($0) }, material: material)
        #expect(
            Hex.encode(key) == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        #expect(
            Hex.encode(HKDF.expand(key: key, info: (0xf0...0xf9).map { UInt8($0) }, count: 42))
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                + "34007208d5b887185865")
        let unsalted = HKDF.extract(salt: [], material: material)
        #expect(
            Hex.encode(unsalted)
                == "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
        #expect(
            Hex.encode(HKDF.expand(key: unsalted, info: [], count: 42))
                == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                + "9d201395faa4b61a96c8")
        #expect(HKDF.expand(key: key, info: [], count: HKDF.maximumOutput).count == 8160)
        #expect(HKDF.expand(key: key, info: [], count: 0) == [])
    }

    /// RFC 9001 §A.1.
    @Test func labelledExpansionMatchesQUIC() throws {
        func expand(_ key: [UInt8], _ label: String, _ count: Int) -> String {
            Hex.encode(
                HKDF.expandLabel(key: key, prefix: "tls13 ", label: label, count: count))
        }
        let initial = HKDF.extract(
            salt: try KeyAgreementTests.bytes("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
            material: try KeyAgreementTests.bytes("8394c8f03e515708"))
        let client = expand(initial, "client in", 32)
        #expect(client == "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea")
        let secret = try KeyAgreementTests.bytes(client)
        #expect(expand(secret, "quic key", 16) == "1f369613dd76d5467730efcbe3b1a22d")
        #expect(expand(secret, "quic iv", 12) == "fa044b2f42a3fd3b46fb255c")
        #expect(expand(secret, "quic hp", 16) == "9f50449e04a0e810283a1e9933adedd2")
    }
}
