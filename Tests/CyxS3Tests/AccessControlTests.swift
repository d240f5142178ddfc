import CyxS3
import Testing

@Suite struct AccessControlTests {
    private static let alice = String(repeating: "a1", count: 32)
    private static let bob = String(repeating: "b2", count: 32)
    private static let bobAsks = PolicyRequester.account(id: bob, name: "bob")

    private static func requested(_ headers: [String: String]) throws -> RequestedACL? {
        try RequestedACL { headers[$0] }
    }

    // MARK: Headers

    @Test(arguments: [
        ("private", false, false, false), ("public-read", true, true, false),
        ("public-read-write", true, true, true), ("authenticated-read", false, true, false),
        ("bucket-owner-read", false, false, false), ("log-delivery-write", false, false, false),
    ])
    func cannedACLsGiveTheirGroups(
        name: String, anybodyReads: Bool, bobReads: Bool, bobWrites: Bool
    ) throws {
        let acl = try #require(try Self.requested(["x-amz-acl": name]))
            .list(owner: Self.alice, bucketOwner: Self.alice)
        #expect(acl.allows(.read, to: .anonymous) == anybodyReads)
        #expect(acl.allows(.read, to: Self.bobAsks) == bobReads)
        #expect(acl.allows(.write, to: Self.bobAsks) == bobWrites)
        #expect(!acl.allows(.readACL, to: Self.bobAsks))
        #expect(!acl.allows(.read, to: Self.bobAsks, countsPublic: false))
        #expect(acl.allows(.writeACL, to: .account(id: Self.alice, name: "alice")))
        #expect(acl.isPublic == (anybodyReads || bobReads))
    }

    @Test func bucketOwnersGetWhatWritersGiveThem() throws {
        for (name, permission) in [
            ("bucket-owner-read", ACLPermission.read),
            ("bucket-owner-full-control", .fullControl),
        ] {
            let acl = try #require(try Self.requested(["x-amz-acl": name]))
                .list(owner: Self.bob, bucketOwner: Self.alice)
            #expect(acl.grants.last == .init(.account(Self.alice), permission))
        }
    }

    @Test func grantsOfHeadersAreGiven() throws {
        let headers = [
            "x-amz-grant-read":
                "id=\"\(Self.bob)\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"",
            "x-amz-grant-write-acp": "id=\(Self.bob)",
        ]
        let acl = try #require(try Self.requested(headers))
            .list(owner: Self.alice, bucketOwner: Self.alice)
        #expect(acl.allows(.read, to: .anonymous))
        #expect(acl.allows(.writeACL, to: Self.bobAsks))
        #expect(!acl.allows(.readACL, to: Self.bobAsks))
        // The owner gave himself nothing.
        #expect(!acl.allows(.write, to: .account(id: Self.alice, name: "alice")))
    }

    @Test(arguments: [
        (["x-amz-acl": "open"], "InvalidArgument"),
        (["x-amz-acl": "private", "x-amz-grant-read": "id=x"], "InvalidArgument"),
        (["x-amz-acl": "private", "x-amz-grant-read": "id=\(bob)"], "InvalidRequest"),
        (["x-amz-grant-read": "id=bob"], "InvalidArgument"),
        (["x-amz-grant-read": "\(bob)"], "InvalidArgument"),
        (["x-amz-grant-read": "uri=http://example.com"], "InvalidArgument"),
        (["x-amz-grant-read": "emailAddress=bob@example.com"], "UnresolvableGrantByEmailAddress"),
    ])
    func headersThatNobodyCanGrantAreRefused(headers: [String: String], code: String) {
        let fault = #expect(throws: DocumentFault.self) { try Self.requested(headers) }
        #expect(fault?.code == code)
    }

    @Test func withoutHeadersNothingIsAskedFor() throws {
        #expect(try Self.requested([:]) == nil)
    }

    // MARK: Documents

