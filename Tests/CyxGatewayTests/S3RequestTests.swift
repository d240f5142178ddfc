import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct S3RequestTests {
    private func request(
        _ target: String, method: String = "GET", host: String = "localhost:9000",
        suffix: String? = nil
    ) throws -> S3Request {
        try S3Request(
            HTTPRequest(
                method: method, target: target, headers: HTTPHeaders([("host", host)]),
                received: Instant(nanoseconds: 0)),
            hostSuffix: suffix)
    }

    @Test func keysAreDecodedOnceAndNeverNormalised() throws {
        let keys = [
            ("/b/a%2Fb", "a/b"), ("/b//a/../c", "/a/../c"), ("/b/%2541", "%41"), ("/b/a+b", "a+b"),
            ("/b/.", "."), ("/b/a%20%C3%BC", "a ü"), ("/b/k?x=1", "k"),
        ]
        for (target, key) in keys {
            let found = try request(target)
            #expect(found.bucket == "b")
            #expect(found.key == key)
        }
        #expect(try request("/b").key == nil)
        #expect(try request("/b/").key == nil)
        #expect(try request("/").bucket == nil)
    }

    /// "Naming Amazon S3 objects": from the left, no more parents than what they are parents of.
    @Test func keysDoNotLeadAboveTheirBucket() throws {
        for key in ["a/../b", "a/..", "a/b/../../c", "./a/..", "a..", "..a", ".../a", "a/../b/.."] {
            #expect(try request("/b/" + key).key == key)
        }
        for key in ["..", "../a", "a/../..", "a/../../b", "./..", "//..", "%2E%2E/a", "..%2Fa"] {
            let error = #expect(throws: S3Error.self, "\(key)") { try request("/b/" + key) }
            #expect(error?.code == "InvalidURI")
            let copied = #expect(throws: S3Error.self) { try S3Gateway.copySource("/b/" + key) }
            #expect(copied?.code == "InvalidURI")
        }
    }

    @Test func brokenTargetsAreRefused() {
        for target in ["/b/%", "/b/%4", "/b/%zz", "/b/%FF", "/b?x=%FF", "b", "*"] {
            #expect(throws: S3Error.self) { try request(target) }
        }
        let error = #expect(throws: S3Error.self) {
            try request("/b/" + String(repeating: "k", count: 1025))
        }
        #expect(error?.code == "KeyTooLongError")
    }

    @Test func virtualHostsNameTheBucket() throws {
        let found = try request(
            "/a/b", host: "photos.s3.example.com:9000", suffix: "s3.example.com")
        #expect(found.bucket == "photos")
        let mixed = try request("/a", host: "Photos.S3.example.com", suffix: "s3.example.com")
        #expect(mixed.bucket == "photos")
        #expect(found.key == "a/b")
        #expect(try request("/a/b", host: "s3.example.com", suffix: "s3.example.com").bucket == "a")
    }

    @Test func bucketNamesAreCheckedWithTheReason() {
        for name in ["abc", "my-photos", "a.b.c", String(repeating: "x", count: 63), "1.2.3.400"] {
            #expect(S3Request.objection(to: name) == nil)
        }
        for name in [
            "", "ab", "My_Photos", "api", "health", "metrics", "console", "-ab", "ab.", "a..b",
            "192.168.0.1", "übel", String(repeating: "x", count: 64), "xn--photos",
            "sthree-photos", "amzn-s3-demo-photos", "photos-s3alias", "photos--ol-s3",
            "photos.mrap", "photos--x-s3", "photos--table-s3",
        ] {
            #expect(S3Request.objection(to: name) != nil)
        }
        #expect(S3Request.objection(to: "My_Photos")?.contains("upper case and has `_`") == true)
    }

    /// Else a method that only a sub-resource has not would be done to the bucket or object.
    @Test(arguments: [
        ("DELETE", "/b?acl"), ("DELETE", "/b?location"), ("DELETE", "/b?uploads"),
        ("PUT", "/b?uploads"), ("DELETE", "/b?delete"), ("GET", "/b?delete"), ("POST", "/b?policy"),
        ("HEAD", "/b?acl"), ("POST", "/b/k?acl"), ("DELETE", "/b/k?uploads"),
        ("PUT", "/b/k?uploadId=u"), ("DELETE", "/b/k?retention"),
    ])
    func methodsThatAResourceHasNotAreNotAllowed(method: String, target: String) throws {
        let found = try request(target, method: method)
        let error = #expect(throws: S3Error.self) { try S3Operation(found) }
        #expect(error?.code == "MethodNotAllowed")
    }

    @Test func operationsAreNamedAsInTheReference() throws {
        let names = [
            ("GET", "/", "ListBuckets"), ("PUT", "/b", "CreateBucket"),
            ("GET", "/b?list-type=2", "ListObjectsV2"), ("GET", "/b?prefix=x", "ListObjects"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("GET", "/b?replication", "GetBucketReplication"),
            ("PUT", "/b/k?tagging", "PutObjectTagging"), ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/k?partNumber=1&uploadId=x", "UploadPart"), ("HEAD", "/b", "HeadBucket"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"),
            ("GET", "/b?versions", "ListObjectVersions"),
            ("POST", "/b/k?cyx-pin&seconds=60", "CreatePin"), ("GET", "/?cyx-pins", "ListPins"),
            ("GET", "/?cyx-pin=1", "GetPin"), ("HEAD", "/?cyx-pin=1", "HeadPin"),
            ("DELETE", "/?cyx-pin=1", "DeletePin"),
            ("GET", "/b?inventory", "ListBucketInventoryConfigurations"),
            ("GET", "/b?inventory&id=x", "GetBucketInventoryConfiguration"),
            ("GET", "/b?session", "CreateSession"),
            ("POST", "/b?metadataConfiguration", "CreateBucketMetadataConfiguration"),
            ("PUT", "/b?abac", "PutBucketAbac"),
            ("PUT", "/b?metadataJournalTable", "UpdateBucketMetadataJournalTableConfiguration"),
            ("GET", "/b/k?annotation", "ListObjectAnnotations"),
            ("PUT", "/b/k?annotation&annotationName=n", "PutObjectAnnotation"),
            ("PUT", "/b/k?renameObject", "RenameObject"),
            ("PUT", "/b/k?encryption", "UpdateObjectEncryption"),
            ("POST", "/b/k?restore", "RestoreObject"),
            ("POST", "/b/k?select&select-type=2", "SelectObjectContent"),
            ("GET", "/?max-directory-buckets=1", "ListDirectoryBuckets"),
            ("POST", "/WriteGetObjectResponse", "WriteGetObjectResponse"),
        ]
        for (method, target, name) in names {
            #expect(try S3Operation(request(target, method: method)).name == name)
        }
        for (method, target) in [
            ("PUT", "/?cyx-pin=1"), ("DELETE", "/?cyx-pins"), ("DELETE", "/b/k?cyx-pin"),
        ] {
            let error = #expect(throws: S3Error.self) {
                try S3Operation(request(target, method: method))
            }
            #expect(error?.code == "MethodNotAllowed")
        }
    }

    @Test func rangesOfOnePartAreRead() {
        #expect(S3Headers.range("bytes=0-9") == .from(0, through: 9))
        #expect(S3Headers.range("bytes=5-") == .from(5, through: nil))
        #expect(S3Headers.range("bytes=-3") == .last(3))
        for text in [
            nil, "bytes=", "bytes=-", "bytes=9-1", "bytes=a-b", "items=0-1", "bytes=0-1,3-4",
        ] {
            #expect(S3Headers.range(text) == .whole)
        }
    }

    @Test func survivedLossesComeFromTheCode() {
        #expect(S3Headers.survivedLosses("rs(10,4)") == 4)
        #expect(S3Headers.survivedLosses("rs(1,0)") == 0)
        #expect(S3Headers.survivedLosses("other") == nil)
    }
}
