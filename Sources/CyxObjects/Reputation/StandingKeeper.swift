package import CyxCore
package import CyxCrypto
internal import CyxOverlay
package import CyxTables
internal import CyxTransport

/// Keeps the standings of the peers whose custodian this peer is, publishes verdicts, and reads those
/// of all others (B6).
///
/// Auditors write what they found to rows at a position of the audited peer's own, and the first of
/// its custodians that can be reached adds each closed window to a register there: so a track sees
/// the audits of everybody, while a pair of custodian and peer meets about once in years in a large
/// network. Gossip would carry N verdicts to N peers; here only peers that are not in good standing
/// take room, in one row that everybody reads.
package actor StandingKeeper {
    private let context: ObjectContext
    private let signing: SigningKey
    private let logger: Logger
    private var keptUntil: UInt64 = 0
    /// The window in which uptimes were measured last.
    private var measured: UInt64 = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    /// `signing`: the peer's identity key.
    package init(context: ObjectContext, signing: SigningKey) {
        self.context = context
        self.signing = signing
        logger = context.environment.logger.labelled("standing")
        for track in ["wrong", "unknown", "offline"] { score(track).set(1) }
    }

    private var timings: AuditTimings { context.timings.audits }
    private var local: PeerID { context.messaging.localPeer }

    /// Keeps and reads until the task is cancelled.
    package func run() async throws {
        while true {
            try await context.environment.sleep(for: timings.refresh)
            await readVerdicts()
            let period = timings.period(at: context.environment.wallTime())
            guard period != keptUntil else { continue }
            keptUntil = period
            await keep()
            // Standings change with their windows.
            let window = timings.window(at: context.environment.wallTime())
            if window != measured, await measureUptime() { measured = window }
        }
    }

    /// The tracks of one peer, as its custodians have counted them; nil before the first window.
    package func standing(of peer: PeerID) async throws(TableError) -> Standing? {
        Self.standing(try await context.tables.read(AuditRows.standing(peer)).value, peer)
    }

    private static func standing(_ value: [UInt8]?, _ peer: PeerID) -> Standing? {
        guard let value, let row = ShardHolder.decoded(StandingRow.self, value) else { return nil }
        return Standing(row, of: peer)
    }

    // MARK: Reading

    private func readVerdicts() async {
        do throws(TableError) {
            var entries: [PeerID: StandingBook.Entry] = [:]
            for element in try await context.tables.readMerge(AuditRows.verdicts) {
                guard let row = ShardHolder.decoded(VerdictRow.self, element.value ?? []),
                    row.isSigned, row.peer == element.element, let peer = PeerID(bytes: row.peer),
                    let verdict = Verdict(rawValue: row.standing), verdict != .good,
                    let reason = VerdictReason(rawValue: row.reason),
                    let keeper = VerifyingKey(bytes: row.keeperKey)?.peerID, keeper != peer,
                    try await isKeeper(keeper, of: peer)
                else { continue }
                entries[peer] = StandingBook.Entry(verdict, reason, window: row.window)
            }
            context.standings.replace(entries)
            try await publishOwnScores()
        } catch {
            logger.debug("verdicts could not be read", [("error", "\(error)")])
        }
    }

    /// One custodian's word is enough among members that may crash and do not lie (f = 0); networks
    /// with f > 0 will have to ask for f + 1 of them.
    private func isKeeper(_ keeper: PeerID, of peer: PeerID) async throws(TableError) -> Bool {
        try await context.tables.custodians(of: AuditRows.position(of: peer)).contains(keeper)
    }

    private func publishOwnScores() async throws(TableError) {
        guard let own = try await standing(of: local) else { return }
        for (track, score) in [
            ("wrong", own.wrong.score), ("unknown", own.unknown.score),
            ("offline", own.onlineScore),
        ] {
            self.score(track).set(score)
        }
    }

    /// How this peer itself has done; 1 before anybody has audited it.
    private nonisolated func score(_ track: String) -> Gauge {
        context.environment.metrics.gauge("cyxcloud_audit_score_ratio", [("track", track)])
    }

    /// Storage peers whose standing is read for the mean uptime, and how many of them have to have
    /// been audited for long enough.
    private static let uptimeSample = 64
    private static let uptimeLeast = 3

    /// Means over a sample of those that new shards would be given to: all that this decides is how
    /// much parity new objects get. False if they could not be read.
    private func measureUptime() async -> Bool {
        let candidates = context.candidates(in: context.membership.snapshot).map(\.peer).sorted()
        var generator = SeededGenerator(seed: context.environment.random.digest().word0)
        let sample = candidates.shuffled(using: &generator).prefix(StandingKeeper.uptimeSample)
        do throws(TableError) {
            var scores: [Double] = []
            for peer in sample {
                guard let standing = try await standing(of: peer), standing.hasOnlineHistory else {
                    continue
                }
                scores.append(standing.onlineScore)
            }
            let isKnown = scores.count >= StandingKeeper.uptimeLeast
            context.standings.setUptime(
                isKnown ? scores.reduce(0, +) / Double(scores.count) : nil)
            return true
        } catch {
            logger.debug("uptimes could not be read", [("error", "\(error)")])
            return false
        }
    }

    // MARK: Keeping

    private func keep() async {
        let current = timings.window(at: context.environment.wallTime())
        do throws(TableError) {
            for (peer, windows) in try await peersToKeep() {
                try await keep(peer, windows, current: current)
            }
        } catch {
            logger.debug("standings could not be kept", [("error", "\(error)")])
        }
    }

    /// Peers whose standing falls to this one, with the windows that there are tallies of.
    private func peersToKeep() async throws(TableError) -> [(PeerID, [UInt64])] {
        var windows: [PeerID: [UInt64]] = [:]
        var after: RowKey?
        let snapshot = context.membership.snapshot
        while true {
            let page = try await context.tables.localRows(
                .tallies, after: after, limit: RowLimits.scanPageRows)
            for key in page {
                guard let (peer, window) = AuditRows.subject(key) else { continue }
                windows[peer, default: []].append(window)
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { break }
            after = last
        }
        var kept: [(PeerID, [UInt64])] = []
        for peer in windows.keys.sorted() {
            let custodians = try await context.tables.custodians(
                of: AuditRows.position(of: peer))
            // Nobody keeps its own standing.
            let keeper = custodians.first {
                $0 != peer && ($0 == local || snapshot.mayBeThere($0))
            }
            if keeper == local { kept.append((peer, (windows[peer] ?? []).sorted())) }
        }
        return kept
    }

    private func keep(
        _ peer: PeerID, _ windows: [UInt64], current: UInt64
    ) async throws(TableError) {
        var standing = try await self.standing(of: peer) ?? Standing(peer: peer)
        // A window is closed a period after its end: auditors' clocks differ by seconds, and audits
        // that began in it have ended.
        let slack = timings.period
        let now = context.environment.wallTime()
        let closing = timings.window(
            at: WallTime(milliseconds: now.milliseconds - slack.nanoseconds / 1_000_000))
        let last = standing.lastWindow
        var isChanged = false
        var rest: [(UInt64, WindowTally)] = []
        // Whoever signs a tally names its window: those that are still to come wait for their time.
        for window in windows where window > last && window <= current {
            let tally = try await tally(of: peer, in: window)
            if window < closing {
                standing.close(window, tally)
                isChanged = true
            } else {
                rest.append((window, tally))
            }
        }
        if isChanged {
            let closed = standing
            _ = try await context.tables.update(AuditRows.standing(peer)) { state in
                // Another custodian may have been faster.
                let before = Self.standing(state.value, peer)?.lastWindow ?? 0
                return before < closed.lastWindow
                    ? .set(closed.row.protobufBytes()) : .abandon
            }
        }
        // What is not closed yet counts for the verdict, so that a ban does not wait for hours.
        for (window, tally) in rest { standing.close(window, tally) }
        try await publish(standing, of: peer, in: current)
    }

    private func tally(
        of peer: PeerID, in window: UInt64
    ) async throws(TableError) -> WindowTally {
        var sum = WindowTally()
        for element in try await context.tables.readMerge(AuditRows.tallies(peer, window)) {
            guard let row = ShardHolder.decoded(AuditTally.self, element.value ?? []),
                row.isSigned(peer, window), row.auditor?.bytes == element.element,
                row.auditor != peer
            else { continue }
            sum.passed += Int(row.passed)
            sum.unknown += Int(row.unknown)
            sum.offline += Int(row.offline)
        }
        sum.wrong = try await context.tables.readMerge(AuditRows.evidence(peer, window)).count {
            element in
            guard let row = ShardHolder.decoded(AuditEvidence.self, element.value ?? []) else {
                return false
            }
            return row.proven?.peer == peer && row.id.bytes == element.element
        }
        return sum
    }

    private func publish(
        _ standing: Standing, of peer: PeerID, in window: UInt64
    ) async throws(TableError) {
        let (verdict, reason) = standing.verdict
        let known = context.standings.verdict(peer)
        guard verdict != known else { return }
        let row = VerdictRow.signed(verdict, reason, of: peer, in: window, by: signing)
        try await context.tables.merge(
            AuditRows.verdicts,
            [
                MergeElement(
                    element: peer.bytes, value: verdict == .good ? nil : row.protobufBytes())
            ])
        logger.warning(
            "a peer's standing changed",
            [("peer", "\(peer)"), ("standing", "\(verdict)"), ("reason", reason.words)])
    }
}