    @Test func documentsReadBackAsTheyWere() throws {
        let acl = AccessControlList(
            owner: Self.alice,
            grants: [
                .init(.account(Self.alice), .fullControl), .init(.account(Self.bob), .writeACL),
                .init(.group(.authenticated), .read), .init(.group(.logDelivery), .write),
            ])
        let bytes = acl.document { $0 == Self.alice ? "alice" : nil }
        #expect(try AccessControlList(parsing: bytes, owner: Self.bob) == acl)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("<ID>\(Self.alice)</ID><DisplayName>alice</DisplayName>"))
        #expect(text.contains("xsi:type=\"Group\"><URI>http://acs.amazonaws.com/"))
    }

    @Test(arguments: [
        ("", "MalformedACLError"), ("<AccessControlPolicy/>", "MalformedACLError"),
        ("<Other><AccessControlList/></Other>", "MalformedACLError"),
        ("<Grantee><ID>\(bob)</ID></Grantee>", "MalformedACLError"),
        ("<Grantee><ID>\(bob)</ID></Grantee><Permission>ALL</Permission>", "MalformedACLError"),
        ("<Grantee></Grantee><Permission>READ</Permission>", "MalformedACLError"),
        ("<Grantee><ID>_bob</ID></Grantee><Permission>READ</Permission>", "InvalidArgument"),
        ("<Grantee><URI>all</URI></Grantee><Permission>READ</Permission>", "InvalidArgument"),
        (
            "<Grantee><EmailAddress>a@b.c</EmailAddress></Grantee><Permission>READ</Permission>",
            "UnresolvableGrantByEmailAddress"
        ),
    ])
    func brokenDocumentsAreRefused(text: String, code: String) {
        let document =
            text.hasPrefix("<Grantee>")
            ? "<AccessControlPolicy><AccessControlList><Grant>\(text)</Grant>"
                + "</AccessControlList></AccessControlPolicy>" : text
        let fault = #expect(throws: DocumentFault.self) {
            try AccessControlList(parsing: Array(document.utf8), owner: Self.alice)
        }
        #expect(fault?.code == code)
    }

    @Test func anACLHasAtMost100Grants() {
        let grant =
            "<Grant><Grantee><ID>\(Self.bob)</ID></Grantee><Permission>READ</Permission></Grant>"
        func parse(_ count: Int) throws -> AccessControlList {
            let text =
                "<AccessControlPolicy><AccessControlList>"
                + String(repeating: grant, count: count)
                + "</AccessControlList></AccessControlPolicy>"
            return try AccessControlList(parsing: Array(text.utf8), owner: Self.alice)
        }
        #expect(throws: Never.self) { try parse(100) }
        #expect(throws: DocumentFault.self) { try parse(101) }
    }

    // MARK: Blocks and ownership

    @Test func blocksAreOffUnlessTheDocumentSaysOtherwise() throws {
        let text =
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>"
            + "<RestrictPublicBuckets>TRUE</RestrictPublicBuckets>"
            + "</PublicAccessBlockConfiguration>"
        let block = try PublicAccessBlock(parsing: Array(text.utf8))
        #expect(block.blocksPublicACLs && block.restrictsPublicBuckets)
        #expect(!block.ignoresPublicACLs && !block.blocksPublicPolicy)
        #expect(try PublicAccessBlock(parsing: block.document) == block)
        let broken = text.replacing("TRUE", with: "yes")
        #expect(throws: DocumentFault.malformedXML) {
            try PublicAccessBlock(parsing: Array(broken.utf8))
        }
    }

    @Test func ownershipHasThreeKinds() throws {
        for ownership in ObjectOwnership.allCases {
            #expect(try ObjectOwnership(parsing: ownership.document) == ownership)
        }
        for rules in ["", "<Rule/>", "<Rule><ObjectOwnership>Mine</ObjectOwnership></Rule>"] {
            let text = "<OwnershipControls>\(rules)</OwnershipControls>"
            #expect(throws: DocumentFault.malformedXML) {
                try ObjectOwnership(parsing: Array(text.utf8))
            }
        }
    }
}
