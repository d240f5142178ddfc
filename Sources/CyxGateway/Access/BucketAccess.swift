internal import CyxCore
internal import CyxObjects
internal import CyxS3

/// Names of the documents that the gateway keeps with buckets and object versions.
enum DocumentName {
    static let policy = "policy"
    static let acl = "acl"
    static let block = "publicAccessBlock"
    static let ownership = "ownershipControls"
    static let cors = "cors"
    static let tagging = "tagging"
    static let lifecycle = "lifecycle"
    static let encryption = "encryption"
    static let objectLock = "objectLock"
    /// The region that the bucket was created for; no document of S3's.
    static let location = "location"
    /// Beside the lifecycle; no document either.
    static let transitionSize = "transitionSize"

    // Of object versions.
    static let tags = "tags"
    static let retention = "retention"
    static let legalHold = "legalHold"
}

/// Who may do what with one bucket and the objects in it. Pure: it decides, nothing else does.
struct BucketAccess: Sendable {
    /// Whose an object is and what its ACL says.
    struct ObjectSide: Equatable, Sendable {
        var acl: AccessControlList
        var owner: String { acl.owner }
    }

    let bucket: String
    /// Canonical user ID.
    let owner: String
    let policy: BucketPolicy?
    let acl: AccessControlList
    let ownership: ObjectOwnership
    let block: PublicAccessBlock
    /// Whether some objects may be somebody else's than the bucket.
    let mayHoldForeignObjects: Bool

    init(_ info: BucketInfo, owner: String) throws(S3Error) {
        bucket = info.name
        self.owner = owner
        let documents = info.settings.documents
        do throws(DocumentFault) {
            let name = bucket
            policy = try documents[DocumentName.policy].map {
                bytes throws(DocumentFault) in try BucketPolicy(parsing: bytes, bucket: name)
            }
            acl =
                try documents[DocumentName.acl].map {
                    bytes throws(DocumentFault) in
                    try AccessControlList(parsing: bytes, owner: owner)
                } ?? .private(owner: owner)
            ownership =
                try documents[DocumentName.ownership].map {
                    bytes throws(DocumentFault) in try ObjectOwnership(parsing: bytes)
                } ?? .objectWriter
            block =
                try documents[DocumentName.block].map {
                    bytes throws(DocumentFault) in try PublicAccessBlock(parsing: bytes)
                } ?? PublicAccessBlock()
        } catch {
            // What forbids something must not be passed over.
            throw S3Error(
                "InternalError", 500,
                "A document of the bucket \(info.name) cannot be read: \(error.message)")
        }
        mayHoldForeignObjects =
            ownership != .bucketOwnerEnforced
            && (policy != nil || acl.reachesOthers || documents[DocumentName.acl] != nil)
    }

    /// Whether ACLs count at all.
    var hasACLs: Bool { ownership != .bucketOwnerEnforced }

    /// Whose an object is and what its ACL says, out of what is kept with it.
    func side(of info: ObjectInfo) throws(S3Error) -> ObjectSide {
        guard hasACLs, let bytes = info.attributes[DocumentName.acl] else {
            return ObjectSide(acl: .private(owner: owner))
        }
        do {
            return ObjectSide(acl: try AccessControlList(parsing: bytes, owner: owner))
        } catch {
            throw S3Error(
                "InternalError", 500, "The ACL of an object cannot be read: \(error.message)")
        }
    }

    /// Whether the answer depends on the object that is there: its ACL, its owner or its tags.
    func asksForObject(_ need: AccessNeed, _ requester: PolicyRequester) -> Bool {
        guard need.subject == .object else { return false }
        if policy?.asksForObjectTags == true { return true }
        guard need.acl == .object, hasACLs else { return false }
        return requester.id == owner ? mayHoldForeignObjects : true
    }

    /// Whether `need` is met. `object`: what is there, where `asksForObject` says that it counts.
    func allows(_ need: AccessNeed, _ context: PolicyContext, object: ObjectSide? = nil) -> Bool {
        let requester = context.requester
        let isOwner = requester.id == owner
        var answer = policy?.answer(to: context) ?? .silent
        if answer == .denied {
            guard isOwner, need.isOfPolicy else { return false }
            answer = .silent
        }
        if !isOwner, block.restrictsPublicBuckets, policy?.isPublic == true { answer = .silent }
        let objectOwner = hasACLs ? object?.owner ?? owner : owner
        let isOfBucketOwner = need.acl == .bucket || objectOwner == owner
        // A bucket's owner gives away what is his; the objects of others are theirs.
        if isOwner || answer == .allowed, isOfBucketOwner || need.permission == nil { return true }
        guard hasACLs, let permission = need.permission else { return false }
        let isACL = permission == .readACL || permission == .writeACL
        if need.acl == .object, isACL, requester.id == objectOwner { return true }
        let list = need.acl == .bucket ? acl : object?.acl
        return list?.allows(
            permission, to: requester, countsPublic: !block.ignoresPublicACLs) ?? false
    }

    // MARK: ACLs of what is written

    static let notSupported = DocumentFault(
        "AccessControlListNotSupported", 400, "The bucket does not allow ACLs")

    /// Throws if a new ACL is one that the bucket does not take.
    func check(_ list: AccessControlList) throws(S3Error) {
        if block.blocksPublicACLs, list.isPublic { throw .denied }
    }

    /// The ACL of an object that `requester` writes, as it is kept with it; nil for the usual one:
    /// the bucket owner's, his alone. Where there are no ACLs, `private` from the owner is taken for
    /// that, unlike in S3: some clients send it with every object.
    func aclOfNewObject(
        _ requested: RequestedACL?, by requester: PolicyRequester
    ) throws(S3Error) -> AccessControlList? {
        guard hasACLs else {
            let usual = AccessControlList.private(owner: owner)
            let list = requested?.list(owner: requester.id ?? owner, bucketOwner: owner)
            guard (list ?? usual) == usual || requested == .canned(.bucketOwnerFullControl) else {
                throw S3Error(BucketAccess.notSupported)
            }
            return nil
        }
        var objectOwner = requester.id ?? owner
        if ownership == .bucketOwnerPreferred, requested == .canned(.bucketOwnerFullControl) {
            objectOwner = owner
        }
        let list =
            requested?.list(owner: objectOwner, bucketOwner: owner)
            ?? .private(owner: objectOwner)
        try check(list)
        return list == .private(owner: owner) ? nil : list
    }

    /// Throws unless ACLs may be set; `list` is what would be set.
    func checkACLsAllowed(_ list: AccessControlList) throws(S3Error) {
        guard hasACLs || list == .private(owner: owner) else {
            throw S3Error(BucketAccess.notSupported)
        }
        try check(list)
    }
}

extension S3Error {
    static let denied = S3Error.accessDenied("Access Denied")

    init(_ fault: DocumentFault) { self.init(fault.code, fault.status, fault.message) }
}
