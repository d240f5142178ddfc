import CyxCore
import CyxObjects
import CyxS3
import Testing

@testable import CyxGateway

@Suite struct BucketAccessTests {
    private static let owner = String(repeating: "a1", count: 32)
    private static let bob = String(repeating: "b2", count: 32)
    private static let ownerAsks = PolicyRequester.account(id: owner, name: "owner")
    private static let bobAsks = PolicyRequester.account(id: bob, name: "bob")

    private static func policy(_ effect: String, _ principal: String = "*") -> [UInt8] {
        Array(
            ("{\"Statement\":{\"Effect\":\"\(effect)\",\"Principal\":{\"AWS\":\"\(principal)\"},"
                + "\"Action\":\"s3:*\",\"Resource\":[\"arn:aws:s3:::photos\","
                + "\"arn:aws:s3:::photos/*\"]}}").utf8)
    }

    private static func acl(_ owner: String, _ grants: [AccessControlList.Grant]) -> [UInt8] {
        AccessControlList(owner: owner, grants: grants).document { _ in nil }
    }

    private static func access(_ documents: [String: [UInt8]] = [:]) throws -> BucketAccess {
        var settings = BucketSettings()
        settings.documents = documents
        let info = BucketInfo(
            name: "photos", created: WallTime(milliseconds: 0), settings: settings)
        return try BucketAccess(info, owner: owner)
    }

    private static func allows(
        _ access: BucketAccess, _ need: AccessNeed, _ requester: PolicyRequester,
        object: AccessControlList? = nil
    ) -> Bool {
        let path = need.subject == .object ? "photos/key" : "photos"
        let context = PolicyContext(
            requester: requester, action: "s3:" + need.action, resource: "arn:aws:s3:::" + path)
        return access.allows(need, context, object: object.map { .init(acl: $0) })
    }

    private static let read = AccessNeed.object("GetObject", .read)
    private static let write = AccessNeed.write("PutObject")

    @Test func withoutDocumentsABucketIsItsOwners() throws {
        let access = try Self.access()
        let mine = AccessControlList.private(owner: Self.owner)
        for need in [Self.read, Self.write, .list, .bucket("DeleteBucket")] {
            #expect(Self.allows(access, need, Self.ownerAsks, object: mine))
            #expect(!Self.allows(access, need, Self.bobAsks, object: mine))
            #expect(!Self.allows(access, need, .anonymous, object: mine))
        }
        #expect(!access.mayHoldForeignObjects)
    }

