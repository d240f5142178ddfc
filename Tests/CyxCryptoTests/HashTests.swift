import CyxCore
import CyxCrypto
import CyxKernels
import Testing

struct HashTests {
    static let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    static let digits = Array("123456789".utf8)

    /// FIPS 180-4 and RFC 1321 examples.
    @Test func hashesMatchTheirStandards() {
        let abc = Array("abc".utf8)
        #expect(
            Hex.encode(SHA256.hash(abc))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Hex.encode(SHA256.hash(HashTests.million))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        #expect(Hex.encode(SHA1.hash(abc)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(
            Hex.encode(SHA1.hash(HashTests.million)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
        #expect(Hex.encode(MD5.hash(abc)) == "900150983cd24fb0d6963f7d28e17f72")
        #expect(Hex.encode(MD5.hash(HashTests.million)) == "7707d6ae4e027c70eea2a935c2296f21")
    }

    @Test func piecesGiveTheHashOfTheWhole() {
        func check<Hash: IncrementalHash>(_: Hash.Type) {
            var hasher = Hash()
            var fork: Hash?
            for start in stride(from: 0, to: 10_000, by: 77) {
                hasher.update(HashTests.million[start..<min(start + 77, 10_000)])
                if start == 77 { fork = hasher }
            }
            #expect(hasher.finalize() == Hash.hash(Array(HashTests.million[..<10_000])))
            #expect(hasher.finalize() == hasher.finalize())
            #expect(fork?.finalize() == Hash.hash(Array(HashTests.million[..<154])))
        }
        check(SHA256.self)
        check(SHA1.self)
        check(MD5.self)
    }

    /// RFC 4231, test cases 1 and 6.
    @Test func hmacMatchesTheRFC() {
        #expect(
            Hex.encode(
                HMACSHA256.code(
                    key: [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8)))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            Hex.encode(
                HMACSHA256.code(
                    key: [UInt8](repeating: 0xaa, count: 131),
                    Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    /// Wherever the digits are cut, the two pieces' checks make that of the CRC catalogue.
    @Test func crcsOfPiecesAreJoinedWithoutTheirBytes() {
        let digits = HashTests.digits
        for cut in 0...digits.count {
            let (first, second) = (Array(digits[..<cut]), Array(digits[cut...]))
            let count = UInt64(second.count)
            #expect(
                CRC.crc32(CRC.crc32(first), joinedWith: CRC.crc32(second), of: count)
                    == 0xcbf4_3926)
            #expect(
                CRC.crc32c(CRC.crc32c(first), joinedWith: CRC.crc32c(second), of: count)
                    == 0xe306_9283)
            #expect(
                CRC.crc64NVME(CRC.crc64NVME(first), joinedWith: CRC.crc64NVME(second), of: count)
                    == 0xae8b_1486_0a79_9888)
        }
        let long = [UInt8](repeating: 0x5a, count: 1_000_003)
        #expect(
            CRC.crc64NVME(CRC.crc64NVME(digits), joinedWith: CRC.crc64NVME(long), of: 1_000_003)
                == CRC.crc64NVME(digits + long))
    }

    /// The check values of the CRC catalogue: the digits 1 to 9.
    @Test func checksMatchTheCatalogue() {
        #expect(CRC.crc32(HashTests.digits) == 0xcbf4_3926)
        #expect(CRC.crc32c(HashTests.digits) == 0xe306_9283)
        #expect(CRC.crc64NVME(HashTests.digits) == 0xae8b_1486_0a79_9888)
        #expect(CRC.crc32([]) == 0)
        #expect(CRC.crc32c([]) == 0)
        #expect(CRC.crc64NVME([]) == 0)
    }

    /// The checksum that RocksDB is given is that of ISA-L, with the instruction and without.
    @Test func theKernelsForRocksDBMatchTheOtherImplementation() {
        #expect(cyx_crc32c(0, HashTests.digits, HashTests.digits.count) == 0xe306_9283)
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        for count in [0, 1, 7, 8, 9, 63, 64, 999, 1000] {
            let expected = CRC.crc32c(Array(bytes[..<count]), continuing: 77)
            #expect(cyx_crc32c(77, bytes, count) == expected)
            #expect(cyx_crc32c_portable(77, bytes, count) == expected)
        }
    }

    /// NVM Command Set Specification 1.0b, §5.2.1.3.5: the four blocks of 4 KiB.
    @Test(arguments: [CYX_CRC64_TABLES, CYX_CRC64_BLOCKS, CYX_CRC64_FOUR_BLOCKS])
    func everyWayOfCRC64MatchesTheSpecification(way: cyx_crc64_way) {
        let blocks: [(UInt64, (Int) -> UInt8)] = [
            (0x6482_d367_eb22_b64e, { _ in 0 }),
            (0xc0dd_ba73_02ec_a3ac, { _ in 0xFF }),
            (0x3e72_9f5f_6750_449c, { UInt8(truncatingIfNeeded: $0) }),
            (0x9a2d_f64b_8e9e_517e, { ~UInt8(truncatingIfNeeded: $0) }),
        ]
        for (expected, byte) in blocks {
            let block = (0..<4096).map(byte)
            #expect(cyx_crc64_nvme_by(way, 0, block, block.count) == expected)
        }
    }

    /// Whatever the length, the address and what came before.
    @Test func allWaysOfCRC64ComeToTheSame() {
        let bytes = (0..<2000).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        bytes.withUnsafeBytes { all in
            for count in Array(0...600) + [767, 768, 769, 1983] {
                let start = count % 17
                let piece = all.baseAddress.map { $0 + start }
                let expected = cyx_crc64_nvme_by(CYX_CRC64_TABLES, 77, piece, count)
                for way in [CYX_CRC64_BLOCKS, CYX_CRC64_FOUR_BLOCKS] {
                    #expect(cyx_crc64_nvme_by(way, 77, piece, count) == expected, "\(count)")
                }
                #expect(cyx_crc64_nvme(77, piece, count) == expected, "\(count)")
            }
        }
    }

    @Test func checksContinueWhereTheyStopped() {
        let bytes = (0..<1000).map { UInt8($0 % 251) }
        for split in [0, 1, 7, 16, 17, 500, 999, 1000] {
            let (head, tail) = (Array(bytes[..<split]), Array(bytes[split...]))
            #expect(CRC.crc32(tail, continuing: CRC.crc32(head)) == CRC.crc32(bytes))
            #expect(CRC.crc32c(tail, continuing: CRC.crc32c(head)) == CRC.crc32c(bytes))
            #expect(CRC.crc64NVME(tail, continuing: CRC.crc64NVME(head)) == CRC.crc64NVME(bytes))
        }
    }

    @Test func comparisonInConstantTimeComparesEverything() {
        #expect(isEqualInConstantTime([1, 2, 3], [1, 2, 3]))
        #expect(!isEqualInConstantTime([1, 2, 3], [1, 2, 4]))
        #expect(!isEqualInConstantTime([0, 2, 3], [1, 2, 3]))
        #expect(!isEqualInConstantTime([1, 2], [1, 2, 3]))
        #expect(isEqualInConstantTime([], []))
    }
}
