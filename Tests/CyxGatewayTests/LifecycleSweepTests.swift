import CyxCore
import CyxObjects
import CyxS3
import Testing

@testable import CyxGateway

@Suite struct LifecycleSweepTests {
    private static let day: Int64 = 86_400_000

    private static func version(
        _ key: String, _ id: String?, day: Int64, isLatest: Bool = false, isMarker: Bool = false
    ) -> ListedVersion {
        var info = ObjectInfo(
            key: key, size: 1, etag: "e", modified: WallTime(milliseconds: day * Self.day),
            headers: [:], checksums: [:], cid: "", redundancy: "")
        info.versionID = id
        info.isDeleteMarker = isMarker
        return ListedVersion(info: info, isLatest: isLatest)
    }

    private static func swept(
        _ actions: String, today: Int64, _ versions: [ListedVersion]
    ) throws -> [String] {
        let text =
            "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status>\(actions)</Rule>"
            + "</LifecycleConfiguration>"
        let lifecycle = try LifecycleConfiguration(parsing: Array(text.utf8))
        var sweep = LifecycleSweep(lifecycle, now: WallTime(milliseconds: today * day))
        let deletions = versions.flatMap { sweep.take($0) } + sweep.finish()
        return deletions.map { "\($0.what) \($0.key) \($0.version ?? "-")" }
    }

    private static let expiration = "<Expiration><Days>10</Days></Expiration>"
    private static let markers =
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"

    private static func noncurrent(_ kept: Int) -> String {
        "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
            + (kept > 0 ? "<NewerNoncurrentVersions>\(kept)</NewerNoncurrentVersions>" : "")
            + "</NoncurrentVersionExpiration>"
    }

    @Test func currentObjectsGoWhenTheirDaysAreOver() throws {
        let versions = [
            Self.version("a", nil, day: 100, isLatest: true),
            Self.version("b", nil, day: 101, isLatest: true),
        ]
        #expect(try Self.swept(Self.expiration, today: 109, versions) == [])
        #expect(try Self.swept(Self.expiration, today: 110, versions) == ["object a -"])
    }

    @Test func noncurrentVersionsCountFromWhenTheyWereReplaced() throws {
        let versions = [
            Self.version("a", "4", day: 103, isLatest: true), Self.version("a", "3", day: 102),
            Self.version("a", "2", day: 101), Self.version("a", "1", day: 1),
            Self.version("b", "1", day: 1, isLatest: true),
        ]
        #expect(try Self.swept(Self.noncurrent(0), today: 104, versions) == ["version a 1"])
        #expect(
            try Self.swept(Self.noncurrent(0), today: 106, versions)
                == ["version a 3", "version a 2", "version a 1"])
        #expect(
            try Self.swept(Self.noncurrent(2), today: 106, versions) == ["version a 1"])
    }

    @Test func markersGoWhenNothingIsUnderThem() throws {
        let versions = [
            Self.version("a", "2", day: 2, isLatest: true, isMarker: true),
            Self.version("a", "1", day: 1),
            Self.version("b", "1", day: 2, isLatest: true, isMarker: true),
            Self.version("c", "1", day: 2, isLatest: true, isMarker: true),
        ]
        #expect(try Self.swept(Self.markers, today: 3, versions) == ["marker b 1", "marker c 1"])
        #expect(
            try Self.swept(Self.expiration, today: 20, versions) == ["marker b 1", "marker c 1"])
        #expect(try Self.swept(Self.noncurrent(0), today: 3, versions) == [])
    }

    @Test func aPassDeletesWhatIsDueAndNothingElse() async throws {
        let rule =
            "<LifecycleConfiguration><Rule><Filter><Prefix>old</Prefix></Filter>"
            + "<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
            + "<Rule><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload>"
            + "<DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
            + "</LifecycleConfiguration>"
        try await GatewayHarness.run { harness in
            let objects = harness.objects
            var settings = BucketSettings()
            settings.documents[DocumentName.lifecycle] = Array(rule.utf8)
            _ = try await objects.createBucket("life", settings: settings)
            for key in ["old", "new"] {
                _ = try await objects.put(
                    key, in: "life", options: PutOptions(),
                    body: PiecewiseBytes([1], pieceBytes: 1))
            }
            _ = try await objects.createUpload("part", in: "life", options: PutOptions())
            var accounts = S3Accounts()
            accounts["demo"] = S3Accounts.Account(name: "demo", secret: "s", service: objects)
            let slow = LifecycleRunner(environment: harness.environment, accounts: accounts)
            try await slow.pass(over: objects)
            #expect(try await objects.list("life", ListRequest()).objects.count == 2)
            // A day of a millisecond: what was written before this one is due.
            try await harness.environment.sleep(for: .milliseconds(5))
            let fast = LifecycleRunner(
                environment: harness.environment, accounts: accounts, day: .milliseconds(1))
            try await fast.pass(over: objects)
            #expect(try await objects.list("life", ListRequest()).objects.map(\.key) == ["new"])
            #expect(try await objects.uploads(in: "life").isEmpty)
        }
    }
}