    @Test func denialsHoldForTheOwnerButNotOnHisPolicy() throws {
        let access = try Self.access([DocumentName.policy: Self.policy("Deny")])
        #expect(!Self.allows(access, .list, Self.ownerAsks))
        for action in ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"] {
            #expect(Self.allows(access, .bucket(action), Self.ownerAsks))
            #expect(!Self.allows(access, .bucket(action), Self.bobAsks))
        }
    }

    @Test func policiesGiveAwayWhatIsTheBucketOwners() throws {
        let access = try Self.access([DocumentName.policy: Self.policy("Allow")])
        let mine = AccessControlList.private(owner: Self.owner)
        let theirs = AccessControlList.private(owner: String(repeating: "c3", count: 32))
        #expect(Self.allows(access, Self.read, Self.bobAsks, object: mine))
        #expect(!Self.allows(access, Self.read, Self.bobAsks, object: theirs))
        #expect(!Self.allows(access, Self.read, Self.ownerAsks, object: theirs))
        #expect(Self.allows(access, Self.write, Self.bobAsks, object: theirs))
        #expect(access.mayHoldForeignObjects)
    }

    @Test func publicPoliciesGiveNothingWhereTheyAreRestricted() throws {
        var block = PublicAccessBlock()
        block.restrictsPublicBuckets = true
        let open = try Self.access([
            DocumentName.policy: Self.policy("Allow"), DocumentName.block: block.document,
        ])
        #expect(!Self.allows(open, .list, .anonymous))
        #expect(!Self.allows(open, .list, Self.bobAsks))
        #expect(Self.allows(open, .list, Self.ownerAsks))
        let named = try Self.access([
            DocumentName.policy: Self.policy("Allow", Self.bob),
            DocumentName.block: block.document,
        ])
        #expect(Self.allows(named, .list, Self.bobAsks))
    }

    @Test func grantsCountUnlessThereAreNoACLsOrPublicOnesAreIgnored() throws {
        let grants: [AccessControlList.Grant] = [
            .init(.group(.everybody), .read), .init(.account(Self.bob), .write),
        ]
        let documents = [DocumentName.acl: Self.acl(Self.owner, grants)]
        let open = try Self.access(documents)
        #expect(Self.allows(open, .list, .anonymous))
        #expect(Self.allows(open, Self.write, Self.bobAsks))
        #expect(!Self.allows(open, Self.write, .anonymous))
        #expect(!Self.allows(open, .bucket("GetBucketLocation"), Self.bobAsks))

        var block = PublicAccessBlock()
        block.ignoresPublicACLs = true
        let ignoring = try Self.access(
            documents.merging([DocumentName.block: block.document]) { $1 })
        #expect(!Self.allows(ignoring, .list, .anonymous))
        #expect(Self.allows(ignoring, Self.write, Self.bobAsks))

        let enforced = ObjectOwnership.bucketOwnerEnforced.document
        let without = try Self.access(
            documents.merging([DocumentName.ownership: enforced]) { $1 })
        #expect(!Self.allows(without, .list, .anonymous))
        #expect(!Self.allows(without, Self.write, Self.bobAsks))
    }

    @Test func ownersOfObjectsAlwaysReachTheirACLs() throws {
        let access = try Self.access()
        let object = AccessControlList(owner: Self.bob, grants: [])
        for (action, permission) in [
            ("GetObjectAcl", ACLPermission.readACL), ("PutObjectAcl", .writeACL),
        ] {
            let need = AccessNeed.object(action, permission)
            #expect(Self.allows(access, need, Self.bobAsks, object: object))
            #expect(!Self.allows(access, need, .anonymous, object: object))
        }
        #expect(!Self.allows(access, Self.read, Self.bobAsks, object: object))
    }

    @Test func aDocumentThatCannotBeReadForbidsAll() {
        for name in [DocumentName.policy, DocumentName.acl, DocumentName.block] {
            let error = #expect(throws: S3Error.self) {
                try Self.access([name: Array("broken".utf8)])
            }
            #expect(error?.code == "InternalError")
        }
    }

    // MARK: New objects

    private static func newACL(
        _ ownership: ObjectOwnership, _ requested: RequestedACL?, by requester: PolicyRequester,
        block: PublicAccessBlock = PublicAccessBlock()
    ) throws -> AccessControlList? {
        try access([
            DocumentName.ownership: ownership.document, DocumentName.block: block.document,
        ]).aclOfNewObject(requested, by: requester)
    }

    @Test func whatOthersWriteIsTheirsUnlessOwnershipSaysOtherwise() throws {
        #expect(
            try Self.newACL(.objectWriter, nil, by: Self.bobAsks) == .private(owner: Self.bob))
        #expect(try Self.newACL(.objectWriter, nil, by: Self.ownerAsks) == nil)
        #expect(try Self.newACL(.objectWriter, nil, by: .anonymous) == nil)
        #expect(try Self.newACL(.bucketOwnerEnforced, nil, by: Self.bobAsks) == nil)
        let full = RequestedACL.canned(.bucketOwnerFullControl)
        #expect(try Self.newACL(.bucketOwnerPreferred, full, by: Self.bobAsks) == nil)
        #expect(
            try Self.newACL(.bucketOwnerPreferred, nil, by: Self.bobAsks)
                == .private(owner: Self.bob))
        let shared = try Self.newACL(.objectWriter, full, by: Self.bobAsks)
        #expect(shared?.owner == Self.bob)
        #expect(shared?.grants.last == .init(.account(Self.owner), .fullControl))
    }

    @Test func withoutACLsOnlyTheUsualOneIsTaken() throws {
        for usual in [CannedACL.private, .bucketOwnerFullControl, .bucketOwnerRead] {
            #expect(
                try Self.newACL(.bucketOwnerEnforced, .canned(usual), by: Self.ownerAsks) == nil)
        }
        for other in [RequestedACL.canned(.publicRead), .grants([])] {
            let error = #expect(throws: S3Error.self) {
                try Self.newACL(.bucketOwnerEnforced, other, by: Self.ownerAsks)
            }
            #expect(error?.code == "AccessControlListNotSupported")
        }
    }

    @Test func publicACLsAreRefusedWhereTheyAreBlocked() {
        var block = PublicAccessBlock()
        block.blocksPublicACLs = true
        let error = #expect(throws: S3Error.self) {
            try Self.newACL(
                .objectWriter, .canned(.authenticatedRead), by: Self.ownerAsks, block: block)
        }
        #expect(error?.code == "AccessDenied")
    }

    @Test func rulesFollowTheDocuments() throws {
        let cache = BucketRulesCache()
        var info = BucketInfo(name: "photos", created: WallTime(milliseconds: 0))
        #expect(try cache.rules(of: info, owner: Self.owner).access.policy == nil)
        info.settings.documents[DocumentName.policy] = Self.policy("Allow")
        let first = try cache.rules(of: info, owner: Self.owner)
        #expect(first.access.policy?.isPublic == true)
        info.settings.documents[DocumentName.policy] = Self.policy("Allow", Self.bob)
        #expect(try cache.rules(of: info, owner: Self.owner).access.policy?.isPublic == false)
        #expect(try cache.rules(of: info, owner: Self.bob).access.owner == Self.bob)
        info.settings.documents = [:]
        #expect(try cache.rules(of: info, owner: Self.owner).access.policy == nil)
    }

    // MARK: What an answer depends on

    @Test func objectsAreLookedAtOnlyWhereTheyCount() throws {
        let plain = try Self.access()
        #expect(!plain.asksForObject(Self.read, Self.ownerAsks))
        #expect(plain.asksForObject(Self.read, Self.bobAsks))
        #expect(!plain.asksForObject(Self.write, Self.bobAsks))
        let shared = try Self.access([
            DocumentName.acl: Self.acl(Self.owner, [.init(.account(Self.bob), .write)])
        ])
        #expect(shared.asksForObject(Self.read, Self.ownerAsks))
        let enforced = try Self.access([
            DocumentName.ownership: ObjectOwnership.bucketOwnerEnforced.document
        ])
        #expect(!enforced.asksForObject(Self.read, Self.bobAsks))
    }
}
