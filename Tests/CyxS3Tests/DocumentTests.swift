import CyxCore
import CyxS3
import Testing

@Suite struct DocumentTests {
    // MARK: CORS

    private static func cors(_ rules: String...) throws -> CORSConfiguration {
        let text = rules.map { "<CORSRule>\($0)</CORSRule>" }.joined()
        return try CORSConfiguration(
            parsing: Array("<CORSConfiguration>\(text)</CORSConfiguration>".utf8))
    }

    private static let get = "<AllowedMethod>GET</AllowedMethod>"

    @Test func theFirstRuleThatFitsAnswers() throws {
        let cors = try Self.cors(
            "<ID>one</ID><AllowedOrigin>https://*.example.com</AllowedOrigin>" + Self.get,
            "<ID>two</ID><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
                + "<AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader>"
        )
        #expect(cors.rule(origin: "https://a.example.com", method: "GET")?.id == "one")
        #expect(cors.rule(origin: "https://.example.com", method: "GET")?.id == "one")
        #expect(cors.rule(origin: "http://a.example.com", method: "GET") == nil)
        #expect(cors.rule(origin: "https://example.com", method: "GET") == nil)
        let wanted = ["x-amz-date", "content-type"]
        #expect(cors.rule(origin: "x", method: "PUT", headers: wanted)?.id == "two")
        #expect(cors.rule(origin: "x", method: "PUT", headers: ["authorization"]) == nil)
        #expect(cors.rule(origin: "x", method: "DELETE") == nil)
    }

    @Test(arguments: [
        ("<AllowedOrigin>*</AllowedOrigin>", "MalformedXML"), (get, "MalformedXML"),
        (get + "<AllowedOrigin>*.*</AllowedOrigin>", "InvalidRequest"),
        (get + "<AllowedOrigin>*</AllowedOrigin><ExposeHeader>*</ExposeHeader>", "InvalidRequest"),
        (
            get + "<AllowedOrigin>*</AllowedOrigin><AllowedHeader>*a*</AllowedHeader>",
            "InvalidRequest"
        ),
        ("<AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*</AllowedOrigin>", "InvalidRequest"),
        (get + "<AllowedOrigin>*</AllowedOrigin><MaxAgeSeconds>x</MaxAgeSeconds>", "MalformedXML"),
    ])
    func brokenRulesAreRefused(rule: String, code: String) {
        let fault = #expect(throws: DocumentFault.self) { try Self.cors(rule) }
        #expect(fault?.code == code)
    }

    @Test func aConfigurationHas1To100Rules() throws {
        let rule = "<CORSRule>\(Self.get)<AllowedOrigin>*</AllowedOrigin></CORSRule>"
        for (count, isRight) in [(0, false), (1, true), (100, true), (101, false)] {
            let text =
                "<CORSConfiguration>" + String(repeating: rule, count: count)
                + "</CORSConfiguration>"
            if isRight {
                let cors = try CORSConfiguration(parsing: Array(text.utf8))
                #expect(try CORSConfiguration(parsing: cors.document) == cors)
            } else {
                #expect(throws: DocumentFault.malformedXML) {
                    try CORSConfiguration(parsing: Array(text.utf8))
                }
            }
        }
    }

    // MARK: Tags

    private static func tags(_ tags: [(String, String)]) -> [UInt8] {
        let text = tags.map { "<Tag><Key>\($0.0)</Key><Value>\($0.1)</Value></Tag>" }.joined()
        return Array("<Tagging><TagSet>\(text)</TagSet></Tagging>".utf8)
    }

    @Test func tagsReadBackInTheirOrder() throws {
        let set = try TagSet(parsing: Self.tags([("b", "1"), ("a +-=._:/@ü", "")]), of: .object)
        #expect(set.tags.map(\.key) == ["b", "a +-=._:/@ü"])
        #expect(try TagSet(parsing: set.document, of: .object) == set)
        let header = try TagSet(header: "b=1&a%20%2B-%3D._:/@%C3%BC")
        #expect(header == set)
    }

    @Test func bearersHaveTheirLimits() throws {
        let many = (0..<51).map { ("k\($0)", "v") }
        for (bearer, limit) in [(TagSet.Bearer.object, 10), (.bucket, 50)] {
            #expect(throws: Never.self) {
                try TagSet(parsing: Self.tags(Array(many.prefix(limit))), of: bearer)
            }
            let fault = #expect(throws: DocumentFault.self) {
                try TagSet(parsing: Self.tags(Array(many.prefix(limit + 1))), of: bearer)
            }
            #expect(fault?.code == "BadRequest")
        }
    }

    @Test(arguments: [
        [("", "v")], [(String(repeating: "k", count: 129), "v")],
        [("k", String(repeating: "v", count: 257))], [("aws:k", "v")], [("k", "1"), ("k", "2")],
        [("k!", "v")], [("k", "{}")],
    ])
    func invalidTagsAreRefused(tags: [(String, String)]) {
        let fault = #expect(throws: DocumentFault.self) {
            try TagSet(parsing: Self.tags(tags), of: .object)
        }
        #expect(fault?.code == "InvalidTag")
    }

    @Test(arguments: ["a=1&a=2", "a=%zz", "%FF=1"])
    func brokenTagHeadersAreRefused(header: String) {
        let fault = #expect(throws: DocumentFault.self) { try TagSet(header: header) }
        #expect(fault?.code == "InvalidArgument")
    }

    // MARK: Encryption

    @Test(arguments: [
        ("AES256", nil as String?), ("aws:kms", "NotImplemented"), ("DES", "MalformedXML"),
    ])
    func onlyOneEncryptionIsThere(algorithm: String, code: String?) throws {
        let text =
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
            + "<SSEAlgorithm>\(algorithm)</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
            + "<BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
        guard let code else {
            let encryption = try BucketEncryption(parsing: Array(text.utf8))
            #expect(encryption.usesBucketKey)
            #expect(try BucketEncryption(parsing: encryption.document) == encryption)
            return
        }
        let fault = #expect(throws: DocumentFault.self) {
            try BucketEncryption(parsing: Array(text.utf8))
        }
        #expect(fault?.code == code)
    }

    // MARK: Dates

    @Test(arguments: [
        ("2026-01-05", 1_767_571_200_000 as Int64?), ("2026-01-05T00:00:00Z", 1_767_571_200_000),
        ("2026-01-05T01:00:00+01:00", 1_767_571_200_000),
        ("2026-01-04T19:00:00-0500", 1_767_571_200_000),
        ("2026-01-05T00:00:00.5Z", 1_767_571_200_500),
        ("2026-01-05T00:00:00.123456789Z", 1_767_571_200_123), ("2026-13-05", nil),
        ("2026-02-30", nil), ("20260105", nil), ("2026-01-05T00:00:00ZZ", nil),
        ("2026-01-05T25:00:00Z", nil), ("2026-01-05T00:00:00.Z", nil), ("", nil),
        ("2026-01-05T00:00:00+1", nil),
    ])
    func datesOfISO8601AreRead(text: String, milliseconds: Int64?) {
        #expect(WallTime(iso8601: text)?.milliseconds == milliseconds)
    }
}
