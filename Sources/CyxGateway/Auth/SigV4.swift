internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxS3

/// How the payload of a request is vouched for (`x-amz-content-sha256`).
enum PayloadSigning: Equatable, Sendable {
    case unsigned
    /// Hexadecimal SHA-256 of the body.
    case sha256(String)
    /// `aws-chunked`; with a signature on each chunk, and with trailing fields.
    case chunked(isSigned: Bool, hasTrailer: Bool)
}

/// What AWS Signature Version 4 says about one request, taken apart but not yet believed.
struct SigV4Claim: Sendable {
    static let maximumSkew = Duration.seconds(15 * 60)
    static let maximumPresignedSeconds: Int64 = 604_800

    var accessKey: String
    var scope: SigningScope
    var signedHeaders: [String]
    var signature: String
    var time: WallTime
    /// The same in the notation that was signed.
    var timestamp: String
    /// Seconds that a presigned URL lives; nil for a signed header.
    var expires: Int64?
    var payload: PayloadSigning
    /// What stands for the payload in the canonical request.
    var payloadHash: String

    // MARK: Reading

    /// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    init(authorization: String, _ request: HTTPRequest) throws(S3Error) {
        let malformed = S3Error(
            "AuthorizationHeaderMalformed", 400,
            "The authorization header is not AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, "
                + "Signature=…")
        guard authorization.hasPrefix(SigningScope.algorithm + " ") else {
            throw malformed
        }
        var fields: [Substring: Substring] = [:]
        for part in authorization.dropFirst(SigningScope.algorithm.count + 1).split(separator: ",")
        {
            let pair = part.trimmingSpaces().split(separator: "=", maxSplits: 1)
            guard pair.count == 2, fields.updateValue(pair[1], forKey: pair[0]) == nil else {
                throw malformed
            }
        }
        guard let credential = fields["Credential"], let signed = fields["SignedHeaders"],
            let signature = fields["Signature"]
        else { throw malformed }
        try self.init(
            credential: String(credential), signedHeaders: String(signed),
            signature: String(signature),
            timestamp: try SigV4Claim.timestamp(of: request), expires: nil)
        guard let hash = request.headers["x-amz-content-sha256"] else {
            throw .invalidRequest("Missing required header for this request: x-amz-content-sha256")
        }
        payloadHash = hash
        payload = try SigV4Claim.payload(hash)
    }

    /// Reads a presigned URL.
    init(presigned query: S3Query, _ request: HTTPRequest) throws(S3Error) {
        func field(_ name: String) throws(S3Error) -> String {
            guard let value = query[name] else {
                throw S3Error(
                    "AuthorizationQueryParametersError", 400,
                    "Query-string authentication version 4 needs \(name)")
            }
            return value
        }
        // Of two, another reader might go by the one that is not looked at here.
        let names = query.items.map(\.name).filter { $0.hasPrefix("X-Amz-") }
        guard Set(names).count == names.count else {
            throw S3Error(
                "AuthorizationQueryParametersError", 400,
                "X-Amz- query parameters may be given once each")
        }
        guard try field("X-Amz-Algorithm") == SigningScope.algorithm else {
            throw S3Error(
                "AuthorizationQueryParametersError", 400,
                "X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
        }
        guard let seconds = Int64(try field("X-Amz-Expires")),
            (0...SigV4Claim.maximumPresignedSeconds).contains(seconds)
        else {
            throw S3Error(
                "AuthorizationQueryParametersError", 400,
                "X-Amz-Expires must be 0 to 604800 seconds (a week)")
        }
        try self.init(
            credential: try field("X-Amz-Credential"),
            signedHeaders: try field("X-Amz-SignedHeaders"),
            signature: try field("X-Amz-Signature"), timestamp: try field("X-Amz-Date"),
            expires: seconds)
        let hash =
            query["X-Amz-Content-Sha256"] ?? request.headers["x-amz-content-sha256"]
            ?? "UNSIGNED-PAYLOAD"
        payloadHash = hash
        payload = try SigV4Claim.payload(hash)
    }

    private init(
        credential: String, signedHeaders: String, signature: String, timestamp: String,
        expires: Int64?
    ) throws(S3Error) {
        (accessKey, scope) = try SigV4Claim.credential(credential, isHeader: expires == nil)
        guard let date = CivilDate(basic: timestamp) else {
            throw .accessDenied(
                "AWS authentication requires a valid date, like 20130524T000000Z")
        }
        guard timestamp.hasPrefix(scope.day) else {
            throw SigV4Claim.malformed(
                isHeader: expires == nil,
                "Invalid credential date \(scope.day): it is not that of X-Amz-Date, \(timestamp)")
        }
        self.signedHeaders = signedHeaders.split(separator: ";").map(String.init)
        self.signature = signature
        self.timestamp = timestamp
        self.expires = expires
        time = date.wallTime
        payload = .unsigned
        payloadHash = ""
    }

    private static func malformed(isHeader: Bool, _ message: String) -> S3Error {
        S3Error(
            isHeader ? "AuthorizationHeaderMalformed" : "AuthorizationQueryParametersError", 400,
            message)
    }

    /// Takes `KEY/DATE/REGION/s3/aws4_request` apart.
    static func credential(
        _ text: String, isHeader: Bool
    ) throws(S3Error) -> (accessKey: String, scope: SigningScope) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 5, parts[parts.count - 1] == SigningScope.terminator,
            parts[parts.count - 2] == "s3"
        else {
            throw malformed(
                isHeader: isHeader, "The credential must be KEY/DATE/REGION/s3/aws4_request")
        }
        return (
            parts[..<(parts.count - 4)].joined(separator: "/"),
            SigningScope(
                day: String(parts[parts.count - 4]), region: String(parts[parts.count - 3]))
        )
    }

    private static func timestamp(of request: HTTPRequest) throws(S3Error) -> String {
        if let date = request.headers["x-amz-date"] { return date }
        guard let text = request.headers["date"] else {
            throw .accessDenied("AWS authentication requires a valid Date or x-amz-date header")
        }
        if let date = CivilDate(http: text) { return date.basic }
        return text
    }

    static func payload(_ hash: String) throws(S3Error) -> PayloadSigning {
        switch hash {
        case "UNSIGNED-PAYLOAD": return .unsigned
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
            return .chunked(isSigned: true, hasTrailer: false)
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
            return .chunked(isSigned: true, hasTrailer: true)
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            return .chunked(isSigned: false, hasTrailer: true)
        default:
            guard Hex.decode(hash)?.count == 32, hash == hash.lowercased() else {
                throw .invalidArgument(
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value that S3 "
                        + "defines, or a SHA-256 in lower-case hexadecimal")
            }
            return .sha256(hash)
        }
    }

    // MARK: Checking

    /// Throws unless the time is near `now`, or inside a presigned URL's life.
    func checkTime(_ now: WallTime) throws(S3Error) {
        if let expires {
            let skew = SigV4Claim.maximumSkew.nanoseconds / 1_000_000
            guard time.milliseconds - now.milliseconds <= skew else {
                throw .accessDenied("Request is not yet valid: it is dated \(time.rfc3339)")
            }
            let end = WallTime(milliseconds: time.milliseconds + expires * 1000)
            // No seconds are allowed, and over at once, whatever the clocks say.
            guard now <= end, expires > 0 else {
                let hours = (now.milliseconds - end.milliseconds) / 3_600_000
                var error = S3Error.accessDenied(
                    "Request has expired: the link expired at \(end.rfc3339) (\(hours) h ago); "
                        + "make a new one")
                error.details = [
                    "X-Amz-Expires": String(expires), "Expires": end.rfc3339,
                    "ServerTime": now.rfc3339,
                ]
                throw error
            }
        } else {
            try SigV4Claim.checkSkew(of: time, now)
        }
    }

    static func checkSkew(of time: WallTime, _ now: WallTime) throws(S3Error) {
        let skew = maximumSkew.nanoseconds / 1_000_000
        guard abs(time.milliseconds - now.milliseconds) <= skew else {
            var error = S3Error(
                "RequestTimeTooSkewed", 403,
                "The difference between the request time and the current time is too large: "
                    + "yours \(time.rfc3339), ours \(now.rfc3339), limit 15 min")
            error.details = [
                "RequestTime": time.rfc3339, "ServerTime": now.rfc3339,
                "MaxAllowedSkewMilliseconds": String(skew),
            ]
            throw error
        }
    }

    /// Throws unless the request was signed with `signingKey`.
    func check(_ request: HTTPRequest, _ query: S3Query, signingKey: [UInt8]) throws(S3Error) {
        guard signedHeaders.contains("host") else {
            throw .accessDenied("The header host must be signed")
        }
        for field in request.headers.fields
        where field.name.hasPrefix("x-amz-") && !signedHeaders.contains(field.name) {
            throw .accessDenied(
                "There were headers present in the request which were not signed: \(field.name)")
        }
        let canonical = try canonicalRequest(request, query)
        let expected = scope.signature(of: canonical, at: timestamp, key: signingKey)
        guard isEqualInConstantTime(expected, signature) else {
            var error = S3Error(
                "SignatureDoesNotMatch", 403,
                "The request signature does not match. Check the secret key; here the canonical "
                    + "request hashes to \(canonical.hash) with host \(request.headers["host"] ?? "(none)") "
                    + "(a proxy that changes it breaks the signature)")
            error.details = [
                "AWSAccessKeyId": accessKey, "CanonicalRequest": canonical.text,
                "SignatureProvided": signature,
                "StringToSign": scope.stringToSign(canonical, at: timestamp),
            ]
            throw error
        }
    }

    /// The request as it must have been signed, if the claim is true.
    private func canonicalRequest(
        _ request: HTTPRequest, _ query: S3Query
    ) throws(S3Error) -> CanonicalRequest {
        let rawPath = request.target.prefix { $0 != "?" }
        guard let path = PercentEncoding.decode(rawPath) else {
            throw S3Error("InvalidURI", 400, "The path has a broken percent escape")
        }
        var headers: [(name: String, values: [String])] = []
        for name in signedHeaders {
            let values = request.headers.fields.filter { $0.name == name }.map(\.value)
            guard !values.isEmpty else {
                throw .accessDenied("The signed header \(name) is not in the request")
            }
            headers.append((name, values))
        }
        return CanonicalRequest(
            method: request.method, path: PercentEncoding.encode(path, keepingSlashes: true),
            query: query.canonical(excluding: expires == nil ? nil : "X-Amz-Signature"),
            headers: headers, payloadHash: payloadHash)
    }
}

/// Takes as long for any two texts of the same length.
func isEqualInConstantTime(_ left: String, _ right: String) -> Bool {
    CyxCrypto.isEqualInConstantTime(Array(left.utf8), Array(right.utf8))
}

extension Substring {
    func trimmingSpaces() -> Substring {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let first = firstIndex(where: { !isSpace($0) }),
            let last = lastIndex(where: { !isSpace($0) })
        else { return "" }
        return self[first...last]
    }
}
