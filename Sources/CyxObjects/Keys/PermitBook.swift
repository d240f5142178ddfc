package import CyxCore
package import CyxCrypto
package import CyxTables
internal import Synchronization

/// The permits of one peer: those that it makes for itself, as its gateways have their accounts' keys
/// or stand for them, and those of others that it has checked as a custodian.
package final class PermitBook: Sendable {
    private struct Writer {
        var signer: RowSigner
        var made: (permit: WriterPermit, bytes: [UInt8])?

        /// The permit in use, or a new one before that ends.
        mutating func permit(for peer: PeerID, now: WallTime) -> [UInt8] {
            if let made, made.permit.writer == peer, !made.permit.isSpent(at: now) {
                return made.bytes
            }
            let permit = WriterPermit.signed(for: peer, now: now, by: signer)
            let bytes = permit.bytes
            made = (permit, bytes)
            return bytes
        }
    }

    private struct Writers {
        var accounts: [AccountID: Writer] = [:]
        /// By their certificates' serials, which no two share.
        var delegates: [[UInt8]: Writer] = [:]
    }

    /// Permits of others that are remembered: checking one takes a hundred times what finding it does.
    private static let knownCapacity = 1 << 10

    /// Which certificates count here.
    package let network: NetworkID
    private let writers = Mutex(Writers())
    private let known = Mutex<[Digest: WriterPermit]>([:])

    package init(network: NetworkID = NetworkID(.zero)) {
        self.network = network
    }

    /// Lets this peer write in that account's name.
    package func add(_ signing: SigningKey) { add(RowSigner(signing)) }

    /// The same in the place of a delegate of its, until `remove`. Whoever adds delegates bounds them.
    package func add(_ signer: RowSigner) {
        writers.withLock { writers in
            if let certificate = signer.certificate {
                writers.delegates[certificate.serial] = Writer(signer: signer)
            } else if writers.accounts[signer.account] == nil {
                writers.accounts[signer.account] = Writer(signer: signer)
            }
        }
    }

    package func remove(delegate certificate: DelegateCertificate) {
        writers.withLock { $0.delegates[certificate.serial] = nil }
    }

    /// A permit for whoever owns the row, if that is an account of this peer, or one of which it is a
    /// delegate that may write the row.
    package func permit(for key: RowKey, peer: PeerID, now: WallTime) -> [UInt8]? {
        writers.withLock { writers in
            if let owner = writers.accounts.keys.first(where: { ObjectRowRules.owns($0, key) }) {
                return writers.accounts[owner]?.permit(for: peer, now: now)
            }
            let delegates = writers.delegates.filter { _, writer in
                writer.signer.certificate.map {
                    $0.holds(at: now) && DelegateScope($0).writes(key)
                } ?? false
            }
            // The order of a dictionary decides nothing.
            let best = delegates.max { Bytes.precede($0.key, $1.key) }
            return best.flatMap { writers.delegates[$0.key]?.permit(for: peer, now: now) }
        }
    }

    /// The same for an account, whatever it may own.
    package func permit(of account: AccountID, peer: PeerID, now: WallTime) -> [UInt8]? {
        writers.withLock { $0.accounts[account]?.permit(for: peer, now: now) }
    }

    /// Which accounts, and delegates of accounts, have permitted `peer` to write, going by `permits`.
    package func authorities(_ permits: [[UInt8]], peer: PeerID, now: WallTime) -> [RowAuthority] {
        permits.compactMap { bytes in
            guard let permit = checked(bytes), permit.writer == peer, permit.holds(at: now),
                permit.certificate.map({ $0.network == network }) ?? true
            else { return nil }
            return permit.authority
        }
    }

    private func checked(_ bytes: [UInt8]) -> WriterPermit? {
        guard [WriterPermit.byteCount, WriterPermit.delegateByteCount].contains(bytes.count) else {
            return nil
        }
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
