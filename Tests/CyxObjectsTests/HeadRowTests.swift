import CyxCore
import CyxCrypto
import Testing

@testable import CyxObjects

@Suite struct HeadRowTests {
    private static let crc: [UInt8] = [0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88]

    @Test(arguments: [crc, [UInt8](repeating: 0, count: 8)])
    func checksumsComeBackWhereverTheyLie(crc: [UInt8]) throws {
        var head = HeadRow(key: "key")
        let sums = ["crc64nvme": Base64.encode(crc), "sha1": "AAAA"]
        head.allChecksums = sums
        #expect(head.crc64 == crc)
        #expect(head.checksums == ["sha1": "AAAA"])
        let read = try HeadRow(protobuf: head.protobufBytes())
        #expect(read.allChecksums == sums)
        head.allChecksums = [:]
        #expect(head == HeadRow(key: "key"))
        // As earlier programs wrote them.
        head.checksums = sums
        #expect(head.allChecksums == sums)
    }

    @Test func theChecksumThatMostHaveIsSmall() {
        let plain = HeadRow(key: "key").protobufBytes().count
        var head = HeadRow(key: "key")
        head.allChecksums = ["crc64nvme": Base64.encode(Self.crc)]
        #expect(head.protobufBytes().count == plain + 11)
        #expect(head.listed.protobufBytes().count == plain + 4)
    }

    /// Listings say which checksums there are, and which were made of parts'.
    @Test func listingsKeepNamesOfChecksumsAlone() {
        for (name, value, isOfParts) in [
            ("crc64nvme", Base64.encode(Self.crc), false), ("crc32", "AAAAAA==", false),
            ("sha256", "abc-12", true),
        ] {
            var head = HeadRow(key: "key")
            head.allChecksums = [name: value]
            let listed = head.listed.allChecksums
            #expect(Array(listed.keys) == [name])
            #expect(listed.values.allSatisfy { $0.contains("-") == isOfParts && $0.count < 8 })
        }
    }
}
