package import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Watches the segments of which this peer is a custodian, and rebuilds what they miss (B4).
package actor Repairer {
    /// Segments whose rows are read in one look, and how many of them at once.
    static let loadsPerLook = 1024
    static let concurrentLoads = 16
    /// Custodians of higher ranks do not watch: they move up when those before them are gone.
    static let watchers = 2
    /// Reports that wait to be checked; more are dropped, since readers report again.
    static let reports = 256
    /// Walks over the local rows take at most one part in this many of the time, however many
    /// rows there are.
    static let walkShare = 10
    /// Segments that turned out not to exist, which are not asked for again for a while.
    static let absentees = 4096

    private struct Report: Hashable, Sendable {
        var segment: SegmentID
        var peer: PeerID?
        var index: Int
        /// Whose shard it is says so itself.
        var isOwn: Bool
    }

    /// What a look was based on: it tells the truth as long as these are the same.
    private struct Basis: Equatable {
        var custody: UInt64
        var peers: [PeerID: RepairPeer]
        /// Whose death shows here; nil: everybody's.
        var holders: Set<PeerID>?
    }

    /// How likely a peer that membership suspects, or whose audits went wrong, is gone soon.
    private enum Risk {
        static let suspected = 0.5
        static let warned = 0.1
        static let suspended = 0.3
    }

    let context: ObjectContext
    private let runner = JobRunner()
    private(set) var machine: RepairMachine
    private(set) var peers: RepairPeers
    /// Of the last look that found and read everything.
    private var looked: Basis?
    private var reports: [Report] = []
    private var absent = BoundedCache<SegmentID, Instant>(capacity: Repairer.absentees)
    private var repairedBytes: UInt64 = 0
    private let movedBytes: Counter
    /// From when a segment was first seen to miss shards until it was whole again.
    private let windows: Histogram
    /// Seconds, from one to a week.
    private static let windowBounds: [Double] = [
        1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400,
    ]
    private let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext) {
        self.context = context
        machine = RepairMachine(
            timings: context.timings.repair, limits: context.timings.repairLimits)
        peers = RepairPeers(timings: context.timings.repair)
        logger = context.environment.logger.labelled("repair")
        let metrics = context.environment.metrics
        movedBytes = metrics.counter("cyxcloud_repair_bytes_total")
        windows = metrics.histogram(
            "cyxcloud_repair_window_seconds", bounds: Repairer.windowBounds)
    }

    /// Takes reports from now on.
    package nonisolated func start() {
        context.messaging.handle(.reportSegment) { remote, request in
            try await self.report(request, by: remote.peer)
        }
        context.messaging.handle(.claimSegment) { remote, request in
            try await self.claim(request, by: remote.peer)
        }
    }

    package var status: RepairStatus {
        get async {
            let basis = await currentBasis()
            var status = machine.status
            status.repairedBytes = repairedBytes
            status.isCurrent = looked == basis
            return status
        }
    }

    /// What this peer watches and believes to be good, for audits.
    package var watchedShards: [WatchedShard] {
        var shards: [WatchedShard] = []
        for (id, segment) in machine.segments where segment.rank < Repairer.watchers {
            for entry in segment.entries where !segment.bad.contains(entry) {
                shards.append(
                    WatchedShard(
                        shard: ShardID(segment: id, index: entry.index), entry: entry,
                        fileBytes: segment.shape.fileBytes))
            }
        }
        // Dictionaries have no order of their own, and floating sums and logs should have one.
        return shards.sorted {
            ($0.shard, $0.entry.peer, $0.entry.store) < ($1.shard, $1.entry.peer, $1.entry.store)
        }
    }

    /// Whether an entry was found bad already: it is being rebuilt, and audits would only repeat
    /// what is known.
    func isBad(_ entry: HolderEntry, of segment: SegmentID) -> Bool {
        machine.segments[segment]?.bad.contains(entry) ?? false
    }

    /// An audit proved that a shard is gone or wrong.
    package func auditFailed(_ shard: ShardID, at peer: PeerID) {
        noteBad(shard, at: peer)
    }

    // MARK: The operator's orders

    /// While paused, only segments that bear one more loss or none are rebuilt.
    package func setPaused(_ isPaused: Bool) { machine.isPaused = isPaused }

    package var isPaused: Bool { machine.isPaused }

    /// Bytes per second that rebuilding the others may move; nil: any number.
    package func setThrottle(_ bytesPerSecond: UInt64?) {
        machine.setThrottle(bytesPerSecond, now: context.environment.now())
    }

    package var throttle: UInt64? { machine.throttle.bytesPerSecond }

    /// Rebuilds all that is missing without waiting for who may come back.
    package func hastenAll() { machine.hastenAll() }

    /// Until when only endangered segments are rebuilt, since too many peers went at once.
    package var stormEnd: Instant? {
        peers.isStorm(at: context.environment.now()) ? peers.stormEnd : nil
    }

    /// Takes the word of another custodian that it rebuilds a segment.
    func claimed(_ id: SegmentID) { machine.claimed(id, now: context.environment.now()) }

    /// Takes its word that it is done with it. What it did is in the rows: without a look at them
    /// the same would be done again.
    func claimEnded(_ id: SegmentID) async {
        await load(id)
        machine.claimEnded(id)
    }

    /// What is known of a segment that this peer watches.
    func watched(_ id: SegmentID) -> RepairMachine.Segment? { machine.segments[id] }

    func noteBad(_ shard: ShardID, at peer: PeerID) {
        machine.markBad(
            shard.segment, index: shard.index, peer: peer, peers, now: context.environment.now())
    }

    /// Reads shards of a segment again that were found bad.
    private func recheck(_ id: SegmentID) async {
        guard let segment = machine.segments[id] else { return }
        for entry in machine.doubted(segment, peers) {
            let shard = ShardID(segment: id, index: entry.index)
            guard await isGood(shard, segment.shape, at: entry.peer) == true else { continue }
            machine.markGood(entry, of: id, peers, now: context.environment.now())
        }
    }

    private func currentBasis() async -> Basis {
        let custody = await context.tables.custody()
        let standings = context.standings
        var peers: [PeerID: RepairPeer] = [:]
        let snapshot = context.membership.snapshot
        for member in snapshot.storers + snapshot.awayStorers {
            // What a banned peer holds counts as lost.
            let verdict = standings.verdict(member.peer)
            guard let store = member.info.store, verdict != .banned else { continue }
            var risk = member.state == .suspect ? Risk.suspected : 0
            if verdict == .warned { risk += Risk.warned }
            if verdict == .suspended { risk += Risk.suspended }
            peers[member.peer] = RepairPeer(
                store: store, zone: context.countedZone(member.info.zone),
                isAway: member.state == .away, risk: risk)
        }
        let holders = snapshot.isPartial ? machine.holders : nil
        if let holders {
            // Its view does not hold them all, and nobody here finds out when they die.
            context.membership.watch(holders, for: .holders)
            for holder in holders {
                guard let store = machine.store(of: holder) else { continue }
                peers[holder] = peers[holder] ?? unheard(holder, store, snapshot)
            }
        }
        return Basis(custody: custody, peers: peers, holders: holders)
    }

    /// A holder of which nobody has heard here yet counts as there, lest a custodian rebuild all that
    /// it has just taken over.
    private func unheard(
        _ holder: PeerID, _ store: StoreID, _ snapshot: MembershipSnapshot
    ) -> RepairPeer? {
        guard snapshot.members[holder] == nil, snapshot.mayBeThere(holder),
            context.standings.verdict(holder) != .banned
        else { return nil }
        return RepairPeer(store: store, zone: "", risk: Risk.suspected)
    }

    private func report(_ bytes: [UInt8], by reporter: PeerID) throws -> [UInt8] {
        guard let request = ShardHolder.decoded(ReportSegmentRequest.self, bytes),
            let shard = ShardID(segment: request.segment, index: request.index)
        else { throw ShardRefusal.malformed.failure("report") }
        let suspect = PeerID(bytes: request.peer)
        let report = Report(
            segment: shard.segment, peer: suspect, index: shard.index, isOwn: suspect == reporter)
        if reports.count < Repairer.reports, !reports.contains(report) { reports.append(report) }
        return ReportSegmentResponse().protobufBytes()
    }

    /// Looks at the segments again and again, until the task is cancelled.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.runner.run() }
            var nextLook = context.environment.now()
            while true {
                try await context.environment.sleep(for: context.timings.repair.tick)
                if context.environment.now() >= nextLook {
                    let walk = await look()
                    nextLook = context.environment.now() + walk * Repairer.walkShare
                }
                let now = context.environment.now()
                for task in machine.due(peers, now: now) {
                    machine.begin(task, now: now)
                    group.addTask {
                        if case .rebuild = task {
                            await self.performClaimed(task)
                        } else {
                            await self.perform(task)
                        }
                    }
                }
                publish()
            }
        }
    }

    private func publish() {
        let status = machine.status
        let metrics = context.environment.metrics
        for (health, count) in [
            ("full", status.full), ("degraded", status.degraded), ("at_risk", status.atRisk),
            ("lost", status.lost),
        ] {
            metrics.gauge("cyxcloud_segments", [("health", health)]).set(Double(count))
        }
        metrics.gauge("cyxcloud_repair_queue_segments").set(Double(status.queued))
    }

    // MARK: Watching

    /// Brings the machine up to date; returns how long the walk over the local rows took.
    private func look() async -> Duration {
        let basis = await currentBasis()
        let start = context.environment.now()
        let changed = peers.replace(basis.peers, watched: basis.holders, now: start)
        machine.peersChanged(changed, peers, now: start)
        var fresh: [SegmentID] = []
        var isComplete = false
        do throws(TableError) {
            fresh = try await discover()
            isComplete = fresh.count <= Repairer.loadsPerLook
        } catch {
            logger.debug("local segments could not be listed", [("error", "\(error)")])
        }
        let walk = context.environment.now() - start
        let stale = machine.stale(now: context.environment.now(), limit: Repairer.loadsPerLook)
        let failures = await load(Array(fresh.prefix(Repairer.loadsPerLook)) + stale)
        await checkReports()
        if isComplete, failures == 0 { looked = basis }
        return walk
    }

    /// Forgets segments that this peer need not watch any more, and returns those that it should
    /// and does not yet.
    private func discover() async throws(TableError) -> [SegmentID] {
        var after: RowKey?
        var seen: Set<SegmentID> = []
        var fresh: [SegmentID] = []
        let snapshot = context.membership.snapshot
        let now = context.environment.now()
        while true {
            let page = try await context.tables.localRows(
                .segments, after: after, limit: RowLimits.scanPageRows)
            for key in page where key.suffix.isEmpty {
                let id = SegmentID(key.position)
                if let until = absent[id], now < until { continue }
                guard let custody = try await custody(of: id, snapshot),
                    custody.rank < Repairer.watchers
                else { continue }
                seen.insert(id)
                if machine.segments[id] != nil {
                    machine.setCustody(id, rank: custody.rank, hasQuorum: custody.hasQuorum)
                } else {
                    fresh.append(id)
                }
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { break }
            after = last
        }
        for id in machine.segments.keys.sorted() where !seen.contains(id) { machine.remove(id) }
        return fresh
    }

    /// Reads the rows of segments, a few at a time; returns how many could not be read.
    private func load(_ ids: [SegmentID]) async -> Int {
        var failures = 0
        var rest = ids[...]
        while !rest.isEmpty {
            let batch = rest.prefix(Repairer.concurrentLoads)
            rest = rest.dropFirst(Repairer.concurrentLoads)
            failures += await withTaskGroup(of: Bool.self) { group in
                for id in batch { group.addTask { await self.load(id) } }
                var failures = 0
                for await isLoaded in group where !isLoaded { failures += 1 }
                return failures
            }
        }
        return failures
    }

    /// This peer's place among the reachable custodians, and whether those are enough to decide
    /// anything; nil if it is none.
    private func custody(
        of id: SegmentID, _ snapshot: MembershipSnapshot
    ) async throws(TableError) -> (rank: Int, hasQuorum: Bool)? {
        let local = context.messaging.localPeer
        let custodians = try await context.tables.custodians(of: id.digest)
        let present = custodians.filter { $0 == local || snapshot.mayBeThere($0) }
        guard let rank = present.firstIndex(of: local) else { return nil }
        let hasQuorum =
            present.count >= ViewSize(members: custodians.count).quorum
            || !context.keeps(.repairsByQuorum)
        return (rank, hasQuorum)
    }

    /// Reads the rows of one segment; false when they could not be read.
    @discardableResult
    func load(_ id: SegmentID) async -> Bool {
        do throws(TableError) {
            let state = try await context.tables.read(ObjectRows.core(id))
            let holders = try await context.holders(of: id)
            let now = context.environment.now()
            guard let signed = state.value else {
                absent[id] = now + context.timings.repair.refresh
                machine.remove(id)
                return true
            }
            let snapshot = context.membership.snapshot
            guard let custody = try await custody(of: id, snapshot) else {
                machine.remove(id)
                return true
            }
            let shape = try SegmentShape.verifiedOrRejected(signed, of: id)
            let forged = await unproven(holders, shape)
            let named = holders.map(\.entry)
            let entries = named.filter { !forged.contains($0) }
            for entry in entries where peers[entry.peer] == nil {
                guard let peer = unheard(entry.peer, entry.store, snapshot) else { continue }
                peers.set(entry.peer, peer, now: now)
            }
            machine.load(
                shape, signed, entries, forged: named.filter(forged.contains),
                rank: custody.rank, hasQuorum: custody.hasQuorum, peers, now: now)
            return true
        } catch {
            logger.debug("a segment's rows could not be read", [("error", "\(error)")])
            return false
        }
    }

    /// The entries whose holder did not sign their receipt. Those that were loaded before are known
    /// to be good.
    private func unproven(
        _ holders: [(entry: HolderEntry, receipt: StoreReceipt)], _ shape: SegmentShape
    ) async -> Set<HolderEntry> {
        let known = Set(machine.segments[shape.id]?.entries ?? [])
        let fresh = holders.filter { !known.contains($0.entry) }
        guard !fresh.isEmpty, context.keeps(.provesReceipts) else { return [] }
        let forged = await context.environment.blocking.run {
            Set(fresh.filter { !$0.receipt.proves($0.entry, in: shape) }.map(\.entry))
        }
        if !forged.isEmpty {
            logger.warning(
                "entries without a valid receipt do not count",
                [("segment", "\(shape.id)"), ("entries", "\(forged.count)")])
        }
        return forged
    }

    // MARK: Reports

    private func checkReports() async {
        let batch = reports
        reports = []
        for report in batch {
            if machine.segments[report.segment] == nil { await load(report.segment) }
            guard let segment = machine.segments[report.segment] else { continue }
            guard let peer = report.peer else {
                machine.hasten(report.segment)
                continue
            }
            let shard = ShardID(segment: report.segment, index: report.index)
            guard report.index < segment.shape.code.shards, await isHolder(peer, of: shard),
                let isGood = await isGood(shard, segment.shape, at: peer)
            else { continue }
            if isGood {
                guard report.isOwn, isDraining(peer) else { continue }
                machine.markLeaving(shard, at: peer, peers, now: context.environment.now())
            } else {
                logger.warning(
                    "a reported shard is bad",
                    [("segment", "\(report.segment)"), ("peer", "\(peer)")])
                noteBad(shard, at: peer)
            }
        }
    }

    // MARK: Rebuilding

    func perform(_ task: RepairTask) async {
        let id = task.segment
        var succeeded = false
        do {
            switch task {
            case .rebuild: succeeded = try await rebuild(id)
            case .move(_, let entry): succeeded = try await move(entry, of: id)
            case .release(_, let entries): succeeded = try await release(entries, of: id)
            }
        } catch {
            logger.info(
                "a segment could not be repaired yet",
                [("segment", "\(id)"), ("error", "\(error)")])
        }
        machine.end(id, succeeded: succeeded, now: context.environment.now())
    }

    /// Reads the rows once more, since another custodian may have been faster, then rebuilds.
    private func rebuild(_ id: SegmentID) async throws -> Bool {
        await load(id)
        if let segment = machine.segments[id], segment.margin < 0 { await recheck(id) }
        guard let segment = machine.segments[id] else { return true }
        guard segment.margin >= 0 else { return false }
        let missing = segment.missing
        guard !missing.isEmpty else { return true }
        let good = machine.good(segment, peers)
        let rebuilder = SegmentRebuilder(
            context: context.with(segment.urgency), runner: runner, shape: segment.shape,
            signedCore: segment.signedCore)
        let holders = try await rebuilder.rebuild(
            missing, from: good.map { ($0.index, $0.peer) },
            avoiding: machine.distrusted(segment, peers), spoilt: Set(segment.bad.map(\.peer)))
        guard !holders.isEmpty else { return false }
        let added = holders.map {
            MergeElement(element: $0.entry.element, value: $0.receipt.protobufBytes())
        }
        let rebuilt = Set(holders.map(\.entry.index))
        let former = segment.entries + segment.void
        let retired = former.filter { rebuilt.contains($0.index) && !good.contains($0) }
            .map { MergeElement(element: $0.element, value: nil) }
        try await context.tables.merge(ObjectRows.holders(id), added + retired)
        let bytes = UInt64(segment.shape.fileBytes * holders.count)
        repairedBytes += bytes
        movedBytes.add(bytes)
        if let since = segment.missingSince, holders.count == missing.count {
            windows.observe((context.environment.now() - since).inSeconds)
        }
        logger.info(
            "repaired a segment",
            [("segment", "\(id)"), ("shards", "\(holders.count)"), ("bytes", "\(bytes)")])
        await load(id)
        return holders.count == missing.count
    }
}
