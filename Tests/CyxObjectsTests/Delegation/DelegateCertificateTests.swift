import CyxCore
import CyxCrypto
import CyxTables
import Testing

@testable import CyxObjects

/// What a delegate's signature is worth, and where.
@Suite struct DelegateCertificateTests {
    static let account = SigningKey(seed: [UInt8](repeating: 1, count: 32))
    static let other = SigningKey(seed: [UInt8](repeating: 2, count: 32))
    static let delegate = SigningKey(seed: [UInt8](repeating: 3, count: 32))
    static let bucket = Digest(1, 2, 3, 4)
    static let otherBucket = Digest(4, 3, 2, 1)
    static let now = WallTime(milliseconds: 1_700_000_000_000)
    static let gateway = PeerID(Digest(5, 6, 7, 8))

    static func certificate(
        _ operations: DelegateCertificate.Operations = [.read, .write],
        network: NetworkID = NetworkID(.zero)
    ) -> DelegateCertificate {
        .signed(
            for: delegate.verifyingKey, network: network, bucket: bucket, operations: operations,
            serial: Array(0..<16), now: now, by: account)
    }

    static func signer(
        _ operations: DelegateCertificate.Operations = [.read, .write],
        network: NetworkID = NetworkID(.zero)
    ) throws -> RowSigner {
        try #require(
            RowSigner(
                delegate: delegate, of: account.verifyingKey,
                certificate(operations, network: network)))
    }

    /// A row of an object in `bucket` of the account.
    static func row(_ table: TableID, of bucket: Digest = bucket, _ suffix: [UInt8] = []) -> RowKey
    {
        let keys = BucketKeys(
            material: [1], bucket: bucket, account: account.verifyingKey.accountID)
        return RowKey(table: table, position: keys.position(of: "key"), suffix: suffix)
    }

    static func segment(of bucket: Digest = bucket) -> SegmentID {
        SegmentID(
            OwnedPosition.segment(
                of: bucket, account.verifyingKey.accountID, random: Digest(9, 8, 7, 6)))
    }

    static let objectTables: [TableID] = [
        .heads, .versions, .manifests, .layouts, .uploads, .parts,
    ]

    // MARK: Format

    @Test func aCertificateSaysWhatTheDesignHasItSay() throws {
        let certificate = Self.certificate(network: NetworkID(Digest(9, 9, 9, 9)))
        let bytes = certificate.bytes
        #expect(try DelegateCertificate(bytes: bytes) == certificate)
        // "CYXD" ‖ version ‖ network ‖ account ‖ no parent ‖ subject ‖ serial
        #expect(Array(bytes.prefix(5)) == Array("CYXD".utf8) + [1])
        #expect(Array(bytes[5..<37]) == Digest(9, 9, 9, 9).bytes)
        #expect(Array(bytes[37..<69]) == Self.account.verifyingKey.accountID.bytes)
        #expect(Array(bytes[69..<101]) == [UInt8](repeating: 0, count: 32))
        #expect(Array(bytes[101..<133]) == Self.delegate.verifyingKey.bytes)
        #expect(Array(bytes[133..<149]) == Array(0..<16))
        // ‖ depth 1 ‖ one capability: all tables ‖ bucket ‖ operations ‖ no prefix ‖ signature
        #expect(Array(bytes[165..<169]) == [1, 0, 1, 0])
        #expect(Array(bytes[169..<201]) == Self.bucket.bytes)
        #expect(Array(bytes[201..<207]) == [0, 0, 0, 3, 0, 0])
        #expect(bytes.count == 271 && DelegateCertificate.byteCount == 271)
        #expect(certificate.notAfter.milliseconds - Self.now.milliseconds == 30 * 86_400_000)
    }

    @Test func nobodyChangesOrForgesACertificate() {
        let bytes = Self.certificate().bytes
        let key = Self.account.verifyingKey
        #expect(DelegateCertificate.checked(bytes, of: key) == Self.certificate())
        #expect(DelegateCertificate.checked(bytes, of: Self.other.verifyingKey) == nil)
        for index in bytes.indices {
            var bent = bytes
            bent[index] ^= 1
            #expect(DelegateCertificate.checked(bent, of: key) == nil, "byte \(index)")
            #expect(throws: (any Error).self) {
                try DelegateCertificate(bytes: Array(bytes.prefix(index)))
            }
        }
        #expect(DelegateCertificate.checked(bytes + [0], of: key) == nil)
        #expect(
            RowSigner(delegate: Self.other, of: key, Self.certificate()) == nil,
            "another's certificate")
        #expect(
            RowSigner(
                delegate: Self.delegate, of: Self.other.verifyingKey, Self.certificate()) == nil)
    }

    @Test func aCertificateThatSaysToHoldLongerThanAnyIsNone() {
        var bytes = Self.certificate().bytes
        var end = ByteWriter(capacity: 8)
        end.write(UInt64(Self.now.milliseconds + DelegateCertificate.lifetimeMs + 1))
        bytes.replaceSubrange(157..<165, with: end.bytes)
        #expect(throws: DecodingError.outOfRange(field: "notAfter")) {
            try DelegateCertificate(bytes: bytes)
        }
    }

    // MARK: Rows

    @Test func aDelegateSignsTheObjectsOfItsBucketAlone() throws {
        let signer = try Self.signer()
        func account(_ key: RowKey, _ signer: RowSigner) -> AccountID? {
            try? Rows.verify(Rows.sign([1], at: key, with: signer), at: key).account
        }
        let own = Self.account.verifyingKey.accountID
        for table in Self.objectTables {
            #expect(account(Self.row(table, [1]), signer) == own)
            #expect(account(Self.row(table, of: Self.otherBucket), signer) == nil)
            #expect(account(Self.row(table), try Self.signer(.read)) == nil)
            // Its bucket's prefix, in a place of another account.
            let strange = OwnedPosition.bound(
                Self.row(table).position, to: Self.other.verifyingKey.accountID)
            #expect(account(RowKey(table: table, position: strange), signer) == nil)
        }
        for table in [
            .accountBuckets, .accessKeys, .shares, .revokedTokens, .pins, .leases, .buckets,
            .grants, .holders,
        ] as [TableID] {
            #expect(account(Self.row(table), signer) == nil, "\(table)")
        }
        #expect(account(ObjectRows.accountBuckets(own), signer) == nil)
        #expect(account(ObjectRows.lease(own), signer) == nil)
        #expect(account(BucketNames.row("bucket"), signer) == nil)
        #expect(account(ObjectRows.core(Self.segment()), signer) == own)
        #expect(account(ObjectRows.references(Self.segment()), signer) == own)
        #expect(account(ObjectRows.core(Self.segment(of: Self.otherBucket)), signer) == nil)
        let accounts = SegmentID.owned(by: own, random: Digest(9, 8, 7, 6))
        #expect(account(ObjectRows.core(accounts), signer) == nil, "the account's own segment")
    }

    @Test func aDelegatesSignatureIsCheckedAsItsSubjects() throws {
        let key = Self.row(.heads)
        let value = Rows.sign([1], at: key, with: try Self.signer())
        var row = try SignedRow(protobuf: value)
        row.payload = [2]
        #expect(throws: RowError.unsigned) { try Rows.verify(row.protobufBytes(), at: key) }
        row.payload = [1]
        row.certificate = []
        #expect(throws: RowError.unsigned) { try Rows.verify(row.protobufBytes(), at: key) }
        row = try SignedRow(protobuf: value)
        row.accountKey = Self.other.verifyingKey.bytes
        #expect(throws: RowError.unsigned) { try Rows.verify(row.protobufBytes(), at: key) }
    }

    @Test func aDelegateNeitherCondemnsNorDeletesASegment() throws {
        let signer = try Self.signer()
        let segment = Self.segment()
        let shape = SegmentShape(
            id: segment, code: Redundancy(dataShards: 1, parityShards: 0), chunkLengths: [40],
            roots: [Digest(1, 1, 1, 1)], created: Self.now)
        let key = ObjectRows.core(segment)
        func refusal(_ core: SegmentCore, _ signer: RowSigner) -> String? {
            ObjectRowRules.validate(
                key, nil, Rows.sign(core.protobufBytes(), at: key, with: signer))
        }
        var core = shape.message
        #expect(refusal(core, signer) == nil)
        for state in [SegmentState.condemning, .condemned] {
            core.state = state
            #expect(refusal(core, signer) != nil)
            #expect(refusal(core, RowSigner(Self.account)) == nil)
        }
        #expect(
            SegmentDeletion(verifying: SegmentDeletion.signed(segment, by: Self.account)) != nil)
        let order = RowKey(
            table: .segments, position: segment.digest, suffix: Array("delete".utf8))
        let forged = Rows.sign(segment.bytes, at: order, with: signer)
        #expect(SegmentDeletion(verifying: forged) == nil)
    }

    // MARK: Permits

    private func authorities(
        _ permit: WriterPermit, after milliseconds: Int64 = 0,
        network: NetworkID = NetworkID(.zero)
    ) -> [RowAuthority] {
        PermitBook(network: network).authorities(
            [permit.bytes], peer: Self.gateway,
            now: WallTime(milliseconds: Self.now.milliseconds + milliseconds))
    }

    private func permit(
        after milliseconds: Int64 = 0, network: NetworkID = NetworkID(.zero)
    ) throws -> WriterPermit {
        WriterPermit.signed(
            for: Self.gateway,
            now: WallTime(milliseconds: Self.now.milliseconds + milliseconds),
            by: try Self.signer(network: network))
    }

    @Test func aDelegatesPermitHoldsNoLongerThanItsCertificate() throws {
        let first = try permit()
        #expect(try WriterPermit(bytes: first.bytes) == first)
        let scope = DelegateScope(Self.certificate())
        #expect(authorities(first) == [scope.authority])
        #expect(DelegateScope(scope.authority) == scope)
        let (life, slack) = (DelegateCertificate.lifetimeMs, WriterPermit.clockSlackMs)
        #expect(authorities(try permit(after: life), after: life + slack) == [scope.authority])
        #expect(authorities(try permit(after: life), after: life + slack + 1) == [])
        let strange = NetworkID(Digest(1, 1, 1, 1))
        #expect(authorities(first, network: strange) == [], "of another network")
        #expect(authorities(try permit(network: strange), network: strange) == [scope.authority])
    }

    @Test func nobodyChangesOrForgesADelegatesPermit() throws {
        let bytes = try permit().bytes
        #expect(bytes.count == WriterPermit.delegateByteCount)
        for index in bytes.indices {
            var bent = bytes
            bent[index] ^= 1
            let found = PermitBook().authorities([bent], peer: Self.gateway, now: Self.now)
            #expect(found == [], "byte \(index)")
        }
    }

    @Test func custodiansLetADelegateChangeItsBucketsRowsAlone() throws {
        let rules = ObjectRowRules.rowGuard(PermitBook())
        func refusal(
            _ key: RowKey, _ operations: DelegateCertificate.Operations = [.read, .write],
            removed: [[UInt8]] = [], next: [UInt8]? = nil
        ) -> String? {
            rules.refusal(
                RowChange(
                    key: key, sender: Self.gateway,
                    authorities: [DelegateScope(Self.certificate(operations)).authority],
                    removed: removed, next: next))
        }
        for table in Self.objectTables {
            #expect(refusal(Self.row(table)) == nil)
            #expect(refusal(Self.row(table), .read) != nil)
            #expect(refusal(Self.row(table, of: Self.otherBucket)) != nil)
        }
        let own = Self.account.verifyingKey.accountID
        #expect(refusal(ObjectRows.core(Self.segment())) == nil)
        #expect(refusal(ObjectRows.references(Self.segment())) == nil)
        let accounts = SegmentID.owned(by: own, random: Digest(9, 8, 7, 6))
        #expect(refusal(ObjectRows.core(accounts)) != nil)
        #expect(refusal(ObjectRows.references(accounts), removed: [[1]]) != nil)
        #expect(refusal(ObjectRows.holders(Self.segment()), removed: [[1]]) != nil)
        #expect(refusal(ObjectRows.accountBuckets(own)) != nil)
        #expect(refusal(ObjectRows.lease(own)) != nil)
        for table in [.buckets, .grants] as [TableID] {
            let key = RowKey(table: table, position: Digest(1, 2, 3, 4))
            #expect(refusal(key, next: Rows.sign([1], at: key, with: Self.account)) != nil)
        }
    }

    @Test func aPeerShowsTheDelegationThatCoversTheRow() throws {
        let book = PermitBook()
        book.add(try Self.signer())
        func permit(_ key: RowKey, after milliseconds: Int64 = 0) -> WriterPermit? {
            let now = WallTime(milliseconds: Self.now.milliseconds + milliseconds)
            return book.permit(for: key, peer: Self.gateway, now: now).flatMap {
                try? WriterPermit(bytes: $0)
            }
        }
        #expect(permit(Self.row(.heads))?.certificate == Self.certificate())
        #expect(permit(Self.row(.heads, of: Self.otherBucket)) == nil)
        #expect(permit(Self.row(.heads), after: 40 * 86_400_000) == nil)
        let own = Self.account.verifyingKey.accountID
        #expect(book.permit(of: own, peer: Self.gateway, now: Self.now) == nil)
        book.remove(delegate: Self.certificate())
        #expect(permit(Self.row(.heads)) == nil)
        book.add(try Self.signer())
        book.add(Self.account)
        let whole = try #require(permit(Self.row(.heads)))
        #expect(whole.certificate == nil)
    }
}
