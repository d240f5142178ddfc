internal import CyxHTTP

/// Headers that would change what a request does in S3, and that this gateway does not know: to pass
/// over them would do something else than was asked for.
extension S3Headers {
    private static let unsupported = [
        "x-amz-if-match-initiated-time", "x-amz-object-lock-event-hold",
        "x-amz-object-lock-event-hold-duration-days",
        "x-amz-object-lock-event-hold-duration-years", "x-amz-write-offset-bytes",
    ]
    private static let checksumPrefix = "x-amz-checksum-"
    /// What begins so and is no checksum.
    private static let checksumOptions: Set<String> = ["algorithm", "mode", "type"]
    /// S3's own that are not computed here.
    private static let foreignChecksums: Set<String> = [
        "md5", "sha512", "xxhash128", "xxhash3", "xxhash64",
    ]

    static func refuseUnknown(_ headers: HTTPHeaders) throws(S3Error) {
        for field in headers.fields where field.name.hasPrefix("x-amz-") {
            guard !unsupported.contains(field.name) else { throw .unsupported(header: field.name) }
            if field.name == "x-amz-bucket-namespace", field.value != "global" {
                throw .unsupported(header: field.name)
            }
            guard field.name.hasPrefix(checksumPrefix) else { continue }
            let name = String(field.name.dropFirst(checksumPrefix.count))
            guard !foreignChecksums.contains(name) else { throw .unsupported(header: field.name) }
            guard checksumOptions.contains(name) || ChecksumAlgorithm(rawValue: name) != nil else {
                throw .invalidRequest(
                    "The algorithm type you specified in x-amz-checksum- header is invalid.")
            }
        }
    }
}

extension S3Error {
    fileprivate static func unsupported(header: String) -> S3Error {
        var error = S3Error(
            "NotImplemented", 501,
            "A header you provided implies functionality that is not implemented")
        error.details = ["Header": header]
        return error
    }
}
