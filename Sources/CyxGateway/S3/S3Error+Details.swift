internal import CyxHTTP

/// What S3's errors tell beside code and message: which bucket, key and so on they are about.
extension S3Error {
    private static let ofBuckets: Set<String> = [
        "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "InvalidBucketName",
        "InvalidBucketState", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchCORSConfiguration",
        "NoSuchLifecycleConfiguration", "NoSuchPublicAccessBlockConfiguration", "NoSuchTagSet",
        "ObjectLockConfigurationNotFoundError", "OwnershipControlsNotFoundError",
    ]

    /// The error with what the request says of it.
    func about(_ http: HTTPRequest, hostSuffix: String?) -> S3Error {
        let request: S3Request
        do { request = try S3Request(http, hostSuffix: hostSuffix) } catch { return self }
        var error = self
        func add(_ name: String, _ value: String?) {
            if let value, error.details[name] == nil { error.details[name] = value }
        }
        switch code {
        case "NoSuchKey": add("Key", request.key)
        case "NoSuchVersion":
            add("Key", request.key)
            add("VersionId", request.version)
        case "NoSuchUpload", "InvalidPart", "InvalidPartOrder":
            add("UploadId", request.query["uploadId"])
        case "MethodNotAllowed":
            let isUpload = request.key != nil && request.query.has("uploadId")
            add("Method", http.method)
            add(
                "ResourceType",
                isUpload
                    ? "UPLOAD"
                    : request.key != nil ? "OBJECT" : request.bucket != nil ? "BUCKET" : "SERVICE")
        case "InvalidRange": add("RangeRequested", http.headers["range"])
        default:
            if S3Error.ofBuckets.contains(code) { add("BucketName", request.bucket) }
        }
        return error
    }
}
