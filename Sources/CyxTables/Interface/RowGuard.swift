package import CyxCore

/// Who may change rows beside their custodians, who are trusted (`decisions.md` A6).
///
/// What a row says is signed and checked by `TablesConfiguration.validate`, which cannot tell whether
/// somebody else removes the row, or puts back what it said before. So changes of some tables' rows
/// are taken only from custodians and from peers that show an account's permission. The tables carry
/// such permits and do not look into them.
package struct RowGuard: Sendable {
    /// Tables whose rows are guarded. Who may not write one cannot bring copies of it together that
    /// differ, and has a custodian read it.
    package var tables: Set<TableID>
    /// Those of them, all registers, that only custodians propose for, since whose a row is shows in
    /// what it holds and not in where it lies: others have a custodian look at that and propose.
    package var errandTables: Set<TableID>
    /// What shows custodians that this peer, the sender, may make a change; nil if nothing does.
    package var permit: @Sendable (RowChange, _ now: WallTime) -> [UInt8]?
    /// What `peer` may write, and in whose names, going by permits that came with its requests.
    package var authorities: Authorities
    /// Why a change must not be made for a peer that is no custodian of the row; nil: it may.
    package var refusal: @Sendable (RowChange) -> String?

    package typealias Authorities =
        @Sendable (_ permits: [[UInt8]], _ peer: PeerID, _ now: WallTime) -> [RowAuthority]

    package init(
        tables: Set<TableID>, errandTables: Set<TableID> = [],
        permit: @escaping @Sendable (RowChange, _ now: WallTime) -> [UInt8]?,
        authorities: @escaping Authorities,
        refusal: @escaping @Sendable (RowChange) -> String?
    ) {
        self.tables = tables
        self.errandTables = errandTables
        self.permit = permit
        self.authorities = authorities
        self.refusal = refusal
    }

    /// Guards nothing.
    package static let none = RowGuard(
        tables: [], permit: { _, _ in nil }, authorities: { _, _, _ in [] },
        refusal: { _ in nil })
}

/// In whose name somebody may change rows, and which: that of an account's own key, which may change
/// all rows of the account, or that of a delegate of the account, which may change some of them.
package struct RowAuthority: Hashable, Sendable {
    /// Whose rows they are; a delegate has no rows of its own.
    package var account: AccountID
    /// What of the account's a delegate may change, in a form that only the guard reads; empty for the
    /// account's own key: all.
    package var scope: [UInt8]

    package init(_ account: AccountID, scope: [UInt8] = []) {
        self.account = account
        self.scope = scope
    }
}

/// A change that somebody else than a custodian wants made to a row.
package struct RowChange: Hashable, Sendable {
    package var key: RowKey
    package var sender: PeerID
    /// The account keys, and delegates of accounts, that have permitted the sender to write.
    package var authorities: [RowAuthority]
    /// Elements of a merge row that would be added or get another value.
    package var written: [[UInt8]]
    /// Elements of a merge row that would be removed, or kept from ever being added.
    package var removed: [[UInt8]]
    /// What a register of `RowGuard.errandTables` holds, and is to hold; nil: nothing.
    package var present: [UInt8]?
    package var next: [UInt8]?

    package init(
        key: RowKey, sender: PeerID, authorities: [RowAuthority] = [], written: [[UInt8]] = [],
        removed: [[UInt8]] = [], present: [UInt8]? = nil, next: [UInt8]? = nil
    ) {
        self.key = key
        self.sender = sender
        self.authorities = authorities
        self.written = written
        self.removed = removed
        self.present = present
        self.next = next
    }
}
