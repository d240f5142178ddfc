/// Sub-resources, and what S3's reference calls the operations on those that this gateway has not.
extension S3Operation {
    /// Of buckets and objects; `Acl` becomes `GetBucketAcl` and so on. Those that nothing is done with
    /// stand here too: without that, a PUT of one would be taken for one of the object itself.
    static let subresources: [(query: String, name: String)] = [
        ("abac", "Abac"), ("accelerate", "AccelerateConfiguration"), ("acl", "Acl"),
        ("analytics", "AnalyticsConfiguration"), ("annotation", "Annotation"),
        ("attributes", "Attributes"), ("cors", "Cors"), ("encryption", "Encryption"),
        ("intelligent-tiering", "IntelligentTieringConfiguration"),
        ("inventory", "InventoryConfiguration"), ("legal-hold", "LegalHold"),
        ("lifecycle", "LifecycleConfiguration"), ("location", "Location"), ("logging", "Logging"),
        ("metadataAnnotationTable", "MetadataAnnotationTableConfiguration"),
        ("metadataConfiguration", "MetadataConfiguration"),
        ("metadataInventoryTable", "MetadataInventoryTableConfiguration"),
        ("metadataJournalTable", "MetadataJournalTableConfiguration"),
        ("metadataTable", "MetadataTableConfiguration"), ("metrics", "MetricsConfiguration"),
        ("notification", "NotificationConfiguration"), ("object-lock", "LockConfiguration"),
        ("ownershipControls", "OwnershipControls"), ("policy", "Policy"),
        ("policyStatus", "PolicyStatus"), ("publicAccessBlock", "PublicAccessBlock"),
        ("renameObject", "Rename"), ("replication", "Replication"),
        ("requestPayment", "RequestPayment"), ("restore", "Restore"), ("retention", "Retention"),
        ("select", "Content"), ("session", "Session"), ("tagging", "Tagging"),
        ("torrent", "Torrent"), ("versioning", "Versioning"), ("versions", "Versions"),
        ("website", "Website"),
    ]

    /// The methods that S3 has for sub-resources of buckets and of objects, where not GET, PUT and
    /// DELETE.
    private static let methodsOfBuckets: [String: Set<String>] = [
        "Abac": ["GET", "PUT"], "AccelerateConfiguration": ["GET", "PUT"], "Acl": ["GET", "PUT"],
        "Location": ["GET"], "LockConfiguration": ["GET", "PUT"], "Logging": ["GET", "PUT"],
        "MetadataConfiguration": ["GET", "POST", "DELETE"],
        "MetadataTableConfiguration": ["GET", "POST", "DELETE"],
        "NotificationConfiguration": ["GET", "PUT"], "PolicyStatus": ["GET"],
        "RequestPayment": ["GET", "PUT"], "Session": ["GET"], "Versioning": ["GET", "PUT"],
        "Versions": ["GET"],
    ]
    private static let methodsOfObjects: [String: Set<String>] = [
        "Acl": ["GET", "PUT"], "Attributes": ["GET"], "Content": ["POST"], "Encryption": ["PUT"],
        "LegalHold": ["GET", "PUT"], "Rename": ["PUT"], "Restore": ["POST"],
        "Retention": ["GET", "PUT"], "Torrent": ["GET"],
    ]

    /// Whether S3 has an operation with that method on that sub-resource.
    static func isMethod(_ method: String, of name: String, isObject: Bool) -> Bool {
        let methods = isObject ? methodsOfObjects : methodsOfBuckets
        return (methods[name] ?? ["GET", "PUT", "DELETE"]).contains(method)
    }

    /// Configurations of which a bucket has many, each with an ID.
    private static let many: Set<String> = [
        "AnalyticsConfiguration", "IntelligentTieringConfiguration", "InventoryConfiguration",
        "MetricsConfiguration",
    ]

    /// Its path only looks like that of a bucket.
    static let writeGetObjectResponse = S3Operation.unsupported("WriteGetObjectResponse")

    static func unsupportedName(
        _ name: String, _ method: String, _ query: S3Query, isObject: Bool
    ) -> String {
        let isMetadata = name.hasPrefix("Metadata")
        switch (method, name, isObject) {
        case ("GET", _, false) where many.contains(name) && !query.has("id"):
            return "ListBucket\(name)s"
        case ("GET", "Session", false): return "CreateSession"
        case ("POST", _, false) where isMetadata: return "CreateBucket" + name
        case ("PUT", _, false) where isMetadata: return "UpdateBucket" + name
        case ("GET", "Annotation", true) where !query.has("annotationName"):
            return "ListObjectAnnotations"
        case ("PUT", "Encryption", true): return "UpdateObjectEncryption"
        case ("PUT", "Rename", true): return "RenameObject"
        case ("POST", "Restore", true): return "RestoreObject"
        case ("POST", "Content", true): return "SelectObjectContent"
        default: break
        }
        let verb =
            switch method {
            case "PUT", "POST": "Put"
            case "DELETE": "Delete"
            default: "Get"
            }
        return verb + (isObject ? "Object" : "Bucket") + name
    }
}
