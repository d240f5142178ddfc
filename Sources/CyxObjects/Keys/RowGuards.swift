internal import CyxCore
package import CyxTables

/// Which changes of objects' rows custodians make for whom (`TablesConfiguration.rowGuard`).
extension ObjectRowRules {
    /// Tables whose rows only their account changes.
    private static let owned: Set<TableID> = [
        .accountBuckets, .heads, .manifests, .layouts, .segments, .uploads, .parts, .references,
    ]

    /// `permits`: of the peer whose tables these are. `broken`: see `ObjectRule`.
    package static func rowGuard(
        _ permits: PermitBook, without broken: Set<ObjectRule> = []
    ) -> RowGuard {
        var tables: Set<TableID> = []
        if !broken.contains(.ownersChange) { tables.formUnion(owned) }
        if !broken.contains(.ownersStrike) { tables.insert(.holders) }
        return RowGuard(
            tables: tables, permit: { permits.permit(for: $0, peer: $1, now: $2) },
            accounts: { permits.accounts($0, peer: $1, now: $2) }, refusal: refusal)
    }

    private static func refusal(_ change: RowChange) -> String? {
        if change.accounts.contains(where: { owns($0, change.key) }) { return nil }
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

    /// Whether the row lies where `account` writes, and nobody else.
    static func owns(_ account: AccountID, _ key: RowKey) -> Bool {
        key.table == .accountBuckets
            ? account.digest == key.position : OwnedPosition.isOwn(key.position, of: account)
    }
}
