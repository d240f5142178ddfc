import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables
import Testing

/// Whose word custodians take for changes of rows that go away or come back.
@Suite struct PermitTests {
    private static let account = SigningKey(seed: [UInt8](repeating: 1, count: 32))
    private static let other = SigningKey(seed: [UInt8](repeating: 2, count: 32))
    private static let gateway = PeerID(Digest(1, 2, 3, 4))
    private static let stranger = PeerID(Digest(4, 3, 2, 1))
    private static let now = WallTime(milliseconds: 1_700_000_000_000)
    private static let segment = SegmentID.owned(
        by: account.verifyingKey.accountID, random: Digest(9, 8, 7, 6))

    private func accounts(
        _ permit: [UInt8], of peer: PeerID = gateway, after milliseconds: Int64 = 0
    ) -> [AccountID] {
        let now = WallTime(milliseconds: Self.now.milliseconds + milliseconds)
        return PermitBook().authorities([permit], peer: peer, now: now).map(\.account)
    }

    @Test func aPermitIsItsAccountsForOnePeerAndADay() throws {
        let permit = WriterPermit.signed(for: Self.gateway, now: Self.now, by: Self.account)
        let account = Self.account.verifyingKey.accountID
        #expect(try WriterPermit(bytes: permit.bytes) == permit)
        #expect(accounts(permit.bytes) == [account])
        #expect(accounts(permit.bytes, of: Self.stranger) == [])
        let (day, slack) = (WriterPermit.lifetimeMs, WriterPermit.clockSlackMs)
        #expect(accounts(permit.bytes, after: day + slack) == [account])
        #expect(accounts(permit.bytes, after: day + slack + 1) == [])
        #expect(accounts(permit.bytes, after: -slack) == [account])
        #expect(accounts(permit.bytes, after: -slack - 1) == [])
    }

    @Test func nobodyChangesOrForgesAPermit() throws {
        let bytes = WriterPermit.signed(for: Self.gateway, now: Self.now, by: Self.account).bytes
        for index in bytes.indices {
            var bent = bytes
            bent[index] ^= 1
            #expect(accounts(bent) == [], "byte \(index)")
        }
        #expect(accounts(Array(bytes.dropLast())) == [])
        #expect(accounts(bytes + [0]) == [])
        #expect(accounts([]) == [])
        // Another account's permit with this one's name.
        var stolen = WriterPermit.signed(for: Self.gateway, now: Self.now, by: Self.other).bytes
        stolen.replaceSubrange(1..<33, with: Self.account.verifyingKey.bytes)
        #expect(accounts(stolen) == [])
    }

    /// Long before the old one ends, or when the clock was set.
    @Test func aGatewayMakesNewPermitsInTime() throws {
        let book = PermitBook()
        let key = ObjectRows.core(Self.segment)
        func permit(after milliseconds: Int64, peer: PeerID = Self.gateway) throws -> [UInt8] {
            let now = WallTime(milliseconds: Self.now.milliseconds + milliseconds)
            let permit = try #require(book.permit(for: key, peer: peer, now: now))
            #expect(try WriterPermit(bytes: permit).holds(at: now))
            return permit
        }
        #expect(book.permit(for: key, peer: Self.gateway, now: Self.now) == nil)
        book.add(Self.other)
        #expect(book.permit(for: key, peer: Self.gateway, now: Self.now) == nil)
        book.add(Self.account)
        let first = try permit(after: 0)
        #expect(try permit(after: 3_600_000) == first)
        let later = try permit(after: WriterPermit.lifetimeMs / 2 + 1)
        #expect(later != first)
        #expect(try permit(after: 0) != later)
    }

    private func refusal(
        _ key: RowKey, of accounts: [SigningKey] = [], written: [[UInt8]] = [],
        removed: [[UInt8]] = []
    ) -> String? {
        ObjectRowRules.rowGuard(PermitBook()).refusal(
            RowChange(
                key: key, sender: Self.stranger,
                authorities: accounts.map { RowAuthority($0.verifyingKey.accountID) },
                written: written, removed: removed))
    }

