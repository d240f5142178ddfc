internal import CyxHTTP

/// What a request asks for, by the names of S3's reference.
enum S3Operation: Equatable, Sendable {
    case listBuckets
    case createBucket, deleteBucket, headBucket
    case getBucketLocation, getBucketVersioning, putBucketVersioning
    case listObjects, listObjectsV2, listObjectVersions, listMultipartUploads, deleteObjects
    case getObject, headObject, putObject, deleteObject, copyObject
    case getObjectAttributes
    case createMultipartUpload, uploadPart, uploadPartCopy, listParts
    case completeMultipartUpload, abortMultipartUpload
    /// Sub-resources that are documents.
    case getBucketAcl, putBucketAcl, getObjectAcl, putObjectAcl
    case getBucketPolicy, putBucketPolicy, deleteBucketPolicy, getBucketPolicyStatus
    case getPublicAccessBlock, putPublicAccessBlock, deletePublicAccessBlock
    case getBucketOwnershipControls, putBucketOwnershipControls, deleteBucketOwnershipControls
    case getBucketCors, putBucketCors, deleteBucketCors
    case getBucketTagging, putBucketTagging, deleteBucketTagging
    case getObjectTagging, putObjectTagging, deleteObjectTagging
    case getBucketLifecycleConfiguration, putBucketLifecycleConfiguration, deleteBucketLifecycle
    case getBucketEncryption, putBucketEncryption, deleteBucketEncryption
    case getObjectLockConfiguration, putObjectLockConfiguration
    case getObjectRetention, putObjectRetention, getObjectLegalHold, putObjectLegalHold
    case getBucketRequestPayment, getBucketLogging, getBucketAccelerateConfiguration
    /// Of ours, not of S3: sub-resources `cyx-pin` of an object, `cyx-pins` and `cyx-pin=ID` of the
    /// service.
    case createPin, listPins, getPin, headPin, deletePin
    /// Sub-resources `cyx-keys` and `cyx-key=NAME` of the service.
    case createKey, listKeys, deleteKey
    /// S3 knows it, this gateway does not (yet).
    case unsupported(String)

    /// `GetObject`; what is not in S3's reference at all counts as one name.
    var name: String {
        if case .unsupported(let name) = self { return name }
        let name = "\(self)"
        return name.prefix(1).uppercased() + name.dropFirst()
    }

    init(_ request: S3Request) throws(S3Error) {
        let method = request.http.method
        let query = request.query
        let isObject = request.key != nil
        // No bucket can be called that.
        if request.bucket == "WriteGetObjectResponse" {
            self = .writeGetObjectResponse
            return
        }
        guard request.bucket != nil else {
            if let pins = try S3Operation.pins(method, query) {
                self = pins
                return
            }
            if let keys = try S3Operation.keys(method, query) {
                self = keys
                return
            }
            guard method == "GET" || method == "HEAD" else { throw .methodNotAllowed(method) }
            // Without the parameter this is asked as buckets are, and answered so.
            self =
                query.has("max-directory-buckets")
                ? .unsupported("ListDirectoryBuckets") : .listBuckets
            return
        }
        if isObject, query.has("cyx-pin") {
            guard method == "POST" else { throw .methodNotAllowed(method) }
            self = .createPin
        } else if let found = S3Operation.subresources.first(where: { query.has($0.query) }) {
            self = try S3Operation.subresource(found.name, method, query, isObject: isObject)
        } else if isObject {
            self = try S3Operation.object(method, query, request)
        } else {
            self = try S3Operation.bucket(method, query)
        }
    }

    /// What is asked of an account's pins; nil if nothing is.
    private static func pins(
        _ method: String, _ query: S3Query
    ) throws(S3Error) -> S3Operation? {
        guard query.has("cyx-pin") else {
            guard query.has("cyx-pins") else { return nil }
            guard method == "GET" else { throw .methodNotAllowed(method) }
            return .listPins
        }
        switch method {
        case "GET": return .getPin
        case "HEAD": return .headPin
        case "DELETE": return .deletePin
        default: throw .methodNotAllowed(method)
        }
    }

    /// What is asked of an account's access keys; nil if nothing is.
    private static func keys(
        _ method: String, _ query: S3Query
    ) throws(S3Error) -> S3Operation? {
        switch (method, query.has("cyx-keys"), query.has("cyx-key")) {
        case ("POST", true, _): return .createKey
        case ("GET", true, _): return .listKeys
        case ("DELETE", _, true): return .deleteKey
        case (_, false, false): return nil
        default: throw .methodNotAllowed(method)
        }
    }

    private static func subresource(
        _ name: String, _ method: String, _ query: S3Query, isObject: Bool
    ) throws(S3Error) -> S3Operation {
        switch (method, name, isObject) {
        case ("GET", "Location", false): return .getBucketLocation
        case ("GET", "Versioning", false): return .getBucketVersioning
        case ("GET", "Attributes", true): return .getObjectAttributes
        case ("PUT", "Versioning", false): return .putBucketVersioning
        case ("GET", "Versions", false): return .listObjectVersions
        default: break
        }
        if let known = onDocument(name, method, isObject: isObject) { return known }
        guard isMethod(method, of: name, isObject: isObject) else {
            throw .methodNotAllowed(method)
        }
        return .unsupported(unsupportedName(name, method, query, isObject: isObject))
    }

    private static func bucket(_ method: String, _ query: S3Query) throws(S3Error) -> S3Operation {
        // With another method these would do something to the bucket itself.
        guard method == "GET" || !query.has("uploads"), method == "POST" || !query.has("delete")
        else { throw .methodNotAllowed(method) }
        switch method {
        case "GET" where query.has("uploads"): return .listMultipartUploads
        case "GET": return query["list-type"] == "2" ? .listObjectsV2 : .listObjects
        case "HEAD": return .headBucket
        case "PUT": return .createBucket
        case "DELETE": return .deleteBucket
        case "POST" where query.has("delete"): return .deleteObjects
        case "POST":
            // A form that can be told is answered before this.
            throw S3Error(
                "PreconditionFailed", 412,
                "At least one of the pre-conditions you specified did not hold: Bucket POST must "
                    + "be of the enclosure-type multipart/form-data")
        default: throw .methodNotAllowed(method)
        }
    }

    private static func object(
        _ method: String, _ query: S3Query, _ request: S3Request
    ) throws(S3Error) -> S3Operation {
        let isCopy = request.http.headers.contains("x-amz-copy-source")
        guard method == "POST" || !query.has("uploads") else { throw .methodNotAllowed(method) }
        switch method {
        case "GET": return query.has("uploadId") ? .listParts : .getObject
        case "HEAD": return .headObject
        case "PUT" where query.has("uploadId") && !query.has("partNumber"):
            throw .methodNotAllowed(method)
        case "PUT" where query.has("partNumber") || query.has("uploadId"):
            return isCopy ? .uploadPartCopy : .uploadPart
        case "PUT": return isCopy ? .copyObject : .putObject
        case "DELETE": return query.has("uploadId") ? .abortMultipartUpload : .deleteObject
        case "POST" where query.has("uploads"): return .createMultipartUpload
        case "POST" where query.has("uploadId"): return .completeMultipartUpload
        case "POST": throw .methodNotAllowed(method)
        default: throw .methodNotAllowed(method)
        }
    }
}

extension S3Error {
    static func methodNotAllowed(_ method: String) -> S3Error {
        S3Error(
            "MethodNotAllowed", 405, "The method \(method) is not allowed against this resource.")
    }
}
