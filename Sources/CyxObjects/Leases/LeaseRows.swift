package import CyxCore
internal import CyxCrypto
package import CyxTables

/// Until when an account has its data kept, as its row says.
struct Lease: Hashable, Sendable {
    /// Nil: for ever.
    var until: WallTime?
    /// When it was last renewed after it had ended; until holders have looked again, their shards
    /// may lie in the trash.
    var resumed: WallTime

    /// No row: nobody ever spoke of an end.
    static let endless = Lease(until: nil, resumed: WallTime(milliseconds: 0))

    init(until: WallTime?, resumed: WallTime) {
        self.until = until
        self.resumed = resumed
    }

    /// What `account` wrote; a row that cannot be understood ends nothing.
    init(_ value: [UInt8]?, of account: AccountID) {
        self = .endless
        guard let value else { return }
        do {
            let (payload, signer) = try Rows.verify(value, at: ObjectRows.lease(account))
            guard signer == account else { return }
            let row = try LeaseRow(protobuf: payload)
            until = row.untilMs == 0 ? nil : WallTime(milliseconds: row.untilMs)
            resumed = WallTime(milliseconds: row.resumedMs)
        } catch { return }
    }

    func signed(by signing: SigningKey) -> [UInt8] {
        let row = LeaseRow(
            untilMs: until?.milliseconds ?? 0, resumedMs: resumed.milliseconds)
        let key = ObjectRows.lease(signing.verifyingKey.accountID)
        return Rows.sign(row.protobufBytes(), at: key, with: signing)
    }

    /// Whether the end was so long ago. Clocks need not agree: `margin` is far more than they differ
    /// by (A7).
    func hasEnded(for margin: Duration, at now: WallTime) -> Bool {
        guard let until else { return false }
        return now.milliseconds - until.milliseconds > margin.nanoseconds / 1_000_000
    }

    /// What it becomes when somebody has the data kept until `end`, nil: for ever. Nil where it
    /// stays, since it was asked for longer before.
    ///
    /// `margin`: how long after a lease's end nothing has happened yet.
    func renewed(until end: WallTime?, now: WallTime, margin: Duration) -> Lease? {
        guard let until else { return end.map { Lease(until: $0, resumed: resumed) } }
        if let end, end <= until { return nil }
        return Lease(until: end, resumed: hasEnded(for: margin, at: now) ? now : resumed)
    }
}

extension ObjectRows {
    /// Where an account's lease lies: everybody can find it, and only the account writes it.
    package static func lease(_ account: AccountID) -> RowKey {
        RowKey(table: .leases, position: OwnedPosition.bound(account.digest, to: account))
    }
}

extension ObjectContext {
    /// An account's lease, read at a quorum.
    func readLease(of account: AccountID) async throws(TableError) -> Lease {
        Lease(try await tables.read(ObjectRows.lease(account)).value, of: account)
    }

    /// Whether the account's segments are to be left alone by those who watch over them: nobody
    /// asks for them any more, and holders are about to delete them, or have been and are bringing
    /// them back. Holders delete later than that begins.
    func isNeglected(_ account: AccountID) async throws(TableError) -> Bool {
        let now = environment.wallTime()
        let lease = try await leases.lease(of: account, in: self)
        let timings = timings.leases
        if lease.hasEnded(for: timings.neglect, at: now) { return true }
        return lease.resumed.milliseconds != 0
            && now.milliseconds - lease.resumed.milliseconds
                < timings.settle.nanoseconds / 1_000_000
    }
}
