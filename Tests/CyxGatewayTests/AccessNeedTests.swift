import CyxCore
import CyxHTTP
import CyxS3
import Testing

@testable import CyxGateway

@Suite struct AccessNeedTests {
    private static func needs(
        _ method: String, _ target: String, _ headers: [(String, String)] = []
    ) throws -> [AccessNeed]? {
        let http = HTTPRequest(
            method: method, target: target, headers: HTTPHeaders(headers),
            received: Instant(nanoseconds: 0))
        let request = try S3Request(http, hostSuffix: nil)
        return try S3Operation(request).needs(of: request)
    }

    @Test(arguments: [
        ("GET", "/b?list-type=2", "ListBucket", ACLPermission.read as ACLPermission?),
        ("HEAD", "/b", "ListBucket", .read), ("DELETE", "/b", "DeleteBucket", nil),
        ("GET", "/b?uploads", "ListBucketMultipartUploads", .read),
        ("GET", "/b?acl", "GetBucketAcl", .readACL), ("PUT", "/b?acl", "PutBucketAcl", .writeACL),
        ("PUT", "/b?policy", "PutBucketPolicy", nil),
        ("DELETE", "/b?publicAccessBlock", "PutBucketPublicAccessBlock", nil),
        ("PUT", "/b?ownershipControls", "PutBucketOwnershipControls", nil),
        ("DELETE", "/b?cors", "PutBucketCORS", nil), ("GET", "/b?cors", "GetBucketCORS", nil),
        ("PUT", "/b?lifecycle", "PutLifecycleConfiguration", nil),
        ("GET", "/b?encryption", "GetEncryptionConfiguration", nil),
        ("PUT", "/b?object-lock", "PutBucketObjectLockConfiguration", nil),
        ("GET", "/b/k", "GetObject", .read), ("HEAD", "/b/k", "GetObject", .read),
        ("PUT", "/b/k", "PutObject", .write),
        ("DELETE", "/b/k", "DeleteObject", .write),
        ("DELETE", "/b/k?uploadId=1", "AbortMultipartUpload", .write),
        ("GET", "/b/k?uploadId=1", "ListMultipartUploadParts", .write),
        ("PUT", "/b/k?uploadId=1&partNumber=1", "PutObject", .write),
        ("POST", "/b/k?uploads", "PutObject", .write),
        ("GET", "/b/k?acl", "GetObjectAcl", .readACL),
        ("PUT", "/b/k?acl", "PutObjectAcl", .writeACL),
        ("GET", "/b/k?acl&versionId=null", "GetObjectVersionAcl", .readACL),
        ("PUT", "/b/k?tagging", "PutObjectTagging", nil),
        ("DELETE", "/b/k?tagging&versionId=null", "DeleteObjectVersionTagging", nil),
        ("PUT", "/b/k?retention", "PutObjectRetention", nil),
        ("GET", "/b/k?legal-hold", "GetObjectLegalHold", nil),
    ])
    func eachOperationNeedsItsAction(
        method: String, target: String, action: String, permission: ACLPermission?
    ) throws {
        let needs = try #require(try Self.needs(method, target))
        #expect(needs.map(\.action) == [action])
        #expect(needs.first?.permission == permission)
        #expect(needs.first?.subject == (target.hasPrefix("/b/") ? .object : .bucket))
    }

    @Test func whatAWriterSaysBesideTheBytesIsNeededAsWell() throws {
        let headers = [
            ("x-amz-grant-read", "id=x"), ("x-amz-tagging", "a=b"),
            ("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-legal-hold", "ON"),
        ]
        let actions = try Self.needs("PUT", "/b/k", headers)?.map(\.action)
        #expect(
            actions == [
                "PutObject", "PutObjectAcl", "PutObjectTagging", "PutObjectRetention",
                "PutObjectLegalHold",
            ])
    }

    /// "GetObjectAttributes" of S3's reference: reading the object does not suffice.
    @Test func attributesNeedTwoActions() throws {
        let needs = try #require(try Self.needs("GET", "/b/k?attributes"))
        #expect(needs == [.object("GetObject", .read), .object("GetObjectAttributes", .read)])
        let versioned = try #require(try Self.needs("GET", "/b/k?attributes&versionId=null"))
        #expect(versioned.map(\.action) == ["GetObjectVersion", "GetObjectVersionAttributes"])
    }

    @Test func pinsAreForTheOwnerAlone() throws {
        #expect(try Self.needs("POST", "/b/k?cyx-pin") == nil)
        #expect(try Self.needs("GET", "/") == [])
    }
}
