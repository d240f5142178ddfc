import CyxCore
import CyxS3
import Testing

@Suite struct LifecycleTests {
    private static func parse(_ rules: String) throws -> LifecycleConfiguration {
        let text = "<LifecycleConfiguration>\(rules)</LifecycleConfiguration>"
        return try LifecycleConfiguration(parsing: Array(text.utf8))
    }

    private static func rule(
        _ inner: String, filter: String = "<Filter/>", status: String = "Enabled", id: String = ""
    ) -> String {
        "<Rule>\(id.isEmpty ? "" : "<ID>\(id)</ID>")\(filter)<Status>\(status)</Status>\(inner)</Rule>"
    }

    private static let tenDays = "<Expiration><Days>10</Days></Expiration>"

    private static func time(_ text: String) throws -> WallTime {
        try #require(WallTime(iso8601: text))
    }

    private static func subject(
        _ key: String = "a/b", size: UInt64 = 100, tags: [TagSet.Tag] = [],
        at text: String = "2026-01-15T10:30:00Z"
    ) throws -> LifecycleConfiguration.Subject {
        LifecycleConfiguration.Subject(
            key: key, size: size, tags: tags, modified: try time(text))
    }

    // MARK: Documents

    @Test func rulesWithoutNamesGetSomeThatAreFree() throws {
        let unnamed = Self.rule(Self.tenDays)
        let named = Self.rule(Self.tenDays, id: "rule-1")
        let names = try Self.parse(unnamed + named + unnamed).rules.map(\.id)
        #expect(names == ["rule-2", "rule-1", "rule-3"])
    }

    @Test(arguments: [
        ("", "MalformedXML"), ("<Other/>", "MalformedXML"),
        (rule(tenDays, filter: ""), "MalformedXML"),
        (rule(tenDays, filter: "<Filter/><Prefix/>"), "MalformedXML"),
        (
            rule(
                tenDays,
                filter: "<Filter><Prefix/><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"),
            "MalformedXML"
        ),
        (rule(tenDays, status: "enabled"), "MalformedXML"), (rule(""), "InvalidRequest"),
        (rule(tenDays, id: String(repeating: "x", count: 256)), "InvalidArgument"),
        (rule(tenDays, id: "a") + rule(tenDays, id: "a"), "InvalidArgument"),
        (rule("<Expiration><Days>0</Days></Expiration>"), "InvalidArgument"),
        (rule("<Expiration><Days>-1</Days></Expiration>"), "InvalidArgument"),
        (rule("<Expiration><Days>x</Days></Expiration>"), "MalformedXML"),
        (rule("<Expiration/>"), "MalformedXML"),
        (rule("<Expiration><Date>20200101</Date></Expiration>"), "MalformedXML"),
        (rule("<Expiration><Date>2026-01-01T01:00:00Z</Date></Expiration>"), "InvalidArgument"),
        (rule("<Expiration><Days>1</Days><Date>2026-01-01</Date></Expiration>"), "MalformedXML"),
        (rule("<NoncurrentVersionExpiration/>"), "MalformedXML"),
        (
            rule(
                "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                    + "<NewerNoncurrentVersions>101</NewerNoncurrentVersions>"
                    + "</NoncurrentVersionExpiration>"), "InvalidArgument"
        ),
        (
            rule(
                "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
                filter: "<Filter><Tag><Key>a</Key><Value/></Tag></Filter>"), "InvalidRequest"
        ),
        (
            rule(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                    + "</AbortIncompleteMultipartUpload>",
                filter: "<Filter><Tag><Key>a</Key><Value/></Tag></Filter>"), "InvalidRequest"
        ),
        (
            rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
            "InvalidStorageClass"
        ),
    ])
    func whatS3RefusesIsRefusedWithItsCode(rules: String, code: String) {
        let fault = #expect(throws: DocumentFault.self) { try Self.parse(rules) }
        #expect(fault?.code == code)
    }

