package import CyxCore
package import CyxCrypto
package import CyxTables

/// Where audits and reputation keep what they share, and what custodians check of it.
///
/// All that concerns one peer lies at one position, so that its custodians keep its standing: the
/// rows of a peer are few and small whoever audits it, and no peer keeps track of all others.
package enum AuditRows {
    /// A beacon's position changes with the period, and its custodians with it.
    package static func beacon(_ period: UInt64) -> RowKey {
        let position = AuditHash.hash(.beacon) { $0.write(period) }
        return RowKey(table: .beacons, position: position, suffix: encode(period))
    }

    package static func position(of peer: PeerID) -> Digest {
        AuditHash.hash(.tally) { $0.write(peer.digest) }
    }

    package static func standing(_ peer: PeerID) -> RowKey {
        RowKey(table: .standings, position: position(of: peer))
    }

    package static func tallies(_ peer: PeerID, _ window: UInt64) -> RowKey {
        RowKey(
            table: .tallies, position: position(of: peer), suffix: encode(window) + peer.bytes)
    }

    package static func evidence(_ peer: PeerID, _ window: UInt64) -> RowKey {
        RowKey(
            table: .evidence, position: position(of: peer), suffix: encode(window) + peer.bytes)
    }

    /// One row for the network: only peers that are not in good standing are in it, and every peer
    /// reads it every few minutes.
    package static let verdicts = RowKey(
        table: .verdicts, position: AuditHash.hash(.verdict) { _ in })

    private static func encode(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian, Array.init)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        guard bytes.count == 8 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The peer and window of a tally's or evidence's key; nil for any other.
    package static func subject(_ key: RowKey) -> (peer: PeerID, window: UInt64)? {
        guard key.suffix.count == 8 + Digest.byteCount,
            let window = number(key.suffix.prefix(8)),
            let peer = PeerID(bytes: Array(key.suffix.dropFirst(8))),
            position(of: peer) == key.position
        else { return nil }
        return (peer, window)
    }

    /// Why `value` must not be stored or believed at `key`; nil: it may.
    static func validate(_ key: RowKey, _ value: [UInt8]) -> String? {
        do {
            switch key.table {
            case .beacons:
                guard let period = number(key.suffix[...]), beacon(period) == key else {
                    return "not the row of a beacon"
                }
                return BeaconMachine.objection(
                    to: try BeaconRow(protobuf: value), period: period)
            case .standings:
                let row = try StandingRow(protobuf: value)
                guard let peer = PeerID(bytes: row.peer), standing(peer) == key,
                    Standing(row, of: peer) != nil
                else { return "not a standing" }
                return nil
            case .tallies:
                guard let (peer, window) = subject(key) else { return "not a tally's row" }
                let tally = try AuditTally(protobuf: value)
                return tally.isSigned(peer, window) ? nil : "a tally that nobody signed"
            case .evidence:
                guard let (peer, _) = subject(key) else { return "not a row of evidence" }
                let proven = try AuditEvidence(protobuf: value).proven
                return proven?.peer == peer ? nil : "evidence that proves nothing"
            case .verdicts:
                return try VerdictRow(protobuf: value).isSigned ? nil : "an unsigned verdict"
            default:
                return nil
            }
        } catch { return "\(error)" }
    }
}

extension AuditTally {
    private func signedBytes(_ peer: PeerID, _ window: UInt64) -> [UInt8] {
        AuditHash.bytes(.tally) { writer in
            writer.write(peer.digest)
            writer.write(window)
            writer.write(passed)
            writer.write(unknown)
            writer.write(offline)
        }
    }

    /// What the auditor with the key `signing` found; proven failures are counted by their evidence
    /// and by nobody's word.
    package static func signed(
        _ tally: WindowTally, of peer: PeerID, in window: UInt64, by signing: SigningKey
    ) -> AuditTally {
        var row = AuditTally(
            auditorKey: signing.verifyingKey.bytes, passed: count(tally.passed),
            unknown: count(tally.unknown), offline: count(tally.offline))
        row.signature = signing.sign(row.signedBytes(peer, window))
        return row
    }

    /// Outcomes of one kind that one auditor may tell of in a window: far more than it has time for,
    /// and few enough to count in one by one.
    static let countMax: UInt32 = 4096

    private static func count(_ number: Int) -> UInt32 {
        min(UInt32(clamping: number), countMax)
    }

    func isSigned(_ peer: PeerID, _ window: UInt64) -> Bool {
        guard let key = VerifyingKey(bytes: auditorKey),
            max(passed, unknown, offline) <= AuditTally.countMax
        else { return false }
        return key.isValid(signature: signature, for: signedBytes(peer, window))
    }

    var auditor: PeerID? { VerifyingKey(bytes: auditorKey)?.peerID }
}

extension VerdictRow {
    private var signedBytes: [UInt8] {
        AuditHash.bytes(.verdict) { writer in
            writer.write(peer)
            writer.write(standing)
            writer.write(reason)
            writer.write(window)
        }
    }

    package static func signed(
        _ verdict: Verdict, _ reason: VerdictReason, of peer: PeerID, in window: UInt64,
        by signing: SigningKey
    ) -> VerdictRow {
        var row = VerdictRow(
            peer: peer.bytes, standing: verdict.rawValue, reason: reason.rawValue, window: window,
            keeperKey: signing.verifyingKey.bytes)
        row.signature = signing.sign(row.signedBytes)
        return row
    }

    var isSigned: Bool {
        guard let key = VerifyingKey(bytes: keeperKey) else { return false }
        return key.isValid(signature: signature, for: signedBytes)
    }
}
