internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What must hold of an object for it to be deleted. Given in headers, or in the elements of a list.
struct DeleteCondition: Equatable, Sendable {
    /// `*` is any. Wants the object to exist; the other two hold also of none.
    var etag: String?
    /// In whole seconds.
    var modifiedSeconds: Int64?
    var size: UInt64?

    init(_ headers: HTTPHeaders) throws(S3Error) {
        try self.init(
            etag: headers["if-match"], modified: headers["x-amz-if-match-last-modified-time"],
            size: headers["x-amz-if-match-size"])
    }

    /// Of one object in the document of DeleteObjects.
    init(_ element: XMLElement) throws(S3Error) {
        try self.init(
            etag: element.text(of: "ETag"), modified: element.text(of: "LastModifiedTime"),
            size: element.text(of: "Size"))
    }

    private init(etag: String?, modified: String?, size: String?) throws(S3Error) {
        self.etag = etag.map(S3Headers.unquoted)
        if let modified {
            guard let time = CivilDate(http: modified)?.wallTime ?? .init(iso8601: modified) else {
                throw .invalidArgument("The time that an object must be of is not a date")
            }
            modifiedSeconds = time.milliseconds / 1000
        }
        if let size {
            guard let count = UInt64(size) else {
                throw .invalidArgument("The size that an object must have is not a number")
            }
            self.size = count
        }
    }

    var isEmpty: Bool { etag == nil && modifiedSeconds == nil && size == nil }

    /// Throws unless `info`, which is nil for no object, may be deleted.
    func check(_ info: ObjectInfo?) throws(S3Error) {
        guard let info else {
            guard etag == nil else { throw .noSuchKey }
            return
        }
        guard etag == nil || etag == "*" || etag == info.etag,
            modifiedSeconds == nil || modifiedSeconds == info.modified.milliseconds / 1000,
            size == nil || size == info.size
        else { throw .preconditionFailed }
    }

    var options: DeleteOptions {
        var options = DeleteOptions()
        if !isEmpty {
            let condition = self
            options.check = { try condition.check($0) }
        }
        return options
    }
}
