import CyxClient
import CyxCore
import Testing

/// AWS's published examples: the S3 documentation ("Authenticating Requests: Using the Authorization
/// Header") and the Signature V4 test suite (get-vanilla and its like).
@Suite struct SignatureV4Tests {
    private static let emptyHash =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    private func s3Signature(_ request: SignatureV4.Request) -> String {
        let signer = SignatureV4(
            credentials: Credentials(
                accessKey: "AKIAIOSFODNN7EXAMPLE",
                secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1")
        var request = request
        request.headers += [
            ("host", "examplebucket.s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", request.payloadHash),
        ]
        return signer.authorization(for: request, at: WallTime(milliseconds: 1_369_353_600_000))
    }

    @Test func objectWithARange() {
        let request = SignatureV4.Request(
            method: "GET", path: "/test.txt", query: [], headers: [("range", "bytes=0-9")],
            payloadHash: Self.emptyHash)
        #expect(
            s3Signature(request)
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                + "aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test func objectWithABody() {
        let request = SignatureV4.Request(
            method: "PUT", path: "/test%24file.text", query: [],
            headers: [
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payloadHash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
        #expect(
            s3Signature(request).hasSuffix(
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
    }

    @Test(arguments: [
        (
            [("lifecycle", "")],
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        ),
        (
            [("prefix", "J"), ("max-keys", "2")],
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        ),
    ])
    func bucketWithAQuery(query: [(String, String)], signature: String) {
        let request = SignatureV4.Request(
            method: "GET", path: "/", query: query.map { (name: $0.0, value: $0.1) }, headers: [],
            payloadHash: Self.emptyHash)
        #expect(s3Signature(request).hasSuffix(signature))
    }

    @Test(arguments: [
        ("GET", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", [], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET", [("Param2", "value2"), ("Param1", "value1")],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        ),
    ])
    func suiteOfTheService(method: String, query: [(String, String)], signature: String) {
        let signer = SignatureV4(
            credentials: Credentials(
                accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1", service: "service")
        let request = SignatureV4.Request(
            method: method, path: "/", query: query.map { (name: $0.0, value: $0.1) },
            headers: [("x-amz-date", "20150830T123600Z"), ("host", "example.amazonaws.com")],
            payloadHash: Self.emptyHash)
        let time = WallTime(milliseconds: 1_440_938_160_000)
        #expect(signer.authorization(for: request, at: time).hasSuffix("Signature=" + signature))
    }

    @Test func endpointsAreHostsOnly() {
        #expect(Endpoint("http://127.0.0.1:9000/")?.host == "127.0.0.1:9000")
        #expect(Endpoint("localhost:9000")?.url == "http://localhost:9000")
        #expect(Endpoint("https://s3.example:443")?.host == "s3.example")
        #expect(Endpoint("http://a/b") == nil)
        #expect(Endpoint("ftp://a") == nil)
        #expect(Endpoint("") == nil)
        // Nothing is left once the default port is gone, or the host has two ports.
        #expect(Endpoint("http://:80") == nil)
        #expect(Endpoint("h:80:80") == nil)
        #expect(Endpoint("http://[::1]:9000")?.host == "[::1]:9000")
    }
}
