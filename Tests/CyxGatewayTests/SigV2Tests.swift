import CyxCore
import CyxHTTP
import Testing

@testable import CyxGateway

/// The published examples of "Signing and authenticating REST requests" (Signature Version 2), and
/// the forms of authorization that are neither version.
@Suite struct SigV2Tests {
    private static let host = "johnsmith.s3.amazonaws.com"
    private static let suffix = "s3.amazonaws.com"

    private static func request(
        _ method: String, _ target: String, date: String, signature: String,
        _ headers: [(String, String)] = []
    ) -> HTTPRequest {
        let fixed = [
            ("Host", host), ("Date", date),
            ("Authorization", "AWS AKIAIOSFODNN7EXAMPLE:" + signature),
        ]
        return HTTPRequest(
            method: method, target: target, headers: HTTPHeaders(fixed + headers),
            received: Instant(nanoseconds: 0))
    }

    private static let examples = [
        request(
            "GET", "/photos/puppy.jpg", date: "Tue, 27 Mar 2007 19:36:42 +0000",
            signature: "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        request(
            "PUT", "/photos/puppy.jpg", date: "Tue, 27 Mar 2007 21:15:45 +0000",
            signature: "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
            [("Content-Type", "image/jpeg"), ("Content-Length", "94328")]),
        request(
            "GET", "/?prefix=photos&max-keys=50&marker=puppy",
            date: "Tue, 27 Mar 2007 19:42:41 +0000", signature: "htDYFYduRNen8P9ZfE/s9SuKy0U="),
        request(
            "GET", "/?acl", date: "Tue, 27 Mar 2007 19:44:46 +0000",
            signature: "c2WLPFtWHVgbEmeEG93a4cG37dM="),
    ]

    /// 27 March 2007, 19:40 UTC.
    private static let now = WallTime(milliseconds: 1_175_024_400_000)

    private func check(
        _ request: HTTPRequest, secret: String = SigV4Tests.secret, now: WallTime
    ) throws {
        let query = try S3Query(target: request.target)
        _ = try RequestClaim(request, query).check(
            request, query, hostSuffix: SigV2Tests.suffix, secret: secret, now)
    }

    @Test(arguments: [0, 2, 3])
    func publishedExamplesVerify(index: Int) throws {
        try check(SigV2Tests.examples[index], now: SigV2Tests.now)
        let error = #expect(throws: S3Error.self) {
            try check(SigV2Tests.examples[index], secret: "another", now: SigV2Tests.now)
        }
        #expect(error?.code == "SignatureDoesNotMatch")
    }

    @Test func theTypeOfTheBodyIsSigned() throws {
        let now = WallTime(milliseconds: SigV2Tests.now.milliseconds + 5_700_000)
        try check(SigV2Tests.examples[1], now: now)
        var changed = SigV2Tests.examples[1]
        changed.headers.set("content-type", "image/png")
        #expect(throws: S3Error.self) { try check(changed, now: now) }
        changed = SigV2Tests.examples[1]
        changed.headers.add("x-amz-acl", "public-read")
        #expect(throws: S3Error.self) { try check(changed, now: now) }
    }

    @Test func oldRequestsAndLinksAreRefused() throws {
        let late = WallTime(milliseconds: SigV2Tests.now.milliseconds + 1_800_000)
        let skewed = #expect(throws: S3Error.self) { try check(SigV2Tests.examples[0], now: late) }
        #expect(skewed?.code == "RequestTimeTooSkewed")
        let end = SigV2Tests.now.milliseconds / 1000
        let link = HTTPRequest(
            method: "GET", target: "/a?AWSAccessKeyId=x&Expires=\(end)&Signature=AAAA",
            headers: HTTPHeaders([("Host", SigV2Tests.host)]), received: Instant(nanoseconds: 0))
        let early = #expect(throws: S3Error.self) { try check(link, now: SigV2Tests.now) }
        #expect(early?.code == "SignatureDoesNotMatch")
        let expired = #expect(throws: S3Error.self) { try check(link, now: late) }
        #expect(expired?.code == "AccessDenied")
    }

    @Test func authorizationsOfNoVersionAreNamed() throws {
        for (text, code) in [
            ("AWS HAHAHA", "InvalidArgument"), ("nonsense", "InvalidArgument"),
            ("Bearer token", "InvalidArgument"), ("", "AccessDenied"),
            ("AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed"),
        ] {
            var request = SigV2Tests.examples[0]
            request.headers.set("authorization", text)
            let error = #expect(throws: S3Error.self) {
                try check(request, now: SigV2Tests.now)
            }
            #expect(error?.code == code)
        }
        var both = SigV2Tests.examples[0]
        both.target += "?AWSAccessKeyId=x&Expires=1&Signature=AAAA"
        let error = #expect(throws: S3Error.self) { try check(both, now: SigV2Tests.now) }
        #expect(error?.code == "InvalidArgument")
    }

    /// RFC 2202 §3, cases 1, 2 and 6.
    @Test func codesAreThoseOfTheRFC() {
        let vectors: [([UInt8], String, String)] = [
            (
                [UInt8](repeating: 0x0b, count: 20), "Hi There",
                "b617318655057264e28bc0b6fb378c8ef146be00"
            ),
            (
                Array("Jefe".utf8), "what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
            ),
            (
                [UInt8](repeating: 0xaa, count: 80),
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112"
            ),
        ]
        for (key, message, code) in vectors {
            #expect(Hex.encode(HMACSHA1.code(key: key, Array(message.utf8))) == code)
        }
    }
}
