internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// An answer that says no: S3's code, its HTTP status, and words for people.
struct S3Error: Error, Equatable {
    var code: String
    var status: Int
    var message: String
    /// In seconds, for what is worth trying again.
    var retryAfter: Int?
    /// Headers of the answer beside those of every error.
    var headers: [String: String] = [:]
    /// Elements of the answer beside those of every error.
    var details: [String: String] = [:]

    init(_ code: String, _ status: Int, _ message: String, retryAfter: Int? = nil) {
        self.code = code
        self.status = status
        self.message = message
        self.retryAfter = retryAfter
    }

    static func invalidArgument(_ message: String) -> S3Error {
        S3Error("InvalidArgument", 400, message)
    }

    static func invalidRequest(_ message: String) -> S3Error {
        S3Error("InvalidRequest", 400, message)
    }

    static func accessDenied(_ message: String) -> S3Error {
        S3Error("AccessDenied", 403, message)
    }

    static func notImplemented(_ operation: String) -> S3Error {
        S3Error(
            "NotImplemented", 501,
            "\(operation): see the S3 compatibility page, to which the README links")
    }

    static func unknown(accessKey: String) -> S3Error {
        var error = S3Error(
            "InvalidAccessKeyId", 403,
            "No such access key here: \(accessKey); `cyxcloud key list` shows yours (a profile of "
                + "another network?)")
        error.details = ["AWSAccessKeyId": accessKey]
        return error
    }

    static let malformedXML = S3Error(
        "MalformedXML", 400,
        "The XML is not well-formed, has a DOCTYPE, is over 2 MiB or not what this operation takes")

    static let noSuchKey = S3Error("NoSuchKey", 404, "The specified key does not exist.")
    static let preconditionFailed = S3Error(
        "PreconditionFailed", 412, "A condition of the request does not hold for this object")

    /// What the gateway says for what was no HTTP request.
    init(_ refusal: HTTPRefusal) {
        switch refusal {
        case .malformed:
            self.init("BadRequest", 400, "An error occurred when parsing the HTTP request.")
        case .headTooLarge:
            self.init(
                "RequestHeaderSectionTooLarge", 400,
                "Your request header and query parameters exceed the maximum allowed size of "
                    + "16 KiB")
        case .bodyTooLarge:
            self.init(
                "EntityTooLarge", 400,
                "Your proposed upload exceeds the maximum allowed size; upload it in parts")
        case .unknownVersion:
            self.init(
                "HttpVersionNotSupported", 505,
                "The HTTP version specified is not supported; use HTTP/1.1")
        case .unknownCoding:
            self.init(
                "NotImplemented", 501,
                "A transfer coding other than chunked implies functionality that is not "
                    + "implemented")
        }
    }

    /// What the gateway says for what the object service could not do.
    init(_ error: ObjectError) {
        switch error {
        case .noSuchBucket:
            self.init(
                "NoSuchBucket", 404, "The specified bucket does not exist; create it first")
        case .bucketExists:
            self.init(
                "BucketAlreadyOwnedByYou", 409, "You already have a bucket of that name")
        case .bucketNotEmpty:
            self.init(
                "BucketNotEmpty", 409, "The bucket still holds objects or unfinished uploads")
        case .noSuchKey: self = .noSuchKey
        case .deleteMarker(let version, _):
            self = .noSuchKey
            headers = ["x-amz-delete-marker": "true", "x-amz-version-id": version]
        case .noSuchVersion:
            self.init("NoSuchVersion", 404, "The specified version does not exist.")
        case .settingsTooLarge:
            self.init(
                "EntityTooLarge", 400,
                "All settings of a bucket together may have 512 KiB; nothing was changed")
        case .noSuchUpload:
            self.init(
                "NoSuchUpload", 404, "The upload was completed, aborted or never begun")
        case .noSuchPin:
            self.init(
                "NoSuchPin", 404, "The account has no such pin: it was removed, or its time is over"
            )
        case .noSuchAccessKey:
            self.init("NoSuchKeyName", 404, "The account has no access key of that name")
        case .keyExists:
            self.init("KeyNameExists", 409, "The account has an access key of that name already")
        case .tooManyKeys:
            self.init("TooManyKeys", 400, "An account has at most 500 access keys; revoke some")
        case .badGatewayKey:
            self.init(
                "InvalidArgument", 400,
                "A gateway's key is none; its operator finds it with `cyxcloud status`")
        case .beyondDelegation:
            self.init(
                "AccessDenied", 403,
                "This gateway has but one bucket's keys; ask a gateway of the account itself")
        case .noSuchShare: self.init("NoSuchShare", 404, "The account has no such link")
        case .tooManyShares:
            self.init("TooManyShares", 400, "An account has at most 500 links; revoke some")
        case .invalidPart(let reason): self.init("InvalidPart", 400, reason)
        case .partTooSmall(let number, let size):
            self.init(
                "EntityTooSmall", 400,
                "part \(number) has \(size) bytes; all but the last need 5 MiB")
        case .preconditionFailed: self = .preconditionFailed
        case .conflict:
            self.init(
                "ConditionalRequestConflict", 409,
                "Another write of this key came in between; try again")
        case .invalidRange(let size):
            self.init(
                "InvalidRange", 416, "The range lies outside the object, which has \(size) bytes")
            details = ["ActualObjectSize": String(size)]
        case .unavailable(let reason):
            self.init("ServiceUnavailable", 503, reason, retryAfter: S3Error.retrySeconds)
        case .noSpace(let reason):
            // Not a 503: SDKs would retry for minutes what does not get better by itself.
            self.init("InsufficientStorage", 507, reason)
        case .bodyLength(let expected, let actual):
            self.init(
                "IncompleteBody", 400,
                "The body has \(actual) of \(expected) bytes; nothing was stored")
        case .dataLost(let reason):
            self.init(
                "InternalError", 500, "The object cannot be read at present: \(reason)")
        case .cancelled:
            self.init(
                "RequestTimeout", 400, "The request was given up before it was complete")
        }
    }

    private static let retrySeconds = 2

    /// `hostID`: which gateway it was, as S3's extended request IDs tell.
    func response(
        resource: String, requestID: String, hostID: String, isHead: Bool
    ) -> HTTPResponse {
        var headers = HTTPHeaders()
        let pause = retryAfter ?? (status == 503 ? S3Error.retrySeconds : nil)
        if let pause { headers.add("retry-after", String(pause)) }
        for (name, value) in self.headers.sorted(by: { $0.key < $1.key }) {
            headers.add(name, value)
        }
        guard !isHead, status != 304 else {
            return HTTPResponse(status: status, headers: headers)
        }
        headers.add("content-type", "application/xml")
        let body = XMLWriter.document("Error", hasNamespace: false) { xml in
            xml.element("Code", code)
            xml.element("Message", message)
            for (name, value) in details.sorted(by: { $0.key < $1.key }) {
                xml.element(name, value)
            }
            xml.element("Resource", resource)
            xml.element("RequestId", requestID)
            xml.element("HostId", hostID)
        }
        return HTTPResponse(status: status, headers: headers, body: .bytes(body))
    }
}
