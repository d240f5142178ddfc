internal import CyxHTTP
internal import CyxS3

/// One thing that a requester must be allowed to do for an operation to be carried out.
struct AccessNeed: Equatable, Sendable {
    enum Subject: Sendable { case bucket, object }

    /// By S3's name, without `s3:`.
    var action: String
    /// What the action is done to: the resource that policies name.
    var subject: Subject
    /// The permission of an ACL that also allows it; nil if none does.
    var permission: ACLPermission?
    /// Whose ACL that is.
    var acl: Subject

    static func bucket(_ action: String, _ permission: ACLPermission? = nil) -> AccessNeed {
        AccessNeed(action: action, subject: .bucket, permission: permission, acl: .bucket)
    }

    static func object(_ action: String, _ permission: ACLPermission? = nil) -> AccessNeed {
        AccessNeed(action: action, subject: .object, permission: permission, acl: .object)
    }

    /// What is written into a bucket: its ACL decides, not that of an object which may be there.
    static func write(_ action: String) -> AccessNeed {
        AccessNeed(action: action, subject: .object, permission: .write, acl: .bucket)
    }

    static let list = bucket("ListBucket", .read)

    /// What the owner's account may do whatever the bucket's policy says, so that nobody locks
    /// himself out.
    var isOfPolicy: Bool {
        ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"].contains(action)
    }
}

extension S3Request {
    /// Whether the request names a version.
    var isVersioned: Bool { version != nil }
}

extension S3Operation {
    /// What each operation on a bucket or an object needs, before anything is looked at. Nil where
    /// only the owner's account may, whatever a policy says; empty where it needs but an account.
    func needs(of request: S3Request) -> [AccessNeed]? {
        switch self {
        case .listBuckets, .createBucket, .listPins, .getPin, .headPin, .deletePin,
            .createKey, .listKeys, .deleteKey:
            return []
        case .createPin: return nil
        case .unsupported: return [.bucket("ListBucket")]
        case .getObject, .headObject: return [reading(request)]
        case .getObjectAttributes:
            let action = request.isVersioned ? "GetObjectVersionAttributes" : "GetObjectAttributes"
            return [reading(request), .object(action, .read)]
        case .putObject, .copyObject, .createMultipartUpload:
            return [.write("PutObject")] + S3Operation.extras(request.http.headers)
        case .uploadPart, .uploadPartCopy, .completeMultipartUpload: return [.write("PutObject")]
        case .abortMultipartUpload: return [.write("AbortMultipartUpload")]
        case .listParts: return [.write("ListMultipartUploadParts")]
        case .deleteObject:
            return [.write(request.isVersioned ? "DeleteObjectVersion" : "DeleteObject")]
        // Asked for each key when it is its turn.
        case .deleteObjects: return []
        default: return bucketNeeds ?? objectNeeds(request)
        }
    }

    private func reading(_ request: S3Request) -> AccessNeed {
        .object(request.isVersioned ? "GetObjectVersion" : "GetObject", .read)
    }

    /// What a writer says beside the bytes needs to be allowed as well.
    private static func extras(_ headers: HTTPHeaders) -> [AccessNeed] {
        var needs: [AccessNeed] = []
        if headers.fields.contains(where: {
            $0.name == "x-amz-acl" || $0.name.hasPrefix("x-amz-grant-")
        }) {
            needs.append(.write("PutObjectAcl"))
        }
        if headers.contains("x-amz-tagging") {
            needs.append(.object("PutObjectTagging"))
        }
        if headers.contains("x-amz-object-lock-mode")
            || headers.contains("x-amz-object-lock-retain-until-date")
        {
            needs.append(.object("PutObjectRetention"))
        }
        if headers.contains("x-amz-object-lock-legal-hold") {
            needs.append(.object("PutObjectLegalHold"))
        }
        return needs
    }

    private func objectNeeds(_ request: S3Request) -> [AccessNeed]? {
        let version = request.isVersioned ? "Version" : ""
        switch self {
        case .getObjectAcl: return [.object("GetObject\(version)Acl", .readACL)]
        case .putObjectAcl: return [.object("PutObject\(version)Acl", .writeACL)]
        case .getObjectTagging: return [.object("GetObject\(version)Tagging")]
        case .putObjectTagging: return [.object("PutObject\(version)Tagging")]
        case .deleteObjectTagging: return [.object("DeleteObject\(version)Tagging")]
        case .getObjectRetention: return [.object("GetObjectRetention")]
        case .putObjectRetention: return [.object("PutObjectRetention")]
        case .getObjectLegalHold: return [.object("GetObjectLegalHold")]
        case .putObjectLegalHold: return [.object("PutObjectLegalHold")]
        default: return nil
        }
    }

    private var bucketNeeds: [AccessNeed]? {
        switch self {
        case .deleteBucket: [.bucket("DeleteBucket")]
        case .headBucket, .listObjects, .listObjectsV2: [.list]
        case .listObjectVersions: [.bucket("ListBucketVersions", .read)]
        case .listMultipartUploads: [.bucket("ListBucketMultipartUploads", .read)]
        case .getBucketLocation: [.bucket("GetBucketLocation")]
        case .getBucketVersioning: [.bucket("GetBucketVersioning")]
        case .putBucketVersioning: [.bucket("PutBucketVersioning")]
        case .getBucketAcl: [.bucket("GetBucketAcl", .readACL)]
        case .putBucketAcl: [.bucket("PutBucketAcl", .writeACL)]
        case .getBucketPolicy: [.bucket("GetBucketPolicy")]
        case .putBucketPolicy: [.bucket("PutBucketPolicy")]
        case .deleteBucketPolicy: [.bucket("DeleteBucketPolicy")]
        case .getBucketPolicyStatus: [.bucket("GetBucketPolicyStatus")]
        case .getPublicAccessBlock: [.bucket("GetBucketPublicAccessBlock")]
        case .putPublicAccessBlock, .deletePublicAccessBlock:
            [.bucket("PutBucketPublicAccessBlock")]
        case .getBucketOwnershipControls: [.bucket("GetBucketOwnershipControls")]
        case .putBucketOwnershipControls, .deleteBucketOwnershipControls:
            [.bucket("PutBucketOwnershipControls")]
        case .getBucketCors: [.bucket("GetBucketCORS")]
        case .putBucketCors, .deleteBucketCors: [.bucket("PutBucketCORS")]
        case .getBucketTagging: [.bucket("GetBucketTagging")]
        case .putBucketTagging, .deleteBucketTagging: [.bucket("PutBucketTagging")]
        case .getBucketLifecycleConfiguration: [.bucket("GetLifecycleConfiguration")]
        case .putBucketLifecycleConfiguration, .deleteBucketLifecycle:
            [.bucket("PutLifecycleConfiguration")]
        case .getBucketEncryption: [.bucket("GetEncryptionConfiguration")]
        case .putBucketEncryption, .deleteBucketEncryption:
            [.bucket("PutEncryptionConfiguration")]
        case .getObjectLockConfiguration: [.bucket("GetBucketObjectLockConfiguration")]
        case .putObjectLockConfiguration: [.bucket("PutBucketObjectLockConfiguration")]
        case .getBucketRequestPayment: [.bucket("GetBucketRequestPayment")]
        case .getBucketLogging: [.bucket("GetBucketLogging")]
        case .getBucketAccelerateConfiguration: [.bucket("GetAccelerateConfiguration")]
        default: nil
        }
    }
}
