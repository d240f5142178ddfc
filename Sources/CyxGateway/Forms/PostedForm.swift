internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxS3

/// What the fields of a form say (RFC 7578 and "POST Object" of S3's reference).
struct PostedForm: Sendable {
    /// Names in lower case; of a name that comes twice the first.
    let fields: [String: String]
    let key: String
    /// The fields that have a meaning as headers of a put, as those.
    let headers: HTTPHeaders
    /// What was signed, in base 64; nil for a form that nobody signed.
    let policy: String?

    /// Fields that mean the same as a header of that name.
    private static let plainHeaders: Set<String> = [
        "cache-control", "content-type", "content-disposition", "content-encoding",
        "content-language", "expires",
    ]

    init(_ reader: FormReader, _ http: HTTPRequest) throws(S3Error) {
        let fields = Dictionary(
            reader.fields.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        guard reader.hasFile else {
            throw .invalidArgument("POST requires exactly one file upload per request.")
        }
        guard let name = fields["key"] else { throw PostedForm.lacks("key") }
        let key = PostedForm.replacing("${filename}", in: name, with: reader.filename ?? "")
        guard !key.isEmpty else {
            throw .invalidArgument("User key must have a length greater than 0.")
        }
        guard key.utf8.count <= S3Request.maximumKeyBytes else {
            throw S3Error(
                "KeyTooLongError", 400,
                "Your key is too long: \(key.utf8.count) bytes, at most 1024 are allowed")
        }
        try S3Request.checkParents(in: key)
        self.fields = fields.merging(["key": key]) { $1 }
        self.key = key
        policy = fields["policy"]
        var headers = HTTPHeaders()
        for name in ["host", "origin", "referer", "user-agent"] {
            if let value = http.headers[name] { headers.add(name, value) }
        }
        for (name, value) in fields {
            if name == "acl" {
                headers.add("x-amz-acl", value)
            } else if name == "tagging" {
                headers.add("x-amz-tagging", try PostedForm.tags(value))
            } else if name.hasPrefix("x-amz-") || PostedForm.plainHeaders.contains(name) {
                headers.add(name, value)
            }
        }
        self.headers = headers
    }

    /// A form has its tags as a document, a put as a query.
    private static func tags(_ document: String) throws(S3Error) -> String {
        do throws(DocumentFault) {
            let set = try TagSet(parsing: Array(document.utf8), of: .object)
            return set.tags.map {
                PercentEncoding.encode($0.key) + "=" + PercentEncoding.encode($0.value)
            }.joined(separator: "&")
        } catch {
            throw S3Error(error)
        }
    }

    static func lacks(_ name: String) -> S3Error {
        .invalidArgument(
            "Bucket POST must contain a field named '\(name)'.  If it is specified, please check "
                + "the order of the fields.")
    }

    private static func replacing(_ mark: String, in text: String, with value: String) -> String {
        guard let range = text.firstRange(of: mark) else { return text }
        return text[..<range.lowerBound] + value
            + replacing(mark, in: String(text[range.upperBound...]), with: value)
    }

    // MARK: Signatures

    /// The access key that the form names, not yet believed; nil if none.
    var claimedKey: String? {
        if let key = fields["awsaccesskeyid"] { return key }
        guard let credential = fields["x-amz-credential"] else { return nil }
        do { return try SigV4Claim.credential(credential, isHeader: false).0 } catch { return nil }
    }

    /// Who signed the policy, by access key; nil if nobody did. `secret` finds a key's.
    func signer(
        _ secret: (String) throws(S3Error) -> String
    ) throws(S3Error) -> String? {
        guard let policy else {
            let names = ["signature", "x-amz-signature", "awsaccesskeyid", "x-amz-credential"]
            guard !names.contains(where: { fields[$0] != nil }) else {
                throw PostedForm.lacks("policy")
            }
            return nil
        }
        if fields["x-amz-signature"] != nil || fields["x-amz-algorithm"] != nil {
            return try signer4(policy, secret)
        }
        guard let accessKey = fields["awsaccesskeyid"] else {
            throw PostedForm.lacks("AWSAccessKeyId")
        }
        guard let signature = fields["signature"] else { throw PostedForm.lacks("Signature") }
        let code = HMACSHA1.code(
            key: Array(try secret(accessKey).utf8), Array(policy.utf8))
        try PostedForm.check(Base64.encode(code), signature)
        return accessKey
    }

    private func signer4(
        _ policy: String, _ secret: (String) throws(S3Error) -> String
    ) throws(S3Error) -> String {
        guard fields["x-amz-algorithm"] == SigningScope.algorithm else {
            throw .invalidArgument("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
        }
        guard let signature = fields["x-amz-signature"] else {
            throw PostedForm.lacks("X-Amz-Signature")
        }
        guard let credential = fields["x-amz-credential"] else {
            throw PostedForm.lacks("X-Amz-Credential")
        }
        let (accessKey, scope) = try SigV4Claim.credential(credential, isHeader: false)
        guard let date = fields["x-amz-date"], date.hasPrefix(scope.day) else {
            throw .invalidArgument("X-Amz-Date must be of the day of X-Amz-Credential")
        }
        let code = HMACSHA256.code(
            key: scope.key(secret: try secret(accessKey)), Array(policy.utf8))
        try PostedForm.check(Hex.encode(code), signature)
        return accessKey
    }

    private static func check(_ expected: String, _ given: String) throws(S3Error) {
        guard isEqualInConstantTime(expected, given) else {
            throw S3Error(
                "SignatureDoesNotMatch", 403,
                "The request signature we calculated does not match the signature you provided. "
                    + "Check your key and signing method.")
        }
    }
}
