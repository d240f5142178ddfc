internal import CyxCore
internal import CyxCrypto
package import CyxTables

/// Which changes of objects' rows custodians make for whom (`TablesConfiguration.rowGuard`).
extension ObjectRowRules {
    /// Tables whose rows only their account changes.
    private static let owned: Set<TableID> = [
        .accountBuckets, .heads, .versions, .manifests, .layouts, .segments, .uploads, .parts,
        .references,
        .pins, .leases, .accessKeys, .revokedTokens, .shares,
    ]
    /// Tables whose rows lie where anybody may look for them, and are then one account's.
    private static let named: Set<TableID> = [.buckets, .grants]

    /// `permits`: of the peer whose tables these are. `broken`: see `ObjectRule`.
    package static func rowGuard(
        _ permits: PermitBook, without broken: Set<ObjectRule> = []
    ) -> RowGuard {
        var (tables, errandTables): (Set<TableID>, Set<TableID>) = ([], [])
        if !broken.contains(.ownersChange) {
            tables.formUnion(owned)
            tables.formUnion(named)
            errandTables.formUnion(named)
        }
        if !broken.contains(.ownersStrike) { tables.insert(.holders) }
        return RowGuard(
            tables: tables, errandTables: errandTables,
            permit: { permit(for: $0, from: permits, now: $1) },
            authorities: { permits.authorities($0, peer: $1, now: $2) }, refusal: refusal)
    }

    private static func permit(
        for change: RowChange, from permits: PermitBook, now: WallTime
    ) -> [UInt8]? {
        guard named.contains(change.key.table) else {
            return permits.permit(for: change.key, peer: change.sender, now: now)
        }
        guard let value = change.next ?? change.present, let account = account(of: value) else {
            return nil
        }
        return permits.permit(of: account, peer: change.sender, now: now)
    }

    /// Names of buckets and IDs of access keys are anybody's to take, and then their account's: what is
    /// there must be the sender's, and so must what is to be there, or old rows could be put back.
    private static func refusalOfName(_ change: RowChange) -> String? {
        let isOwn = [change.present, change.next].allSatisfy { value in
            guard let value else { return true }
            return account(of: value).map { change.authorities.contains(RowAuthority($0)) } ?? false
        }
        return isOwn ? nil : "only the account that has the name changes the row"
    }

    /// Who says that it signed a row; whether that is so is checked where the row is stored.
    private static func account(of value: [UInt8]) -> AccountID? {
        do {
            return VerifyingKey(bytes: try SignedRow(protobuf: value).accountKey)?.accountID
        } catch { return nil }
    }

    private static func refusal(_ change: RowChange) -> String? {
        if named.contains(change.key.table) { return refusalOfName(change) }
        if change.authorities.contains(where: { mayWrite($0, change.key) }) { return nil }
        guard change.key.table == .holders else {
            return "only the row's account and its custodians change it"
        }
        // Anybody may claim to hold something, and who does may give up what it holds.
        let isOwn = change.removed.allSatisfy { element in
            do {
                return try HolderEntry(element: element).peer == change.sender
            } catch { return false }
        }
        return isOwn ? nil : "only its holder, the account and custodians strike an entry"
    }

    private static func mayWrite(_ authority: RowAuthority, _ key: RowKey) -> Bool {
        guard !authority.scope.isEmpty else { return owns(authority.account, key) }
        return DelegateScope(authority)?.writes(key) ?? false
    }

    /// Whether the row lies where `account` writes, and nobody else.
    static func owns(_ account: AccountID, _ key: RowKey) -> Bool {
        key.table == .accountBuckets
            ? account.digest == key.position : OwnedPosition.isOwn(key.position, of: account)
    }
}
