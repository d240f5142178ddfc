import CyxCore
import CyxCrypto
import CyxHTTP
import CyxS3

@testable import CyxGateway

/// What an S3 client sends: heads of requests with their signatures, framed bodies, documents.
let s3Targets: [FuzzTarget] = [
    FuzzTarget(
        name: "xml", bytesMax: 4096,
        seeds: {
            [
                utf8(
                    "<?xml version=\"1.0\"?><Delete><!-- c --><Quiet>true</Quiet>"
                        + "<Object><Key>a&amp;b&#65;</Key></Object></Delete>"),
                utf8(
                    "<CompleteMultipartUpload xmlns=\"x\"><Part><PartNumber>1</PartNumber>"
                        + "<ETag>&quot;e&quot;</ETag></Part></CompleteMultipartUpload>"),
                utf8("<a><![CDATA[<b>]]></a>"),
            ]
        },
        decode: { bytes in
            let root = try taken(XMLError.self) { try XMLReader.parse(bytes) }
            let other = try taken(S3Error.self) { try S3Gateway.parse(bytes) }
            try BrokenProperty.check(root == other, "two readings")
            guard let root else { return false }
            try BrokenProperty.check(
                weight(root) <= bytes.count, "a document larger than its text")
            return true
        }),
    FuzzTarget(
        name: "s3-request", bytesMax: 4096,
        seeds: {
            [
                head("GET /bucket/a%2Fb?versionId=null&x=1+2", ["Range: bytes=0-9"]),
                head(
                    "PUT /bucket/key",
                    [
                        "Content-Length: 5", "x-amz-meta-a: b", "If-None-Match: *",
                        "x-amz-content-sha256: " + String(repeating: "0a", count: 32),
                        "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==", "x-amz-checksum-crc32: AAAAAA==",
                        authorization,
                    ]),
                head(
                    "PUT /b/k",
                    [
                        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                        "x-amz-decoded-content-length: 3", "x-amz-trailer: x-amz-checksum-sha256",
                        "content-encoding: aws-chunked,gzip", authorization,
                    ]),
                head(
                    "GET /b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20130524%2F"
                        + "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&"
                        + "X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=00", []),
                head(
                    "PUT /b/k?acl&response-content-type=a",
                    [
                        "Authorization: AWS AKIA:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
                        "Date: Fri, 24 May 2013 00:00:00 +0000",
                        "x-amz-sdk-checksum-algorithm: SHA1",
                    ]),
                head("GET /b/k?AWSAccessKeyId=AKIA&Expires=1369353700&Signature=AA%3D%3D", []),
            ]
        },
        decode: { bytes in
            guard let request = httpRequest(bytes) else { return false }
            return try checkRequest(request)
        }),
    FuzzTarget(
        name: "aws-chunked", bytesMax: 4096,
        seeds: {
            [
                [0, 0, 5] + utf8("5\r\nhello\r\n0\r\n\r\n"),
                [1, 0, 3] + utf8("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"),
                [2, 0, 1] + signedChunks("a"),
            ]
        },
        decode: { bytes in
            guard bytes.count >= 3 else { return false }
            let whole = try decodeChunked(bytes, step: bytes.count)
            let single = try decodeChunked(bytes, step: 1)
            try BrokenProperty.check(whole == single, "it matters where the body was cut")
            let odd = try decodeChunked(bytes, step: 7)
            try BrokenProperty.check(whole == odd, "it matters where the body was cut")
            try BrokenProperty.check(whole?.count ?? 0 <= bytes.count, "more than was sent")
            return whole != nil
        }),
    FuzzTarget(
        name: "s3-form", bytesMax: 4096,
        seeds: {
            [
                formSeed([("key", "user/${filename}"), ("Policy", "e30="), ("signature", "AAAA")]),
                formSeed([
                    ("key", "k"), ("policy", "e30="), ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
                    ("x-amz-credential", "A/20130524/us-east-1/s3/aws4_request"),
                    ("x-amz-date", "20130524T000000Z"), ("x-amz-signature", "00"),
                ]),
            ]
        },
        decode: { bytes in
            let whole = try readForm(bytes, step: bytes.count)
            let single = try readForm(bytes, step: 1)
            try BrokenProperty.check(whole?.file == single?.file, "it matters where it was cut")
            let names = whole?.reader.fields.map(\.name)
            try BrokenProperty.check(
                names == single?.reader.fields.map(\.name), "it matters where it was cut")
            guard let whole else { return false }
            try BrokenProperty.check(whole.file.count <= bytes.count, "more than was sent")
            let http = HTTPRequest(
                method: "POST", target: "/b", headers: HTTPHeaders([("host", "h")]),
                received: Instant(nanoseconds: 0))
            let form = try taken(S3Error.self) { try PostedForm(whole.reader, http) }
            guard let form else { return false }
            let signer = try taken(S3Error.self) { try form.signer { _ in "secret" } }
            try BrokenProperty.check(signer == nil || signer == .some(nil), "a forged signature")
            return true
        }),
    FuzzTarget(
        name: "s3-form-policy", bytesMax: 4096,
        seeds: {
            [
                utf8(
                    "{\"expiration\":\"2030-01-01T00:00:00Z\",\"conditions\":[{\"bucket\":\"b\"},"
                        + "[\"starts-with\",\"$key\",\"u/\"],[\"content-length-range\",1,9]]}"),
                utf8(
                    "{\"expiration\":\"2030-01-01T00:00:00Z\","
                        + "\"conditions\":[[\"eq\",\"$acl\",\"x\"]]}"),
            ]
        },
        decode: { bytes in
            let policy = try taken(S3Error.self) { try FormPolicy(Base64.encode(bytes)) }
            guard let policy else { return false }
            let now = WallTime(milliseconds: 1_369_353_600_000)
            _ = try taken(S3Error.self) { try policy.check(["bucket": "b", "key": "u/k"], now) }
            return true
        }),
]

