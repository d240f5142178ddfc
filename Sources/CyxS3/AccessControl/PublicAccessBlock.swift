/// What a bucket's owner forbids himself: `PublicAccessBlockConfiguration`.
package struct PublicAccessBlock: Equatable, Sendable {
    /// No new public ACL, of the bucket or an object, is taken.
    package var blocksPublicACLs = false
    /// Public grants of ACLs do not count.
    package var ignoresPublicACLs = false
    /// No new public policy is taken.
    package var blocksPublicPolicy = false
    /// Of a public policy only what it gives the bucket's owner counts.
    package var restrictsPublicBuckets = false

    package init() {}

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "PublicAccessBlockConfiguration")
        blocksPublicACLs = try root.flag("BlockPublicAcls") ?? false
        ignoresPublicACLs = try root.flag("IgnorePublicAcls") ?? false
        blocksPublicPolicy = try root.flag("BlockPublicPolicy") ?? false
        restrictsPublicBuckets = try root.flag("RestrictPublicBuckets") ?? false
    }

    package var document: [UInt8] {
        XMLWriter.document("PublicAccessBlockConfiguration") { xml in
            xml.element("BlockPublicAcls", blocksPublicACLs)
            xml.element("IgnorePublicAcls", ignoresPublicACLs)
            xml.element("BlockPublicPolicy", blocksPublicPolicy)
            xml.element("RestrictPublicBuckets", restrictsPublicBuckets)
        }
    }
}

/// Whose the objects are that others write into a bucket: `OwnershipControls`.
package enum ObjectOwnership: String, CaseIterable, Sendable {
    /// The bucket owner's, whatever ACLs say: there are none.
    case bucketOwnerEnforced = "BucketOwnerEnforced"
    /// The bucket owner's if written with `bucket-owner-full-control`.
    case bucketOwnerPreferred = "BucketOwnerPreferred"
    /// The writer's.
    case objectWriter = "ObjectWriter"

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "OwnershipControls")
        let rules = root.children(named: "Rule")
        guard rules.count == 1,
            let ownership = ObjectOwnership(rawValue: rules[0].text(of: "ObjectOwnership") ?? "")
        else { throw .malformedXML }
        self = ownership
    }

    package var document: [UInt8] {
        XMLWriter.document("OwnershipControls") { xml in
            xml.element("Rule") { $0.element("ObjectOwnership", rawValue) }
        }
    }
}
