internal import CyxCore
internal import CyxHTTP
internal import CyxS3

/// Who a request says that it is from, in any of the forms that S3 takes; not yet believed.
enum RequestClaim: Sendable {
    case version4(SigV4Claim)
    case version2(SigV2Claim)

    /// Reads the signature of a request; throws `AccessDenied` if it has none.
    init(_ request: HTTPRequest, _ query: S3Query) throws(S3Error) {
        let isPresigned4 = query["X-Amz-Signature"] != nil || query["X-Amz-Algorithm"] != nil
        let isPresigned2 = query["AWSAccessKeyId"] != nil || query["Signature"] != nil
        if let authorization = request.headers["authorization"], !authorization.isEmpty {
            let isOnlyOne = request.headers.fields.count { $0.name == "authorization" } == 1
            guard isOnlyOne, !isPresigned4, !isPresigned2 else {
                throw .invalidArgument(
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                        + "Signature query string parameter or the Authorization header should be "
                        + "specified")
            }
            if authorization.hasPrefix(SigV2Claim.scheme) {
                self = .version2(try SigV2Claim(authorization: authorization))
            } else if authorization.hasPrefix(SigningScope.algorithm) {
                self = .version4(try SigV4Claim(authorization: authorization, request))
            } else if authorization.contains(" ") {
                throw .invalidArgument("Unsupported Authorization Type")
            } else {
                throw .invalidArgument(
                    "Authorization header is invalid -- one and only one ' ' (space) required")
            }
        } else if isPresigned4 {
            self = .version4(try SigV4Claim(presigned: query, request))
        } else if isPresigned2 {
            self = .version2(try SigV2Claim(presigned: query))
        } else {
            throw .accessDenied("The request is not signed; this gateway has no anonymous access")
        }
    }

    var accessKey: String {
        switch self {
        case .version4(let claim): claim.accessKey
        case .version2(let claim): claim.accessKey
        }
    }

    /// What a presigned URL may say in its query in the place of a header: SDKs move these there, so
    /// that whoever has the link need not know them.
    private static let hoistedPrefixes = [
        "x-amz-acl", "x-amz-copy-source", "x-amz-grant-", "x-amz-meta-",
        "x-amz-metadata-directive", "x-amz-object-lock-", "x-amz-server-side-encryption",
        "x-amz-storage-class", "x-amz-tagging", "x-amz-website-redirect-location",
    ]

    /// The request with the headers that are in its signed query.
    func completed(_ http: HTTPRequest, _ query: S3Query) -> HTTPRequest {
        guard case .version4(let claim) = self, claim.expires != nil else { return http }
        var http = http
        for item in query.items {
            let name = item.name.lowercased()
            guard RequestClaim.hoistedPrefixes.contains(where: { name.hasPrefix($0) }),
                !http.headers.contains(name)
            else { continue }
            http.headers.add(name, item.value)
        }
        return http
    }

    /// Throws unless the request was made about `now` by who has the secret. Returns what its body
    /// must keep to.
    func check(
        _ http: HTTPRequest, _ query: S3Query, hostSuffix: String?, secret: String, _ now: WallTime
    ) throws(S3Error) -> PayloadCheck {
        switch self {
        case .version4(let claim):
            try claim.checkTime(now)
            let key = claim.scope.key(secret: secret)
            try claim.check(http, query, signingKey: key)
            return try PayloadCheck(http, claim, signingKey: key)
        case .version2(let claim):
            try claim.checkTime(http, now)
            let bucket = S3Request.virtualBucket(http.headers["host"], hostSuffix)
            try claim.check(http, query, hostBucket: bucket, secret: secret)
            return try PayloadCheck(unsigned: http)
        }
    }
}
