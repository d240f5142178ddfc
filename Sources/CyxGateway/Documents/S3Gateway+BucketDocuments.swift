internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Sub-resources of a bucket that are documents: written, read back and taken away.
extension S3Gateway {
    /// Carries out what concerns a document of a bucket; nil if `operation` is about something else.
    @inline(never)
    func performOnDocument(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .getBucketPolicy: try getBucketPolicy(call)
        case .putBucketPolicy: try await putBucketPolicy(call)
        case .deleteBucketPolicy: try await set(DocumentName.policy, nil, call)
        case .getBucketPolicyStatus: try getBucketPolicyStatus(call)
        case .getPublicAccessBlock: try get(DocumentName.block, call)
        case .putPublicAccessBlock:
            try await put(DocumentName.block, call) { bytes throws(DocumentFault) in
                try PublicAccessBlock(parsing: bytes).document
            }
        case .deletePublicAccessBlock: try await set(DocumentName.block, nil, call)
        case .getBucketOwnershipControls: try get(DocumentName.ownership, call)
        case .putBucketOwnershipControls: try await putOwnershipControls(call)
        case .deleteBucketOwnershipControls: try await set(DocumentName.ownership, nil, call)
        case .getBucketCors: try get(DocumentName.cors, call)
        case .putBucketCors:
            try await put(DocumentName.cors, call) { bytes throws(DocumentFault) in
                try CORSConfiguration(parsing: bytes).document
            }
        case .deleteBucketCors: try await set(DocumentName.cors, nil, call)
        case .getBucketTagging: try get(DocumentName.tagging, call)
        case .putBucketTagging:
            try await put(DocumentName.tagging, call, status: 204) {
                bytes throws(DocumentFault) in try TagSet(parsing: bytes, of: .bucket).document
            }
        case .deleteBucketTagging: try await set(DocumentName.tagging, nil, call)
        default: try await performOnRules(operation, call)
        }
    }

    /// Documents that say what becomes of objects.
    @inline(never)
    private func performOnRules(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .getBucketLifecycleConfiguration: try getLifecycle(call)
        case .putBucketLifecycleConfiguration: try await putLifecycle(call)
        case .deleteBucketLifecycle: try await set(DocumentName.lifecycle, nil, call)
        case .getBucketEncryption: getBucketEncryption(call)
        case .putBucketEncryption:
            try await put(DocumentName.encryption, call) { bytes throws(DocumentFault) in
                try BucketEncryption(parsing: bytes).document
            }
        case .deleteBucketEncryption: try await set(DocumentName.encryption, nil, call)
        case .getObjectLockConfiguration: try get(DocumentName.objectLock, call)
        case .putObjectLockConfiguration: try await putObjectLockConfiguration(call)
        case .getBucketRequestPayment:
            S3Gateway.xml(
                XMLWriter.document("RequestPaymentConfiguration") {
                    $0.element("Payer", "BucketOwner")
                })
        case .getBucketLogging: S3Gateway.xml(XMLWriter.emptyDocument("BucketLoggingStatus"))
        case .getBucketAccelerateConfiguration:
            S3Gateway.xml(XMLWriter.emptyDocument("AccelerateConfiguration"))
        default: nil
        }
    }

    // MARK: Keeping

    /// What S3 says where a bucket has no such document.
    private static func missing(_ name: String) -> S3Error {
        switch name {
        case DocumentName.policy:
            S3Error("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
        case DocumentName.block:
            S3Error(
                "NoSuchPublicAccessBlockConfiguration", 404,
                "The public access block configuration was not found")
        case DocumentName.ownership:
            S3Error(
                "OwnershipControlsNotFoundError", 404,
                "The bucket ownership controls were not found")
        case DocumentName.cors:
            S3Error("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")
        case DocumentName.tagging: S3Error("NoSuchTagSet", 404, "The TagSet does not exist")
        case DocumentName.lifecycle:
            S3Error(
                "NoSuchLifecycleConfiguration", 404,
                "The lifecycle configuration does not exist")
        default:
            S3Error(
                "ObjectLockConfigurationNotFoundError", 404,
                "Object Lock configuration does not exist for this bucket")
        }
    }

    private func kept(_ name: String, _ call: Call) throws(S3Error) -> [UInt8] {
        guard let bytes = call.bucketInfo?.settings.documents[name] else {
            throw S3Gateway.missing(name)
        }
        return bytes
    }

    private func get(_ name: String, _ call: Call) throws(S3Error) -> HTTPResponse {
        S3Gateway.xml(try kept(name, call))
    }

    /// Keeps a document, nil: none.
    private func set(
        _ name: String, _ bytes: [UInt8]?, _ call: Call, status: Int = 204
    ) async throws -> HTTPResponse {
        _ = try await call.service.updateBucket(call.bucket) { $0.documents[name] = bytes }
        return HTTPResponse(status: status)
    }

    /// Keeps the document of the body as `normal` writes it.
    private func put(
        _ name: String, _ call: Call, status: Int = 200,
        _ normal: ([UInt8]) throws(DocumentFault) -> [UInt8]
    ) async throws -> HTTPResponse {
        try await set(name, try await read(call, normal), call, status: status)
    }

    /// Reads the body with `parse`, whose objections become S3's.
    func read<Document>(
        _ call: Call, _ parse: ([UInt8]) throws(DocumentFault) -> Document
    ) async throws -> Document {
        var call = call
        let limit = S3Gateway.maximumDocumentBytes
        let bytes: [UInt8]
        if let document = call.document {
            bytes = document
        } else {
            bytes = try await call.body.collect(limit: limit)
        }
        do {
            return try parse(bytes)
        } catch {
            throw S3Error(error)
        }
    }

    // MARK: Lifecycles

    private static let transitionSizeName = "x-amz-transition-default-minimum-object-size"
    /// Which objects go to other classes if no rule says so; the first is S3's own choice. None does
    /// here, so that it is told again and of no effect.
    private static let transitionSizes = ["all_storage_classes_128K", "varies_by_storage_class"]

    private func getLifecycle(_ call: Call) throws(S3Error) -> HTTPResponse {
        var response = try get(DocumentName.lifecycle, call)
        let kept = call.bucketInfo?.settings.documents[DocumentName.transitionSize]
        let size = kept.map { String(decoding: $0, as: UTF8.self) }
        response.headers.add(
            S3Gateway.transitionSizeName, size ?? S3Gateway.transitionSizes[0])
        return response
    }

    private func putLifecycle(_ call: Call) async throws -> HTTPResponse {
        let size = call.headers[S3Gateway.transitionSizeName] ?? S3Gateway.transitionSizes[0]
        guard S3Gateway.transitionSizes.contains(size) else {
            throw S3Error.invalidArgument("Unknown \(S3Gateway.transitionSizeName): \(size)")
        }
        let bytes = try await read(call) { bytes throws(DocumentFault) in
            try LifecycleConfiguration(parsing: bytes).document
        }
        _ = try await call.service.updateBucket(call.bucket) {
            $0.documents[DocumentName.lifecycle] = bytes
            $0.documents[DocumentName.transitionSize] =
                size == S3Gateway.transitionSizes[0] ? nil : Array(size.utf8)
        }
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([(S3Gateway.transitionSizeName, size)]))
    }

    // MARK: Policy

    private func getBucketPolicy(_ call: Call) throws(S3Error) -> HTTPResponse {
        HTTPResponse(
            status: 200, headers: HTTPHeaders([("content-type", "application/json")]),
            body: .bytes(try kept(DocumentName.policy, call)))
    }

    private func putBucketPolicy(_ call: Call) async throws -> HTTPResponse {
        let bucket = call.bucket
        let (bytes, policy) = try await read(call) { bytes throws(DocumentFault) in
            (bytes, try BucketPolicy(parsing: bytes, bucket: bucket))
        }
        if call.access?.block.blocksPublicPolicy == true, policy.isPublic { throw S3Error.denied }
        return try await set(DocumentName.policy, bytes, call)
    }

    private func getBucketPolicyStatus(_ call: Call) throws(S3Error) -> HTTPResponse {
        guard let access = call.access, let policy = access.policy else {
            throw S3Gateway.missing(DocumentName.policy)
        }
        return S3Gateway.xml(
            XMLWriter.document("PolicyStatus") { $0.element("IsPublic", policy.isPublic) })
    }

    // MARK: Others that are more than kept

    private func putOwnershipControls(_ call: Call) async throws -> HTTPResponse {
        let ownership = try await read(call) { bytes throws(DocumentFault) in
            try ObjectOwnership(parsing: bytes)
        }
        if ownership == .bucketOwnerEnforced, call.access?.acl.reachesOthers == true {
            throw S3Gateway.aclsWithEnforcedOwnership
        }
        return try await set(DocumentName.ownership, ownership.document, call, status: 200)
    }

    static let aclsWithEnforcedOwnership = S3Error(
        "InvalidBucketAclWithObjectOwnership", 400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")

    /// All that a network stores is encrypted, whether somebody asked for it or not.
    private func getBucketEncryption(_ call: Call) -> HTTPResponse {
        let kept = call.bucketInfo?.settings.documents[DocumentName.encryption]
        return S3Gateway.xml(kept ?? BucketEncryption().document)
    }

    private func putObjectLockConfiguration(_ call: Call) async throws -> HTTPResponse {
        let lock = try await read(call) { bytes throws(DocumentFault) in
            try ObjectLockConfiguration(parsing: bytes)
        }
        _ = try await call.service.updateBucket(call.bucket) { settings in
            guard settings.versioning == .enabled else {
                throw S3Error(
                    "InvalidBucketState", 409,
                    "Versioning must be 'Enabled' on the bucket to apply a Object Lock "
                        + "configuration")
            }
            settings.documents[DocumentName.objectLock] = lock.document
        }
        return HTTPResponse(status: 200)
    }
}
