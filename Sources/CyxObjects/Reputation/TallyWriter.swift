internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Adds up what this peer's audits found, by peer and window, and writes it where the custodians of
/// each peer's standing read it: one element per auditor and window.
actor TallyWriter {
    /// Peers and windows whose tally is kept in memory.
    static let kept = 4096

    private struct Key: Hashable {
        var peer: PeerID
        var window: UInt64
    }

    private let context: ObjectContext
    private let signing: SigningKey
    private var tallies: [Key: WindowTally] = [:]
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, signing: SigningKey) {
        self.context = context
        self.signing = signing
        logger = context.environment.logger.labelled("audit")
    }

    /// Counts one outcome. What cannot be written now goes with the next one of that window.
    func add(_ outcome: AuditOutcome, of peer: PeerID, _ evidence: AuditEvidence?) async {
        let now = context.environment.wallTime()
        let key = Key(peer: peer, window: context.timings.audits.window(at: now))
        do throws(TableError) {
            if let evidence {
                try await context.tables.merge(
                    AuditRows.evidence(peer, key.window),
                    [
                        MergeElement(
                            element: evidence.id.bytes, value: evidence.protobufBytes())
                    ])
            }
            let row = AuditRows.tallies(peer, key.window)
            if tallies[key] == nil {
                // An earlier life of this process may have counted some.
                let earlier = try await context.tables.readMerge(row).first {
                    $0.element == signing.verifyingKey.peerID.bytes
                }
                if tallies[key] == nil { tallies[key] = WindowTally(earlier?.value) }
            }
            tallies[key, default: WindowTally()].count(outcome)
            let tally = AuditTally.signed(
                tallies[key] ?? WindowTally(), of: peer, in: key.window, by: signing)
            try await context.tables.merge(
                row,
                [
                    MergeElement(
                        element: signing.verifyingKey.peerID.bytes, value: tally.protobufBytes())
                ])
        } catch {
            logger.debug("an audit's result was not written", [("error", "\(error)")])
        }
        if tallies.count > TallyWriter.kept {
            tallies = tallies.filter { $0.key.window >= key.window }
        }
    }
}

extension WindowTally {
    /// Of a tally's row; nothing for anything else.
    init(_ value: [UInt8]?) {
        self.init()
        guard let value, let row = ShardHolder.decoded(AuditTally.self, value) else { return }
        passed = Int(row.passed)
        unknown = Int(row.unknown)
        offline = Int(row.offline)
    }
}
