extension S3Operation {
    /// The operation on a sub-resource that is a document of a bucket or an object; nil for others.
    static func onDocument(_ name: String, _ method: String, isObject: Bool) -> S3Operation? {
        isObject ? ofObject(name, method) : ofBucket(name, method)
    }

    private static func ofObject(_ name: String, _ method: String) -> S3Operation? {
        switch (name, method) {
        case ("Acl", "GET"): .getObjectAcl
        case ("Acl", "PUT"): .putObjectAcl
        case ("Tagging", "GET"): .getObjectTagging
        case ("Tagging", "PUT"): .putObjectTagging
        case ("Tagging", "DELETE"): .deleteObjectTagging
        case ("Retention", "GET"): .getObjectRetention
        case ("Retention", "PUT"): .putObjectRetention
        case ("LegalHold", "GET"): .getObjectLegalHold
        case ("LegalHold", "PUT"): .putObjectLegalHold
        default: nil
        }
    }

    private static func ofBucket(_ name: String, _ method: String) -> S3Operation? {
        switch (name, method) {
        case ("Acl", "GET"): .getBucketAcl
        case ("Acl", "PUT"): .putBucketAcl
        case ("Policy", "GET"): .getBucketPolicy
        case ("Policy", "PUT"): .putBucketPolicy
        case ("Policy", "DELETE"): .deleteBucketPolicy
        case ("PolicyStatus", "GET"): .getBucketPolicyStatus
        case ("PublicAccessBlock", "GET"): .getPublicAccessBlock
        case ("PublicAccessBlock", "PUT"): .putPublicAccessBlock
        case ("PublicAccessBlock", "DELETE"): .deletePublicAccessBlock
        case ("OwnershipControls", "GET"): .getBucketOwnershipControls
        case ("OwnershipControls", "PUT"): .putBucketOwnershipControls
        case ("OwnershipControls", "DELETE"): .deleteBucketOwnershipControls
        case ("Cors", "GET"): .getBucketCors
        case ("Cors", "PUT"): .putBucketCors
        case ("Cors", "DELETE"): .deleteBucketCors
        case ("Tagging", "GET"): .getBucketTagging
        case ("Tagging", "PUT"): .putBucketTagging
        case ("Tagging", "DELETE"): .deleteBucketTagging
        case ("LifecycleConfiguration", "GET"): .getBucketLifecycleConfiguration
        case ("LifecycleConfiguration", "PUT"): .putBucketLifecycleConfiguration
        case ("LifecycleConfiguration", "DELETE"): .deleteBucketLifecycle
        case ("Encryption", "GET"): .getBucketEncryption
        case ("Encryption", "PUT"): .putBucketEncryption
        case ("Encryption", "DELETE"): .deleteBucketEncryption
        case ("LockConfiguration", "GET"): .getObjectLockConfiguration
        case ("LockConfiguration", "PUT"): .putObjectLockConfiguration
        case ("RequestPayment", "GET"): .getBucketRequestPayment
        case ("Logging", "GET"): .getBucketLogging
        case ("AccelerateConfiguration", "GET"): .getBucketAccelerateConfiguration
        default: nil
        }
    }
}