private let authorization =
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20130524/us-east-1/s3/aws4_request,"
    + "SignedHeaders=host;x-amz-date,Signature=" + String(repeating: "0", count: 64)

private func head(_ line: String, _ fields: [String]) -> [UInt8] {
    let fixed = ["Host: b.s3.example.com:9000", "x-amz-date: 20130524T000000Z"]
    return utf8(([line] + fixed + fields).joined(separator: "\n"))
}

/// A request as the HTTP library would hand it over: a method and a target, then fields, a line
/// each. (How bytes become that is the library's own to fuzz.)
private func httpRequest(_ bytes: [UInt8]) -> HTTPRequest? {
    let lines = bytes.asText.split(separator: "\n", omittingEmptySubsequences: false)
    guard let first = lines.first else { return nil }
    let words = first.split(separator: " ", maxSplits: 1)
    guard words.count == 2 else { return nil }
    var headers = HTTPHeaders()
    for line in lines.dropFirst().prefix(64) {
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { continue }
        headers.add(String(parts[0]), String(parts[1].drop { $0 == " " }))
    }
    return HTTPRequest(
        method: String(words[0]), target: String(words[1]), headers: headers,
        received: Instant(nanoseconds: 0))
}

/// Everything that the gateway reads out of a head; true if it names an operation.
private func checkRequest(_ http: HTTPRequest) throws -> Bool {
    let headers = http.headers
    _ = try taken(S3Error.self) { try S3Headers.stored(from: headers) }
    _ = try taken(S3Error.self) { try S3Headers.putCondition(headers) }
    _ = try taken(S3Error.self) {
        try S3Gateway.copySource(headers["x-amz-copy-source"] ?? "/b/" + http.target)
    }
    _ = S3Headers.range(headers["range"])
    _ = S3Headers.matches(headers["if-match"] ?? http.target, "etag")
    _ = S3Headers.survivedLosses(http.target)
    for suffix in [nil, "s3.example.com"] as [String?] {
        let request = try taken(S3Error.self) { try S3Request(http, hostSuffix: suffix) }
        guard let request else { continue }
        if let key = request.key {
            try BrokenProperty.check(key.utf8.count <= S3Request.maximumKeyBytes, "a long key")
        }
        if let bucket = request.bucket { _ = S3Request.objection(to: bucket) }
        _ = request.query.canonical(excluding: "X-Amz-Signature")
    }
    guard let request = try taken(S3Error.self, { try S3Request(http, hostSuffix: nil) }) else {
        return false
    }
    let operation = try taken(S3Error.self) { try S3Operation(request) }
    _ = operation?.name
    let claim = try taken(S3Error.self) { try RequestClaim(http, request.query) }
    if let claim {
        let now = WallTime(milliseconds: 1_369_353_600_000)
        let accepted = try taken(S3Error.self) {
            try claim.check(
                http, request.query, hostSuffix: "s3.example.com", secret: "secret", now)
        }
        try BrokenProperty.check(accepted == nil, "a signature without the secret")
    }
    let payload = try taken(S3Error.self) { try PayloadCheck(unsigned: http) }
    if var payload {
        _ = try taken(S3Error.self) {
            _ = try payload.process([1, 2, 3])
            try payload.finish()
        }
    }
    return operation != nil
}