    @Test func rowsOfAnAccountAreChangedByItsPermissionAlone() {
        let position = Self.segment.digest
        let tables: [TableID] = [
            .heads, .versions, .manifests, .layouts, .segments, .uploads, .parts, .references,
        ]
        let guarded = ObjectRowRules.rowGuard(PermitBook()).tables
        var keys = tables.map { RowKey(table: $0, position: position) }
        keys.append(ObjectRows.accountBuckets(Self.account.verifyingKey.accountID))
        for key in keys {
            #expect(guarded.contains(key.table))
            #expect(refusal(key, written: [[1]]) != nil)
            #expect(refusal(key, of: [Self.other], written: [[1]]) != nil)
            #expect(refusal(key, of: [Self.other, Self.account], written: [[1]]) == nil)
        }
    }

    /// A name is anybody's to take, and then one account's; old words of others do not bring it back.
    @Test func aBucketsNameIsChangedByWhoHasIt() throws {
        let rules = ObjectRowRules.rowGuard(PermitBook())
        #expect(rules.errandTables == [.buckets, .grants])
        #expect(rules.tables.isSuperset(of: rules.errandTables))
        let key = RowKey(table: .buckets, position: Digest(1, 2, 3, 4))
        func refusal(_ present: [UInt8]?, _ next: [UInt8]?, of account: SigningKey?) -> String? {
            rules.refusal(
                RowChange(
                    key: key, sender: Self.stranger,
                    authorities: account.map { [RowAuthority($0.verifyingKey.accountID)] } ?? [],
                    present: present, next: next))
        }
        let own = Rows.sign([1], at: key, with: Self.account)
        let others = Rows.sign([1], at: key, with: Self.other)
        #expect(refusal(nil, own, of: Self.account) == nil)
        #expect(refusal(own, own, of: Self.account) == nil)
        #expect(refusal(own, nil, of: Self.account) == nil)
        #expect(refusal(nil, own, of: nil) != nil)
        #expect(refusal(own, nil, of: nil) != nil)
        #expect(refusal(nil, own, of: Self.other) != nil)
        #expect(refusal(own, others, of: Self.other) != nil)
        #expect(refusal(own, nil, of: Self.other) != nil)
        #expect(refusal([1], nil, of: Self.other) != nil)
        // The permit that comes along is that of the account which the row names.
        let book = PermitBook()
        book.add(Self.account)
        let permits = ObjectRowRules.rowGuard(book).permit
        for (present, next) in [(nil, own), (own, nil)] as [([UInt8]?, [UInt8]?)] {
            let change = RowChange(
                key: key, sender: Self.gateway, present: present, next: next)
            let permit = try #require(permits(change, Self.now))
            #expect(accounts(permit) == [Self.account.verifyingKey.accountID])
        }
        let change = RowChange(key: key, sender: Self.gateway, present: own, next: others)
        #expect(permits(change, Self.now) == nil)
    }

    /// Anybody says that it holds something, and takes that back.
    @Test func anEntryIsStruckByItsHolderOrTheAccount() {
        let key = ObjectRows.holders(Self.segment)
        func entry(_ peer: PeerID) -> [UInt8] {
            HolderEntry(
                index: 1, peer: peer, store: StoreID(.zero),
                receiptHash: [UInt8](repeating: 5, count: HolderEntry.hashBytes)
            ).element
        }
        let (own, others) = (entry(Self.stranger), entry(Self.gateway))
        #expect(ObjectRowRules.rowGuard(PermitBook()).tables.contains(.holders))
        #expect(refusal(key, written: [others, own]) == nil)
        #expect(refusal(key, written: [others], removed: [own]) == nil)
        #expect(refusal(key, removed: [own, others]) != nil)
        #expect(refusal(key, removed: [[1, 2]]) != nil)
        #expect(refusal(key, of: [Self.account], removed: [own, others]) == nil)
        #expect(refusal(key, of: [Self.other], removed: [others]) != nil)
    }
}
