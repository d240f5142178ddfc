package import CyxCore

/// Why a command failed, in the shape that every surface shows (experience.md §1).
package struct ClientError: Error, Equatable, Sendable {
    /// Such as `NoSuchBucket` (from S3) or `NET-02`.
    package var code: String
    /// What failed, on what.
    package var message: String
    package var cause: String?
    /// What to do, as something to type where possible.
    package var remedy: String?
    /// The HTTP status, where there was an answer.
    package var status: Int?
    /// Whether the same request may succeed later.
    package var isTransient = false

    package init(
        code: String, message: String, cause: String? = nil, remedy: String? = nil,
        status: Int? = nil, isTransient: Bool = false
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.remedy = remedy
        self.status = status
        self.isTransient = isTransient
    }

    /// `error CODE: message`, then cause and remedy on lines of their own.
    package var text: String {
        var text = "error \(code): \(message)"
        if let cause { text += "\n  cause: \(cause)" }
        if let remedy { text += "\n  try:   \(remedy)" }
        return text
    }

    /// The same fields as JSON.
    package var json: JSONValue {
        var fields: [(key: String, value: JSONValue)] = [
            ("code", .string(code)), ("message", .string(message)),
        ]
        if let cause { fields.append(("cause", .string(cause))) }
        if let remedy { fields.append(("try", .string(remedy))) }
        if let status { fields.append(("status", .integer(Int64(status)))) }
        return .object(fields)
    }

    static func file(_ verb: String, _ path: String, errno: Int32) -> ClientError {
        ClientError(
            code: "FILE-01", message: "cannot \(verb) \(path)", cause: SystemError.words(errno))
    }
}
