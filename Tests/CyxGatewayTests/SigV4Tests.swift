import CyxCore
import CyxHTTP
import CyxS3
import Testing

@testable import CyxGateway

/// The published examples of "Authenticating Requests (AWS Signature Version 4)", S3 API reference.
@Suite struct SigV4Tests {
    static let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    static let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    static func request(
        _ method: String, _ target: String, signedHeaders: String, signature: String,
        _ headers: [(String, String)], host: String = "examplebucket.s3.amazonaws.com"
    ) -> HTTPRequest {
        let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
        var all = HTTPHeaders([("Host", host), ("x-amz-date", "20130524T000000Z")] + headers)
        all.add(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=\(credential),SignedHeaders=\(signedHeaders),"
                + "Signature=\(signature)")
        return HTTPRequest(
            method: method, target: target, headers: all, received: Instant(nanoseconds: 0))
    }

    private func check(_ request: HTTPRequest, secret: String = secret) throws {
        let query = try S3Query(target: request.target)
        let claim = try version4(request, query)
        try claim.check(request, query, signingKey: claim.scope.key(secret: secret))
    }

    /// The claim of a request that is signed with version 4.
    private func version4(_ request: HTTPRequest, _ query: S3Query) throws -> SigV4Claim {
        guard case .version4(let claim) = try RequestClaim(request, query) else {
            throw S3Error.accessDenied("it is signed in another way")
        }
        return claim
    }

    static let examples: [HTTPRequest] = [
        request(
            "GET", "/test.txt", signedHeaders: "host;range;x-amz-content-sha256;x-amz-date",
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            [("Range", "bytes=0-9"), ("x-amz-content-sha256", emptyHash)]),
        request(
            "PUT", "/test$file.text",
            signedHeaders: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            [
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                (
                    "x-amz-content-sha256",
                    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
                ),
            ]),
        request(
            "GET", "/?lifecycle", signedHeaders: "host;x-amz-content-sha256;x-amz-date",
            signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            [("x-amz-content-sha256", emptyHash)]),
        request(
            "GET", "/?max-keys=2&prefix=J", signedHeaders: "host;x-amz-content-sha256;x-amz-date",
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            [("x-amz-content-sha256", emptyHash)]),
    ]

    @Test(arguments: 0..<examples.count)
    func publishedExamplesVerify(index: Int) throws {
        try check(SigV4Tests.examples[index])
    }

    @Test(arguments: 0..<examples.count)
    func anotherSecretDoesNotVerify(index: Int) {
        let error = #expect(throws: S3Error.self) {
            try check(SigV4Tests.examples[index], secret: SigV4Tests.secret + "x")
        }
        #expect(error?.code == "SignatureDoesNotMatch")
    }

    @Test func presignedExampleVerifiesWhileItLives() throws {
        let target =
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE"
            + "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
            + "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
            + "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        let request = HTTPRequest(
            method: "GET", target: target,
            headers: HTTPHeaders([("Host", "examplebucket.s3.amazonaws.com")]),
            received: Instant(nanoseconds: 0))
        try check(request)
        let claim = try version4(request, try S3Query(target: target))
        #expect(claim.accessKey == "AKIAIOSFODNN7EXAMPLE")
        let start = claim.time.milliseconds
        try claim.checkTime(WallTime(milliseconds: start + 86_400_000))
        let error = #expect(throws: S3Error.self) {
            try claim.checkTime(WallTime(milliseconds: start + 86_401_000))
        }
        #expect(error?.code == "AccessDenied")
        #expect(throws: S3Error.self) {
            try claim.checkTime(WallTime(milliseconds: start - 16 * 60_000))
        }
    }

    /// A request by a URL that lives for so many seconds.
    private func presigned(seconds: String) -> HTTPRequest {
        HTTPRequest(
            method: "GET",
            target: "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20130524%2Fr%2Fs3%2F"
                + "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=\(seconds)"
                + "&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
            headers: HTTPHeaders([("Host", "h")]), received: Instant(nanoseconds: 0))
    }

    /// S3 takes any number of seconds that is not negative, and of a week at most.
    @Test(
        arguments: [
            ("0", "AccessDenied"), ("-1", "AuthorizationQueryParametersError"),
            ("604800", nil), ("604801", "AuthorizationQueryParametersError"),
            ("1.5", "AuthorizationQueryParametersError"),
        ] as [(String, String?)])
    func presignedURLsLiveForSecondsOfAWeek(_ seconds: String, _ code: String?) throws {
        let request = presigned(seconds: seconds)
        var found: String?
        do {
            let claim = try version4(request, try S3Query(target: request.target))
            try claim.checkTime(claim.time)
        } catch let error as S3Error {
            found = error.code
        }
        #expect(found == code)
    }

    @Test(arguments: ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
    func presignedParametersAreGivenOnce(_ name: String) throws {
        let request = presigned(seconds: "60")
        _ = try version4(request, try S3Query(target: request.target))
        let error = #expect(throws: S3Error.self) {
            try version4(request, try S3Query(target: request.target + "&X-Amz-\(name)=1"))
        }
        #expect(error?.code == "AuthorizationQueryParametersError")
    }

    @Test func aRequestIsAuthorizedOnce() throws {
        var request = SigV4Tests.examples[0]
        _ = try version4(request, try S3Query(target: request.target))
        let first = try #require(request.headers["authorization"])
        request.headers.add("Authorization", first)
        let error = #expect(throws: S3Error.self) {
            try version4(request, try S3Query(target: request.target))
        }
        #expect(error?.code == "InvalidArgument")
    }

    @Test func clockMayDifferByFifteenMinutes() throws {
        let request = SigV4Tests.examples[0]
        let claim = try version4(request, try S3Query(target: request.target))
        let limit: Int64 = 15 * 60_000
        for offset in [-limit, 0, limit] {
            try claim.checkTime(WallTime(milliseconds: claim.time.milliseconds + offset))
        }
        for offset in [-limit - 1, limit + 1] {
            let error = #expect(throws: S3Error.self) {
                try claim.checkTime(WallTime(milliseconds: claim.time.milliseconds + offset))
            }
            #expect(error?.code == "RequestTimeTooSkewed")
        }
    }

    @Test func everyChangedByteOfTheHeadIsNoticed() throws {
        let original = SigV4Tests.examples[3]
        let target = Array(original.target.utf8)
        for index in target.indices.dropFirst(2) {
            var changed = original
            var bytes = target
            bytes[index] ^= 1
            changed.target = String(decoding: bytes, as: UTF8.self)
            #expect(throws: S3Error.self) { try check(changed) }
        }
        var added = original
        added.headers.add("x-amz-meta-extra", "1")
        #expect(throws: S3Error.self) { try check(added) }
    }

    @Test func randomAuthorizationsNeverTrap() throws {
        var random = SeededGenerator(seed: 7)
        let original = Array((SigV4Tests.examples[0].headers["authorization"] ?? "").utf8)
        for _ in 0..<2000 {
            var bytes = original
            for _ in 0..<3 {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            var request = SigV4Tests.examples[0]
            request.headers.set("authorization", String(decoding: bytes, as: UTF8.self))
            do {
                try check(request)
            } catch {
                #expect(error is S3Error)
            }
        }
    }
}