/// A form with those fields and a file; its boundary is `b`.
private func formSeed(_ fields: [(String, String)]) -> [UInt8] {
    let parts = fields + [("file\"; filename=\"f", "content")]
    return utf8(
        parts.map { "--b\r\nContent-Disposition: form-data; name=\"\($0)\"\r\n\r\n\($1)\r\n" }
            .joined() + "--b--\r\n")
}

/// A form that comes in pieces of `step` bytes; nil if it is refused.
private func readForm(
    _ bytes: [UInt8], step: Int
) throws -> (reader: FormReader, file: [UInt8])? {
    try taken(S3Error.self) {
        var reader = FormReader(boundary: "b")
        var file: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: max(step, 1)) {
            file += try reader.read(Array(bytes[start..<min(start + step, bytes.count)]))
        }
        try reader.finish()
        return (reader, file)
    }
}

/// The body of a framed one that comes in pieces of `step` bytes; nil if it is refused.
private func decodeChunked(_ bytes: [UInt8], step: Int) throws -> [UInt8]? {
    let signing = AWSChunkedDecoder.Signing(
        key: [1], timestamp: "20130524T000000Z", scope: "s", previous: "p")
    var decoder = AWSChunkedDecoder(
        signing: bytes[0] == 2 ? signing : nil, hasTrailer: bytes[0] == 1,
        decodedLength: UInt64(bytes[1]) << 8 | UInt64(bytes[2]))
    return try taken(S3Error.self) {
        var body: [UInt8] = []
        for start in stride(from: 3, to: bytes.count, by: step) {
            body += try decoder.decode(Array(bytes[start..<min(start + step, bytes.count)]))
        }
        try decoder.finish()
        return body
    }
}

/// `text` in one chunk, signed as `decodeChunked` wants it.
private func signedChunks(_ text: String) -> [UInt8] {
    var previous = "p"
    var framed = ""
    for chunk in [text, ""] {
        let signed = [
            "AWS4-HMAC-SHA256-PAYLOAD", "20130524T000000Z", "s", previous,
            Hex.encode(SHA256.hash([])), Hex.encode(SHA256.hash(utf8(chunk))),
        ].joined(separator: "\n")
        previous = Hex.encode(HMACSHA256.code(key: [1], utf8(signed)))
        framed += "\(chunk.utf8.count);chunk-signature=\(previous)\r\n\(chunk)\r\n"
    }
    return utf8(framed)
}

/// Bytes of names and text in a document.
private func weight(_ element: XMLElement) -> Int {
    element.name.utf8.count + element.text.utf8.count
        + element.children.reduce(0) { $0 + weight($1) }
}
