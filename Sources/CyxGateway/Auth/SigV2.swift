internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxS3

/// What AWS Signature Version 2 says about one request, taken apart but not yet believed ("Signing
/// and authenticating REST requests" of S3's documentation). Old tools still use it.
struct SigV2Claim: Sendable {
    var accessKey: String
    var signature: String
    /// Seconds since 1970 at which a presigned URL ends; nil for a signed header.
    var expires: Int64?

    static let scheme = "AWS "

    /// Parameters that are part of the resource that was signed; all others are not.
    private static let signedParameters: Set<String> = [
        "accelerate", "acl", "analytics", "append", "attributes", "cors", "cyx-key", "cyx-keys",
        "cyx-pin", "cyx-pins", "defaultObjectAcl", "delete", "encryption", "inventory",
        "legal-hold", "lifecycle",
        "location", "logging", "metrics", "notification", "object-lock", "ownershipControls",
        "partNumber", "policy", "policyStatus", "publicAccessBlock", "replication",
        "requestPayment", "restore", "retention", "select", "select-type", "tagging", "torrent",
        "uploadId", "uploads", "versionId", "versioning", "versions", "website",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires",
    ]

    // MARK: Reading

    /// Reads `AWS KEY:SIGNATURE`.
    init(authorization: String) throws(S3Error) {
        let credential = authorization.dropFirst(SigV2Claim.scheme.count).trimmingSpaces()
        guard let colon = credential.lastIndex(of: ":"), colon != credential.startIndex else {
            throw .invalidArgument(
                "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
        }
        accessKey = String(credential[..<colon])
        signature = String(credential[credential.index(after: colon)...])
    }

    /// Reads a presigned URL.
    init(presigned query: S3Query) throws(S3Error) {
        guard let key = query["AWSAccessKeyId"], let signature = query["Signature"],
            let text = query["Expires"]
        else {
            throw .accessDenied(
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
                    + "parameters")
        }
        guard let expires = Int64(text), expires >= 0, expires <= Int64.max / 1000 else {
            throw .accessDenied("Invalid date (should be seconds since epoch): \(text)")
        }
        accessKey = key
        self.signature = signature
        self.expires = expires
    }

    // MARK: Checking

    /// Throws unless the request's date is near `now`, or a presigned URL has not ended.
    func checkTime(_ http: HTTPRequest, _ now: WallTime) throws(S3Error) {
        if let expires {
            guard now.milliseconds <= expires * 1000 else {
                throw .accessDenied(
                    "Request has expired: the link expired at "
                        + "\(WallTime(milliseconds: expires * 1000).rfc3339); make a new one")
            }
            return
        }
        guard let text = http.headers["x-amz-date"] ?? http.headers["date"],
            let date = SigV2Claim.date(text)
        else {
            throw .accessDenied("AWS authentication requires a valid Date or x-amz-date header")
        }
        try SigV4Claim.checkSkew(of: date.wallTime, now)
    }

    /// Some clients write the offset of UTC in digits (RFC 5322 §3.3).
    private static func date(_ text: String) -> CivilDate? {
        if let date = CivilDate(http: text) ?? CivilDate(basic: text) { return date }
        for zone in [" +0000", " -0000", " UTC"] where text.hasSuffix(zone) {
            return CivilDate(http: text.dropLast(zone.utf8.count) + " GMT")
        }
        return nil
    }

    /// Throws unless the request was signed with `secret`. `hostBucket`: the bucket that the host
    /// names, which is signed as the first part of the path.
    func check(
        _ http: HTTPRequest, _ query: S3Query, hostBucket: String?, secret: String
    ) throws(S3Error) {
        let path = String(http.target.prefix { $0 != "?" })
        var paths = [(hostBucket.map { "/\($0)" } ?? "") + path]
        // A bucket is signed with a slash behind it, whether or not one is sent.
        if hostBucket == nil, path.count > 1, !path.dropFirst().contains("/") {
            paths.append(path + "/")
        }
        let isSigned = paths.contains { path in
            let text = stringToSign(http, query, path: path)
            let code = HMACSHA1.code(key: Array(secret.utf8), Array(text.utf8))
            return isEqualInConstantTime(Base64.encode(code), signature)
        }
        guard isSigned else {
            var error = S3Error(
                "SignatureDoesNotMatch", 403,
                "The request signature does not match. Check the secret key and the signing method")
            error.details = [
                "AWSAccessKeyId": accessKey, "SignatureProvided": signature,
                "StringToSign": stringToSign(http, query, path: paths[0]),
            ]
            throw error
        }
    }

    private func stringToSign(_ http: HTTPRequest, _ query: S3Query, path: String) -> String {
        let headers = http.headers
        let date =
            expires.map { String($0) }
            ?? (headers.contains("x-amz-date") ? "" : headers["date"] ?? "")
        var lines = [
            http.method, headers["content-md5"] ?? "", headers["content-type"] ?? "", date,
        ]
        let names = Set(headers.fields.map(\.name).filter { $0.hasPrefix("x-amz-") }).sorted()
        for name in names {
            let values = headers.fields.filter { $0.name == name }
                .map { String(Substring($0.value).trimmingSpaces()) }
            lines.append("\(name):\(values.joined(separator: ","))")
        }
        lines.append(SigV2Claim.resource(path, query))
        return lines.joined(separator: "\n")
    }

    private static func resource(_ path: String, _ query: S3Query) -> String {
        let parameters = query.items.filter { signedParameters.contains($0.name) }
            .sorted { $0.name < $1.name }
            .map { item in
                // `?acl` and `?acl=` are told apart by nobody, and signed without the sign.
                item.value.isEmpty ? item.name : "\(item.name)=\(item.value)"
            }
        return path + (parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&"))
    }
}

/// HMAC-SHA1 (RFC 2104), which Signature Version 2 is made with.
enum HMACSHA1 {
    private static let blockSize = 64

    static func code(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var block = key.count > blockSize ? SHA1.hash(key) : key
        block += [UInt8](repeating: 0, count: blockSize - block.count)
        let inner = SHA1.hash(block.map { $0 ^ 0x36 } + message)
        return SHA1.hash(block.map { $0 ^ 0x5c } + inner)
    }
}
