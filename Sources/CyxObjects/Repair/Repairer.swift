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

    struct Report: Hashable, Sendable {
        var segment: SegmentID
        var peer: PeerID?
        var index: Int
        /// Whose shard it is says so itself.
        var isOwn: Bool
    }

    /// What a look was based on: it tells the truth as long as these are the same.
    struct Basis: Equatable {
        var custody: UInt64
        var peers: [PeerID: RepairPeer]
        /// Whose death shows here; nil: everybody's.
        var holders: Set<PeerID>?
    }

    let context: ObjectContext
    let runner = JobRunner()
    var machine: RepairMachine
    var peers: RepairPeers
    /// Of the last look that found and read everything.
    var looked: Basis?
    var reports: [Report] = []
    var absent = BoundedCache<SegmentID, Instant>(capacity: Repairer.absentees)
    /// Local segments whose account's lease has ended, and when to look again: as many as there are.
    var neglected: [SegmentID: Instant] = [:]
    var repairedBytes: UInt64 = 0
    let movedBytes: Counter
    /// From when a segment was first seen to miss shards until it was whole again.
    let windows: Histogram
    /// Seconds, from one to a week.
    private static let windowBounds: [Double] = [
        1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400,
    ]
    let logger: Logger

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

    func noteBad(_ shard: ShardID, at peer: PeerID) {
        machine.markBad(
            shard.segment, index: shard.index, peer: peer, peers, now: context.environment.now())
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
}
