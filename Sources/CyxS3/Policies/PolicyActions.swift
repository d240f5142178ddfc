/// The actions of S3 that policies may name, and what they are done to.
enum PolicyActions {
    /// On `arn:aws:s3:::bucket/key`.
    static let ofObjects = lowercased([
        "AbortMultipartUpload", "BypassGovernanceRetention", "DeleteObject",
        "DeleteObjectTagging", "DeleteObjectVersion", "DeleteObjectVersionTagging", "GetObject",
        "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention",
        "GetObjectTagging", "GetObjectTorrent", "GetObjectVersion", "GetObjectVersionAcl",
        "GetObjectVersionAttributes", "GetObjectVersionForReplication",
        "GetObjectVersionTagging", "GetObjectVersionTorrent", "InitiateReplication",
        "ListMultipartUploadParts", "ObjectOwnerOverrideToBucketOwner", "PutObject",
        "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging",
        "PutObjectVersionAcl", "PutObjectVersionTagging", "ReplicateDelete", "ReplicateObject",
        "ReplicateTags", "RestoreObject", "UpdateObjectEncryption",
    ])

    /// On `arn:aws:s3:::bucket`.
    static let ofBuckets = lowercased([
        "CreateBucket", "DeleteBucket", "DeleteBucketOwnershipControls", "DeleteBucketPolicy",
        "DeleteBucketWebsite", "GetAccelerateConfiguration", "GetAnalyticsConfiguration",
        "GetBucketAcl", "GetBucketCORS", "GetBucketLocation", "GetBucketLogging",
        "GetBucketMetadataTableConfiguration", "GetBucketNotification",
        "GetBucketObjectLockConfiguration", "GetBucketOwnershipControls", "GetBucketPolicy",
        "GetBucketPolicyStatus", "GetBucketPublicAccessBlock", "GetBucketRequestPayment",
        "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite",
        "GetEncryptionConfiguration", "GetIntelligentTieringConfiguration",
        "GetInventoryConfiguration", "GetLifecycleConfiguration", "GetMetricsConfiguration",
        "GetReplicationConfiguration", "ListBucket", "ListBucketMultipartUploads",
        "ListBucketVersions", "PutAccelerateConfiguration", "PutAnalyticsConfiguration",
        "PutBucketAcl", "PutBucketCORS", "PutBucketLogging", "PutBucketNotification",
        "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy",
        "PutBucketPublicAccessBlock", "PutBucketRequestPayment", "PutBucketTagging",
        "PutBucketVersioning", "PutBucketWebsite", "PutEncryptionConfiguration",
        "PutIntelligentTieringConfiguration", "PutInventoryConfiguration",
        "PutLifecycleConfiguration", "PutMetricsConfiguration", "PutReplicationConfiguration",
        "TagResource", "UntagResource", "ListTagsForResource",
    ])

    private static func lowercased(_ names: [String]) -> [[UInt8]] {
        names.map { Array("s3:\($0)".lowercased().utf8) }
    }

    /// What a pattern of actions means: nil if there is no such action.
    static func reach(of pattern: PolicyPattern) -> (objects: Bool, buckets: Bool)? {
        let objects = pattern.matchesAny(of: ofObjects)
        let buckets = pattern.matchesAny(of: ofBuckets)
        return objects || buckets ? (objects, buckets) : nil
    }
}