    @Test func documentsReadBackAsTheyWere() throws {
        let rules = [
            Self.rule(Self.tenDays, filter: "<Prefix>a/</Prefix>", id: "bare"),
            Self.rule(
                "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>",
                filter: "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>",
                status: "Disabled"),
            Self.rule(
                "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
                    + "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
                    + "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"
                    + "</NoncurrentVersionExpiration>"
                    + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
                    + "</AbortIncompleteMultipartUpload>"),
            Self.rule(
                Self.tenDays,
                filter: "<Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
                    + "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
                    + "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"),
        ]
        let parsed = try Self.parse(rules.joined())
        #expect(parsed.rules.count == 4)
        #expect(try LifecycleConfiguration(parsing: parsed.document) == parsed)
        #expect(parsed.rules.map(\.id) == ["bare", "rule-2", "rule-3", "rule-4"])
    }

    // MARK: When

    @Test func daysEndAtTheNextMidnight() throws {
        let lifecycle = try Self.parse(Self.rule(Self.tenDays, id: "ten &amp; more"))
        let found = try #require(lifecycle.expiration(of: try Self.subject()))
        #expect(found.time == (try Self.time("2026-01-26T00:00:00Z")))
        #expect(
            LifecycleConfiguration.header(found)
                == "expiry-date=\"Mon, 26 Jan 2026 00:00:00 GMT\", rule-id=\"ten%20%26%20more\"")
    }

    @Test func theEarliestRuleThatAppliesCounts() throws {
        let lifecycle = try Self.parse(
            Self.rule(Self.tenDays, id: "late")
                + Self.rule(
                    "<Expiration><Days>1</Days></Expiration>",
                    filter: "<Filter><Prefix>a/</Prefix></Filter>", id: "soon")
                + Self.rule(
                    "<Expiration><Date>2026-01-16</Date></Expiration>", status: "Disabled",
                    id: "off"))
        #expect(lifecycle.expiration(of: try Self.subject("a/b"))?.rule.id == "soon")
        #expect(lifecycle.expiration(of: try Self.subject("b"))?.rule.id == "late")
    }

    @Test func filtersLookAtTagsAndSizes() throws {
        let lifecycle = try Self.parse(
            Self.rule(
                Self.tenDays,
                filter: "<Filter><And><Tag><Key>k</Key><Value>v</Value></Tag>"
                    + "<ObjectSizeGreaterThan>100</ObjectSizeGreaterThan>"
                    + "<ObjectSizeLessThan>200</ObjectSizeLessThan></And></Filter>"))
        let tags = [TagSet.Tag(key: "k", value: "v")]
        for (size, tags, applies) in [
            (UInt64(101), tags, true), (100, tags, false), (200, tags, false), (101, [], false),
            (101, [TagSet.Tag(key: "k", value: "w")], false),
        ] {
            let subject = try Self.subject(size: size, tags: tags)
            #expect((lifecycle.expiration(of: subject) != nil) == applies)
        }
    }

    @Test func noncurrentVersionsStayWhileTheyAreAmongTheNewest() throws {
        let lifecycle = try Self.parse(
            Self.rule(
                "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
                    + "<NewerNoncurrentVersions>3</NewerNoncurrentVersions>"
                    + "</NoncurrentVersionExpiration>"))
        let since = try Self.time("2026-01-15T10:30:00Z")
        let subject = try Self.subject()
        #expect(lifecycle.noncurrentExpiration(of: subject, since: since, newer: 2) == nil)
        #expect(
            lifecycle.noncurrentExpiration(of: subject, since: since, newer: 3)
                == (try Self.time("2026-01-18T00:00:00Z")))
        #expect(lifecycle.expiration(of: subject) == nil)
    }

    @Test func unfinishedUploadsAndLonelyMarkersGo() throws {
        let lifecycle = try Self.parse(
            Self.rule(
                "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
                    + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                    + "</AbortIncompleteMultipartUpload>",
                filter: "<Filter><Prefix>a</Prefix></Filter>"))
        let started = try Self.time("2026-01-15T00:00:00Z")
        #expect(
            lifecycle.abortion(ofUpload: "ab", started: started)?.time
                == (try Self.time("2026-01-16T00:00:00Z")))
        #expect(lifecycle.abortion(ofUpload: "b", started: started) == nil)
        #expect(lifecycle.removesLonelyDeleteMarker(of: "ab"))
        #expect(!lifecycle.removesLonelyDeleteMarker(of: "b"))
    }
}
