import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct S3ErrorTests {
    /// "They leave when": a 503 that does not say when to come again.
    @Test func everyUnavailabilitySaysWhenToTryAgain() {
        for error in [
            S3Error("ServiceUnavailable", 503, "a"), S3Error("SlowDown", 503, "a"),
            S3Error(ObjectError.unavailable("a")),
        ] {
            let response = error.response(resource: "/", requestID: "1", hostID: "h", isHead: false)
            #expect(response.headers["retry-after"] == "2")
        }
        let later = S3Error("SlowDown", 503, "a", retryAfter: 9)
        let response = later.response(resource: "/", requestID: "1", hostID: "h", isHead: true)
        #expect(response.headers["retry-after"] == "9")
        let other = S3Error.noSuchKey.response(
            resource: "/", requestID: "1", hostID: "h", isHead: false)
        #expect(other.headers["retry-after"] == nil)
    }

    private static func told(
        _ error: S3Error, _ method: String, _ target: String, range: String? = nil
    ) throws -> [String: String] {
        var headers = HTTPHeaders([("host", "localhost")])
        if let range { headers.add("range", range) }
        let request = HTTPRequest(
            method: method, target: target, headers: headers, received: Instant(nanoseconds: 0))
        return error.about(request, hostSuffix: nil).details
    }

    @Test func errorsSayWhatTheyAreAbout() throws {
        let version = String(repeating: "0", count: 32)
        let cases: [(S3Error, String, String, [String: String])] = [
            (S3Error(.noSuchBucket), "GET", "/b/k", ["BucketName": "b"]),
            (S3Error(.bucketNotEmpty), "DELETE", "/b", ["BucketName": "b"]),
            (.noSuchKey, "GET", "/b/k%20k", ["Key": "k k"]),
            (
                S3Error(.noSuchVersion), "GET", "/b/k?versionId=\(version)",
                ["Key": "k", "VersionId": version]
            ),
            (S3Error(.noSuchUpload), "DELETE", "/b/k?uploadId=u", ["UploadId": "u"]),
            (
                .methodNotAllowed("POST"), "POST", "/b/k",
                ["Method": "POST", "ResourceType": "OBJECT"]
            ),
            (
                .methodNotAllowed("POST"), "POST", "/b",
                ["Method": "POST", "ResourceType": "BUCKET"]
            ),
            (.methodNotAllowed("PUT"), "PUT", "/", ["Method": "PUT", "ResourceType": "SERVICE"]),
            (
                .methodNotAllowed("PUT"), "PUT", "/b/k?uploadId=u",
                ["Method": "PUT", "ResourceType": "UPLOAD"]
            ),
            (.unknown(accessKey: "a"), "GET", "/", ["AWSAccessKeyId": "a"]),
            (.denied, "GET", "/b/k", [:]), (.noSuchKey, "GET", "/b/%zz", [:]),
        ]
        for (error, method, target, expected) in cases {
            #expect(try Self.told(error, method, target) == expected)
        }
        let range = try Self.told(S3Error(.invalidRange(size: 3)), "GET", "/b/k", range: "bytes=9-")
        #expect(range == ["ActualObjectSize": "3", "RangeRequested": "bytes=9-"])
    }

    @Test func detailsAreElementsOfTheAnswer() throws {
        var error = S3Error.denied
        error.details = ["B": "<2>", "A": "1"]
        let response = error.response(resource: "/", requestID: "1", hostID: "h", isHead: false)
        guard case .bytes(let bytes) = response.body else {
            Issue.record("no document")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("<A>1</A><B>&lt;2&gt;</B>"))
        #expect(text.contains("<HostId>h</HostId>"))
    }

    @Test func unknownHeadersThatWouldCountAreRefused() throws {
        for (name, value, code) in [
            ("x-amz-write-offset-bytes", "0", "NotImplemented"),
            ("x-amz-if-match-initiated-time", "x", "NotImplemented"),
            ("x-amz-object-lock-event-hold", "ON", "NotImplemented"),
            ("x-amz-bucket-namespace", "account-regional", "NotImplemented"),
            ("x-amz-checksum-xxhash3", "AAAA", "NotImplemented"),
            ("x-amz-checksum-other", "AAAA", "InvalidRequest"),
        ] {
            let error = #expect(throws: S3Error.self, "\(name)") {
                try S3Headers.refuseUnknown(HTTPHeaders([(name, value)]))
            }
            #expect(error?.code == code)
        }
        try S3Headers.refuseUnknown(
            HTTPHeaders([
                ("x-amz-bucket-namespace", "global"), ("x-amz-checksum-crc32", "AAAAAA=="),
                ("x-amz-checksum-mode", "ENABLED"), ("x-amz-checksum-type", "COMPOSITE"),
                ("x-amz-checksum-algorithm", "CRC32"), ("x-amz-meta-checksum-other", "1"),
            ]))
    }

    @Test func whatIsNoRequestIsAnsweredInS3sWords() {
        for (refusal, code, status) in [
            (HTTPRefusal.malformed, "BadRequest", 400),
            (.headTooLarge, "RequestHeaderSectionTooLarge", 400),
            (.bodyTooLarge, "EntityTooLarge", 400),
            (.unknownVersion, "HttpVersionNotSupported", 505),
            (.unknownCoding, "NotImplemented", 501),
        ] {
            let error = S3Error(refusal)
            #expect(error.code == code)
            #expect(error.status == status)
        }
    }
}
