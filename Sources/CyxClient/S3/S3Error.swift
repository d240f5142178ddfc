internal import CyxCore
internal import CyxS3

extension ClientError {
    /// The error that a response other than success stands for: S3's XML or the REST interface's JSON
    /// where there is one, its own code for an answer without a body (HEAD has none).
    package static func s3(
        _ response: HTTPResponse, operation: String, bucket: String?, key: String?
    ) -> ClientError {
        let document = response.document
        let fields = document?.name == "Error" ? document : nil
        let json = document == nil ? response.json : nil
        let code =
            fields?.text(of: "Code") ?? json?["code"]?.text ?? code(forStatus: response.status)
        let target = [bucket, key].compactMap(\.self).joined(separator: "/")
        var message =
            fields?.text(of: "Message") ?? json?["message"]?.text
            ?? defaultMessage(code, target: target)
        if message.isEmpty { message = code }
        var cause = "\(operation) \(target) was answered with HTTP \(response.status)"
        if let id = fields?.text(of: "RequestId") ?? response.headers["x-amz-request-id"] {
            cause += ", request \(id)"
        }
        return ClientError(
            code: code, message: message, cause: cause,
            remedy: json?["try"]?.text ?? remedy(code, bucket: bucket, response),
            status: response.status,
            isTransient: response.status >= 500 && response.status != 501
                || response.status == 429 || code == "RequestTimeout")
    }

    private static func code(forStatus status: Int) -> String {
        switch status {
        case 301, 307: "PermanentRedirect"
        case 304: "NotModified"
        case 400: "BadRequest"
        case 401, 403: "AccessDenied"
        case 404: "NotFound"
        case 405: "MethodNotAllowed"
        case 409: "Conflict"
        case 412: "PreconditionFailed"
        case 416: "InvalidRange"
        case 429, 503: "SlowDown"
        case 501: "NotImplemented"
        default: status >= 500 ? "InternalError" : "HTTP\(status)"
        }
    }

    private static func defaultMessage(_ code: String, target: String) -> String {
        switch code {
        case "NotFound": "there is no \(target.isEmpty ? "such thing" : target)"
        case "AccessDenied": "this key may not use \(target)"
        case "SlowDown": "the gateway is busy"
        default: "\(target) was refused"
        }
    }

    private static func remedy(
        _ code: String, bucket: String?, _ response: HTTPResponse
    ) -> String? {
        switch code {
        case "NoSuchBucket": return bucket.map { "cyxcloud bucket create \($0)" }
        case "NoSuchKey", "NotFound": return bucket.map { "cyxcloud ls \($0) --recursive" }
        case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
            return "check --access-key and --secret-key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        case "NoSuchPin": return "cyxcloud pin list"
        case "RequestTimeTooSkewed": return "set this machine's clock"
        case "BucketNotEmpty": return bucket.map { "cyxcloud rm \($0) --recursive --yes" }
        case "SlowDown", "ServiceUnavailable", "InternalError":
            return "run it again in \(response.headers["retry-after"] ?? "10") s"
        default: return nil
        }
    }
}

extension HTTPResponse {
    /// The body as JSON; nil if it is none.
    fileprivate var json: JSONValue? {
        do { return try JSONValue(parsing: body) } catch { return nil }
    }

    /// Largest answer that is read as a document: a page of 1000 keys has 4 MiB at most.
    private static let documentBytes = 16 << 20

    /// The body as an XML document; nil if it is none.
    var document: XMLElement? {
        do {
            return try XMLReader.parse(body, maximumBytes: HTTPResponse.documentBytes)
        } catch {
            return nil
        }
    }
}
