package import CyxCore
package import CyxCrypto
package import CyxTables
internal import Synchronization

/// The permits of one peer: those that it makes for itself, as its gateways have their accounts' keys,
/// and those of others that it has checked as a custodian.
package final class PermitBook: Sendable {
    private struct Account {
        var key: SigningKey
        var made: (permit: WriterPermit, bytes: [UInt8])?

        /// The permit in use, or a new one before that ends.
        mutating func permit(for peer: PeerID, now: WallTime) -> [UInt8] {
            if let made, made.permit.writer == peer, !made.permit.isSpent(at: now) {
                return made.bytes
            }
            let permit = WriterPermit.signed(for: peer, now: now, by: key)
            let bytes = permit.bytes
            made = (permit, bytes)
            return bytes
        }
    }

    /// Permits of others that are remembered: checking one takes a hundred times what finding it does.
    private static let knownCapacity = 1 << 10

    private let accounts = Mutex<[AccountID: Account]>([:])
    private let known = Mutex<[Digest: WriterPermit]>([:])

    package init() {}

    /// Lets this peer write in that account's name.
    package func add(_ signing: SigningKey) {
        accounts.withLock { accounts in
            let account = signing.verifyingKey.accountID
            if accounts[account] == nil { accounts[account] = Account(key: signing) }
        }
    }

    /// A permit for whoever owns the row, if that is an account of this peer.
    package func permit(for key: RowKey, peer: PeerID, now: WallTime) -> [UInt8]? {
        accounts.withLock { accounts in
            guard let owner = accounts.keys.first(where: { ObjectRowRules.owns($0, key) }) else {
                return nil
            }
            return accounts[owner]?.permit(for: peer, now: now)
        }
    }

    /// The same for an account, whatever it may own.
    package func permit(of account: AccountID, peer: PeerID, now: WallTime) -> [UInt8]? {
        accounts.withLock { $0[account]?.permit(for: peer, now: now) }
    }

    /// Who has permitted `peer` to write, going by `permits`.
    package func accounts(_ permits: [[UInt8]], peer: PeerID, now: WallTime) -> [AccountID] {
        permits.compactMap { bytes in
            guard let permit = checked(bytes), permit.writer == peer, permit.holds(at: now) else {
                return nil
            }
            return permit.accountKey.accountID
        }
    }

    private func checked(_ bytes: [UInt8]) -> WriterPermit? {
        guard bytes.count == WriterPermit.byteCount else { return nil }
        let name = BLAKE3.hash(bytes)
        if let permit = known.withLock({ $0[name] }) { return permit }
        let permit: WriterPermit
        do { permit = try WriterPermit(bytes: bytes) } catch { return nil }
        guard permit.isSigned else { return nil }
        known.withLock { known in
            if known.count >= PermitBook.knownCapacity { known.removeAll(keepingCapacity: true) }
            known[name] = permit
        }
        return permit
    }
}
