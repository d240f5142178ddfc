package import CyxCore
package import CyxCrypto

/// Where the challenges of one period come from. A machine over one register.
///
/// The custodians of the register's position, which is another one every period, each commit to a
/// secret two periods ahead and reveal it one period ahead; the beacon is the hash of all that were
/// revealed. The first who uses it seals the register, so that everybody has the same one: the
/// consensus is that of a register, and no other.
///
/// What it does not give. Who reveals last knows the beacon either way and may withhold its secret:
/// one choice of two per custodian that colludes, hence 2^c of c of them. All custodians of a
/// position together choose it freely, and know it two periods ahead. Custodians may overwrite a
/// register, as any register whose owner nobody knows; then auditors of one period disagree for as
/// long, which shows, since each tells its beacon in the challenge. None of this makes a wrong
/// answer right: it only helps to know which blocks to keep, and for that an adversary would have to
/// control most positions of most hours.
package struct BeaconMachine: Sendable {
    /// Custodians whose shares are taken.
    static let shares = 32
    /// Periods between committing and using.
    static let lead: UInt64 = 2

    package let period: UInt64
    package private(set) var row: BeaconRow

    /// Starts from what the register holds; nil: nothing yet.
    package init(period: UInt64, row: BeaconRow?) {
        self.period = period
        self.row = row ?? BeaconRow()
    }

    private static func signedBytes(_ period: UInt64, _ commitment: [UInt8]) -> [UInt8] {
        AuditHash.bytes(.commitment) { writer in
            writer.write(period)
            writer.write(commitment)
        }
    }

    private static func commitment(_ period: UInt64, _ secret: [UInt8]) -> [UInt8] {
        AuditHash.hash(.commitment) { writer in
            writer.write(period)
            writer.write(secret)
        }.bytes
    }

    /// Why these bytes must not be stored as the beacon of `period`; nil: they may.
    package static func objection(to row: BeaconRow, period: UInt64) -> String? {
        guard row.shares.count <= shares else { return "too many shares" }
        var before: PeerID?
        for share in row.shares {
            guard let key = VerifyingKey(bytes: share.peerKey) else { return "not a key" }
            if let before, key.peerID <= before { return "shares out of order" }
            before = key.peerID
            guard
                key.isValid(
                    signature: share.signature, for: signedBytes(period, share.commitment))
            else { return "a share that its peer did not sign" }
            guard share.secret.isEmpty || commitment(period, share.secret) == share.commitment
            else { return "a secret that was not committed to" }
        }
        return nil
    }

    /// The secret of a peer for a period: nothing has to be remembered between commit and reveal.
    package static func secret(of key: SigningKey, period: UInt64) -> [UInt8] {
        BLAKE3.deriveKey(
            context: "cyxcloud 2026 audit beacon secret v1",
            key.seed + withUnsafeBytes(of: period.bigEndian, Array.init), count: 32)
    }

    /// Adds this peer's commitment; false if it is there or the row takes no more.
    package mutating func commit(_ key: SigningKey) -> Bool {
        guard !row.sealed, row.shares.count < BeaconMachine.shares, find(key) == nil else {
            return false
        }
        let secret = BeaconMachine.secret(of: key, period: period)
        let commitment = BeaconMachine.commitment(period, secret)
        row.shares.append(
            BeaconShare(
                peerKey: key.verifyingKey.bytes, commitment: commitment,
                signature: key.sign(BeaconMachine.signedBytes(period, commitment))))
        row.shares.sort { BeaconMachine.peer($0) < BeaconMachine.peer($1) }
        return true
    }

    /// Adds this peer's secret; false if it did not commit, or has revealed.
    package mutating func reveal(_ key: SigningKey) -> Bool {
        guard !row.sealed, let place = find(key), row.shares[place].secret.isEmpty else {
            return false
        }
        row.shares[place].secret = BeaconMachine.secret(of: key, period: period)
        return true
    }

    /// Whether shares were revealed and wait for somebody to make them final.
    var isSealable: Bool { !row.sealed && row.shares.contains { !$0.secret.isEmpty } }

    /// Makes the revealed shares final; false if they are, or there are none.
    package mutating func seal() -> Bool {
        guard isSealable else { return false }
        row.sealed = true
        return true
    }

    /// The beacon; nil before the row is sealed.
    package var beacon: Digest? {
        guard row.sealed else { return nil }
        return AuditHash.hash(.beacon) { writer in
            writer.write(period)
            for share in row.shares where !share.secret.isEmpty {
                writer.write(share.peerKey)
                writer.write(share.secret)
            }
        }
    }

    private static func peer(_ share: BeaconShare) -> Digest { BLAKE3.hash(share.peerKey) }

    private func find(_ key: SigningKey) -> Int? {
        row.shares.firstIndex { $0.peerKey == key.verifyingKey.bytes }
    }
}
