internal import CyxCore
internal import CyxHTTP

/// An answer of the REST interface that says no: a code, by S3's name where S3 has it, words for
/// people, what it is about, and what to do. The command line says the same four things.
struct RESTError: Error, Equatable {
    var code: String
    var status: Int
    var message: String
    /// What the refusal is about; nil: the path of the request.
    var subject: String?
    var advice: String?
    var headers: [String: String] = [:]

    init(_ code: String, _ status: Int, _ message: String, advice: String? = nil) {
        self.code = code
        self.status = status
        self.message = message
        self.advice = advice
    }

    init(_ error: S3Error) {
        self.init(error.code, error.status, error.message, advice: RESTError.advice[error.code])
        headers = error.headers
        if let seconds = error.retryAfter { headers["retry-after"] = String(seconds) }
    }

    init(_ fault: TokenFault) {
        let message: String
        var code = "InvalidToken"
        switch fault {
        case .malformed(let reason): message = "The bearer token \(reason)"
        case .expired(let time):
            code = "ExpiredToken"
            message = "The bearer token expired at \(time.rfc3339)"
        case .revoked: message = "The bearer token was revoked"
        }
        self.init(code, 401, message, advice: RESTError.tokenAdvice)
        // RFC 6750 §3.1
        headers["www-authenticate"] = "Bearer error=\"invalid_token\""
    }

    static let tokenAdvice =
        "get a new one with POST /api/v1/tokens, signed with an access key (AWS Signature Version 4)"

    static func invalid(_ message: String, advice: String? = nil) -> RESTError {
        RESTError("InvalidArgument", 400, message, advice: advice)
    }

    static let noSuchDataset = RESTError(
        "NoSuchDataset", 404, "No account that this gateway serves has a data set of that CID",
        advice: "GET /api/v1/users/me/datasets lists yours")

    static func notFound(_ path: String) -> RESTError {
        RESTError(
            "NoSuchPath", 404, "There is no \(path)", advice: "see \"REST\" in the README")
    }

    static func denied(_ message: String, advice: String? = nil) -> RESTError {
        RESTError(
            "AccessDenied", 403, message, advice: advice ?? RESTError.advice["AccessDenied"])
    }

    static func slowDown(_ wait: Duration) -> RESTError {
        let seconds = max(1, (wait.nanoseconds + 999_999_999) / 1_000_000_000)
        var error = RESTError(
            "SlowDown", 429, "Too many requests", advice: "try again in \(seconds) s")
        error.headers["retry-after"] = String(seconds)
        return error
    }

    private static let advice = [
        "AccessDenied": "use a key that may; `cyxcloud key list` shows what yours may",
        "InvalidAccessKeyId": "`cyxcloud key list` shows yours",
        "SignatureDoesNotMatch": "check the secret key, and that no proxy changes the request",
        "RequestTimeTooSkewed": "set the clock of this machine",
        "NoSuchBucket": "`cyxcloud bucket list` shows yours; `cyxcloud bucket create` makes one",
        "NoSuchKey": "`cyxcloud ls BUCKET` shows what is there",
        "ServiceUnavailable": "try again after the seconds in Retry-After",
        "InsufficientStorage": "add peers, or give those that there are more space",
    ]

    func response(path: String, isHead: Bool) -> HTTPResponse {
        var fields = HTTPHeaders([("content-type", "application/json")])
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { fields.add(name, value) }
        guard !isHead else { return HTTPResponse(status: status, headers: fields) }
        let body = JSONValue.object([
            ("code", .string(code)), ("message", .string(message)),
            ("subject", .string(subject ?? path)), ("try", advice.map { .string($0) } ?? .null),
        ])
        return HTTPResponse(
            status: status, headers: fields, body: .bytes(Array(body.encoded.utf8)))
    }
}
