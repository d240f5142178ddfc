import CyxCore
import CyxCrypto
import CyxHTTP
import CyxObjects
import CyxS3
import Testing

@testable import CyxGateway

private final class NoRandom: RandomSource {
    func fill(_ buffer: UnsafeMutableRawBufferPointer) {}
}

@Suite struct ChecksumTests {
    private func sum(_ algorithm: ChecksumAlgorithm, _ bytes: [UInt8]) -> String {
        var running = RunningChecksum(algorithm)
        bytes.withUnsafeBytes { running.update($0) }
        return Base64.encode(running.finish())
    }

    private func parts(_ algorithm: ChecksumAlgorithm, _ pieces: [[UInt8]]) -> [PartInfo] {
        pieces.enumerated().map { index, bytes in
            PartInfo(
                number: index + 1, size: UInt64(bytes.count), etag: "",
                modified: WallTime(milliseconds: 0),
                checksums: [algorithm.rawValue: sum(algorithm, bytes)])
        }
    }

    private func requested(_ pairs: [(String, String)]) throws -> UploadChecksum? {
        try UploadChecksum(requested: HTTPHeaders(pairs))
    }

    @Test func theTypeFollowsFromTheAlgorithm() throws {
        for (name, type) in [
            ("CRC32", ChecksumType.composite), ("crc32c", .composite), ("CRC64NVME", .fullObject),
            ("SHA1", .composite), ("SHA256", .composite),
        ] {
            #expect(try requested([("x-amz-checksum-algorithm", name)])?.type == type)
        }
        #expect(try requested([]) == nil)
        for (name, type) in [
            ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"),
            ("CRC32", "OTHER"), ("MD4", "COMPOSITE"),
        ] {
            let error = #expect(throws: S3Error.self) {
                try requested([
                    ("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", type),
                ])
            }
            #expect(error?.code == "InvalidRequest")
        }
        let alone = #expect(throws: S3Error.self) {
            try requested([("x-amz-checksum-type", "COMPOSITE")])
        }
        #expect(alone?.code == "InvalidRequest")
    }

    @Test func whatIsStoredIsReadAgain() throws {
        let checksum = try #require(
            try requested([
                ("x-amz-checksum-algorithm", "CRC32C"), ("x-amz-checksum-type", "FULL_OBJECT"),
            ]))
        var headers: [String: String] = [:]
        checksum.store(in: &headers)
        #expect(UploadChecksum(headers) == checksum)
        #expect(headers.keys.allSatisfy { $0.hasPrefix(S3Headers.hiddenPrefix) })
    }

    @Test(arguments: [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme])
    func crcsOfPartsMakeThatOfTheObject(algorithm: ChecksumAlgorithm) throws {
        let pieces = [Array("123".utf8), [], Array("456789".utf8)]
        let checksum = try #require(
            try requested([
                ("x-amz-checksum-algorithm", algorithm.name),
                ("x-amz-checksum-type", "FULL_OBJECT"),
            ]))
        #expect(
            checksum.joined(parts(algorithm, pieces)) == sum(algorithm, Array("123456789".utf8)))
    }

    @Test(arguments: ChecksumAlgorithm.allCases.filter { $0 != .crc64nvme })
    func compositesAreChecksumsOfChecksums(algorithm: ChecksumAlgorithm) throws {
        let found = parts(algorithm, [Array("123".utf8), Array("456".utf8)])
        let checksum = try #require(
            try requested([("x-amz-checksum-algorithm", algorithm.name)]))
        let joined = found.flatMap { Base64.decode($0.checksums[algorithm.rawValue] ?? "") ?? [] }
        #expect(checksum.joined(found) == sum(algorithm, joined) + "-2")
        var lacking = found
        lacking[1].checksums = [:]
        #expect(checksum.joined(lacking) == nil)
    }

    // MARK: Where the client gives none

    @Test func aBodyThatNothingVouchesForIsSummedAllTheSame() throws {
        var check = try check([("content-md5", Base64.encode(MD5.hash([1, 2, 3])))])
        #expect(check.promisedAlgorithm == nil)
        check.compute(.implied)
        _ = try check.process([1, 2, 3])
        try check.finish()
        #expect(check.checksums == ["crc64nvme": sum(.crc64nvme, [1, 2, 3])])
    }

    @Test func onlyHashesAreWorthAnotherThread() throws {
        var check = try check([])
        #expect(!check.isHeavy)
        check.compute(.implied)
        #expect(!check.isHeavy)
        check.compute(.sha256)
        #expect(check.isHeavy)
    }

    /// One that the part itself brought stands for the one that would be computed.
    @Test func impliedChecksumsOfPartsMakeThatOfTheObject() throws {
        var found = parts(.crc64nvme, [Array("123".utf8), Array("456".utf8), Array("789".utf8)])
        for number in [0, 1] {
            found[number].checksums = [
                "implied": found[number].checksums["crc64nvme"] ?? "", "crc32": "AAAAAA==",
            ]
        }
        let implied = try #require(UploadChecksum.effective([:]))
        #expect(implied.isImplied)
        let whole = sum(.crc64nvme, Array("123456789".utf8))
        #expect(implied.joined(found) == whole)
        let list = try list("<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>")
        for headers in [[], [("x-amz-checksum-type", "COMPOSITE")]] {
            #expect(
                try list.checksums(of: found, implied, HTTPHeaders(headers))
                    == ["crc64nvme": whole])
        }
        let error = #expect(throws: S3Error.self) {
            try list.checksums(
                of: found, implied, HTTPHeaders([("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")]))
        }
        #expect(error?.code == "BadDigest")
        var headers = HTTPHeaders()
        S3Headers.addChecksums(found[0].checksums, to: &headers)
        #expect(headers.fields.map(\.name) == ["x-amz-checksum-crc32"])
        let listed = XMLWriter.document("P") { [found] xml in
            S3Headers.write(&xml, checksums: found[1].checksums)
        }
        #expect(String(decoding: listed, as: UTF8.self).contains("<ChecksumCRC32>AAAAAA=="))
        #expect(!String(decoding: listed, as: UTF8.self).lowercased().contains("implied"))
    }

    @Test func uploadsHaveTheChecksumThatTheyAskFor() throws {
        let asked = try #require(try requested([("x-amz-checksum-algorithm", "CRC64NVME")]))
        var stored: [String: String] = [:]
        asked.store(in: &stored)
        #expect(UploadChecksum.effective(stored) == asked)
        #expect(!asked.isImplied)
        let key = [UInt8](repeating: 7, count: 32)
        let customer = try #require(
            try CustomerKey(
                HTTPHeaders([
                    (CustomerKey.prefix + "algorithm", "AES256"),
                    (CustomerKey.prefix + "key", Base64.encode(key)),
                    (CustomerKey.prefix + "key-md5", Base64.encode(MD5.hash(key))),
                ])))
        CustomerCipher(customer, random: NoRandom()).store(in: &stored)
        #expect(UploadChecksum.effective(stored) == asked)
        #expect(UploadChecksum.effective(stored.filter { $0.key.contains("sse") }) == nil)
    }

    // MARK: Completions

    private func list(_ body: String) throws -> PartList {
        try PartList(
            S3Gateway.parse(
                Array("<CompleteMultipartUpload>\(body)</CompleteMultipartUpload>".utf8)))
    }

    @Test func completionsKeepWhatTheyPromise() throws {
        let found = parts(.crc32, [Array("123".utf8), Array("456789".utf8)])
        let checksum = try requested([
            ("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT"),
        ])
        let named = try list(
            "<Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag>"
                + "<ChecksumCRC32>\(sum(.crc32, Array("123".utf8)))</ChecksumCRC32></Part>"
                + "<Part><PartNumber>2</PartNumber><ETag>b</ETag></Part>")
        #expect(named.parts.map(\.etag) == ["a", "b"])
        let good = ["crc32": "y/Q5Jg=="]
        #expect(try named.checksums(of: found, checksum, HTTPHeaders()) == good)
        let promises: [([(String, String)], String?)] = [
            ([("x-amz-checksum-crc32", "y/Q5Jg==")], nil),
            ([("x-amz-checksum-crc32", "AAAAAA==")], "BadDigest"),
            ([("x-amz-checksum-type", "COMPOSITE")], "InvalidRequest"),
            ([("x-amz-mp-object-size", "9")], nil),
            ([("x-amz-mp-object-size", "8")], "InvalidRequest"),
        ]
        for (headers, code) in promises {
            do throws(S3Error) {
                let sums = try named.checksums(of: found, checksum, HTTPHeaders(headers))
                #expect(code == nil)
                #expect(sums == good)
            } catch {
                #expect(error.code == code)
            }
        }
        let wrong = try list(
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag>"
                + "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>")
        let error = #expect(throws: S3Error.self) {
            try wrong.checksums(of: found, checksum, HTTPHeaders())
        }
        #expect(error?.code == "InvalidPart")
        #expect(try named.checksums(of: found, nil, HTTPHeaders()) == [:])
    }

    @Test func listsOfPartsAreAscendingAndNotEmpty() {
        let part = { (number: Int) in
            "<Part><PartNumber>\(number)</PartNumber><ETag>e</ETag></Part>"
        }
        for (body, code) in [
            ("", "MalformedXML"), (part(0), "MalformedXML"), (part(10_001), "MalformedXML"),
            ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
            (part(2) + part(1), "InvalidPartOrder"), (part(1) + part(1), "InvalidPartOrder"),
        ] {
            let error = #expect(throws: S3Error.self) { try list(body) }
            #expect(error?.code == code)
        }
    }

    // MARK: Announcements

    private func check(_ headers: [(String, String)]) throws -> PayloadCheck {
        try PayloadCheck(
            unsigned: HTTPRequest(
                method: "PUT", target: "/b/k",
                headers: HTTPHeaders([("content-length", "3")] + headers),
                received: Instant(nanoseconds: 0)))
    }

    @Test func aBodyHasOneChecksumAndItIsTheOneAnnounced() throws {
        let crc = ("x-amz-checksum-crc32", sum(.crc32, [1, 2, 3]))
        for headers in [
            [crc, ("x-amz-checksum-crc32c", "AAAAAA==")],
            [("x-amz-sdk-checksum-algorithm", "SHA1")],
            [crc, ("x-amz-sdk-checksum-algorithm", "SHA1")],
            [crc, ("x-amz-sdk-checksum-algorithm", "ROT13")], [("x-amz-checksum-crc32", "AAAA")],
        ] {
            let error = #expect(throws: S3Error.self) { try check(headers) }
            #expect(error?.code == "InvalidRequest")
        }
        var good = try check([crc, ("x-amz-sdk-checksum-algorithm", "CRC32")])
        #expect(good.promisedAlgorithm == .crc32)
        good.compute(.sha1)
        good.compute(.crc32)
        _ = try good.process([1, 2, 3])
        try good.finish()
        #expect(good.checksums == ["crc32": crc.1, "sha1": sum(.sha1, [1, 2, 3])])
    }

    @Test func trailersAreThoseThatWereAnnouncedOnce() throws {
        let field = "x-amz-checksum-crc32:" + sum(.crc32, [UInt8](repeating: 0x61, count: 3))
        for (trailer, code) in [
            (field, nil), ("", "MalformedTrailerError"),
            (field + "\r\n" + field, "MalformedTrailerError"),
            (field + "\r\nx-amz-meta-a:b", "MalformedTrailerError"),
            ("x-amz-checksum-sha1:AAAA", "MalformedTrailerError"),
            ("x-amz-checksum-crc32:AAAAAA==", "BadDigest"),
        ] {
            var check = try check([
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", "3"), ("x-amz-trailer", "x-amz-checksum-crc32"),
            ])
            let end = trailer.isEmpty ? "" : trailer + "\r\n"
            _ = try check.process(Array("3\r\naaa\r\n0\r\n\(end)\r\n".utf8))
            do {
                try check.finish()
                #expect(code == nil, "\(trailer)")
            } catch {
                #expect(error.code == code, "\(trailer)")
            }
        }
    }

    @Test func lengthsOfFramedBodiesAreDigits() {
        for (length, code) in [
            ("+3", "InvalidArgument"), ("-3", "InvalidArgument"), ("", "InvalidArgument"),
            ("3 ", "InvalidArgument"), ("18446744073709551616", "InvalidArgument"),
        ] {
            let error = #expect(throws: S3Error.self) {
                try check([
                    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                    ("x-amz-decoded-content-length", length),
                ])
            }
            #expect(error?.code == code, "\(length)")
        }
    }
}
