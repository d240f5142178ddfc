internal import CyxCore
internal import CyxTables

/// What a version or an unfinished write leaves behind.
enum Leftover: Sendable {
    /// A version that is no longer current, and in whose name its segments were stored.
    case version(VersionID, manifestPages: Int, [SegmentReference])
    /// A write that failed: segments, in whose name they were stored, and whoever may hold shards of
    /// them. Its layout and manifest may be there.
    case write(VersionID, [SegmentID], [SegmentReference], hints: [PeerID])
    /// The segments of such a version whose rows are gone.
    case placed([PlacedSegment], [SegmentReference])
    /// Segments, in whose name they were stored, and whoever may hold shards of them beside those in
    /// their rows.
    case segments([SegmentID], [SegmentReference], hints: [PeerID])
    case rows([RowKey])
    /// Heads that hold nothing but fences.
    case fences([RowKey])
    case uploads([(shard: ShardID, peer: PeerID)])
}

/// Removes what deleted and replaced versions leave behind, in the background, one after another.
actor Cleaner {
    /// Leftovers that wait; beyond that the oldest is forgotten and left to collection (B5).
    static let capacity = 10_000
    static let attempts = 6

    private struct Job: Sendable {
        var leftover: Leftover
        var store: VersionStore
    }

    private let context: ObjectContext
    private let references: SegmentReferences
    private let remover: SegmentRemover
    private let runner: JobRunner
    private var queue: [Job] = []
    private var isDraining = false
    private let forgotten: Counter

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, keys: AccountKeys, runner: JobRunner) {
        self.context = context
        references = SegmentReferences(context: context, keys: keys)
        remover = SegmentRemover(references: references)
        self.runner = runner
        forgotten = context.environment.metrics.counter("cyxcloud_cleanups_forgotten_total")
    }

    var waiting: Int { queue.count }

    func submit(_ leftover: Leftover, in store: VersionStore) {
        queue.append(Job(leftover: leftover, store: store))
        if queue.count > Cleaner.capacity {
            queue.removeFirst()
            forgotten.add()
        }
        kick()
    }

    /// Goes on with what waits, if somebody runs background jobs.
    func kick() {
        guard !isDraining, !queue.isEmpty else { return }
        isDraining = true
        if !runner.submit({ await self.drain() }) { isDraining = false }
    }

    private func drain() async {
        while !queue.isEmpty, !Task.isCancelled {
            let job = queue.removeFirst()
            await clean(job)
        }
        isDraining = false
        if !Task.isCancelled { kick() }
    }

    private func clean(_ job: Job) async {
        var pause = context.timings.cleanupRetry.first
        var leftover = job.leftover
        for attempt in 1...Cleaner.attempts {
            do {
                if case .version(let version, let pages, let owners) = leftover {
                    let placed = try await removeRows(of: version, pages, job.store)
                    leftover = .placed(placed, owners)
                }
                if case .write(let version, let segments, let owners, let hints) = leftover {
                    try await remove(job.store.rows(of: version))
                    leftover = .segments(segments, owners, hints: hints)
                }
                try await remove(leftover, job.store, isLastAttempt: attempt == Cleaner.attempts)
                return
            } catch {
                context.logger.debug("a cleanup failed", [("error", "\(error)")])
            }
            do { try await context.environment.sleep(for: pause) } catch { return }
            pause = min(pause * 2, context.timings.cleanupRetry.most)
        }
        forgotten.add()
    }

    private func remove(
        _ leftover: Leftover, _ store: VersionStore, isLastAttempt: Bool
    ) async throws {
        switch leftover {
        case .version, .write: preconditionFailure("its rows go first")
        case .placed(let segments, let owners):
            for placed in segments {
                guard let core = placed.core, let id = SegmentID(bytes: core.segment) else {
                    continue
                }
                let hints = Digests.split(placed.holders).filter { $0 != .zero }.map { PeerID($0) }
                try await remove(
                    id, owners, hints: hints, mayBeShared: placed.isShare,
                    isLastAttempt: isLastAttempt)
            }
        case .segments(let segments, let owners, let hints):
            for segment in segments {
                try await remove(
                    segment, owners, hints: hints, mayBeShared: true, isLastAttempt: isLastAttempt)
            }
        case .fences(let rows):
            let now = context.environment.wallTime()
            for row in rows {
                _ = try await context.tables.update(row) { state in
                    guard let head = state.value.flatMap({ store.head($0, at: row) }),
                        !head.hasVersion, head.deleted(now: now) == nil
                    else { return .abandon }
                    return .delete
                }
            }
        case .rows(let rows):
            try await remove(rows)
        case .uploads(let uploads):
            for upload in uploads {
                do throws(ShardClient.Failure) {
                    try await context.client.drop(upload.shard, at: upload.peer)
                } catch {
                    // The holder drops it by itself after `unfinishedUpload`.
                    context.logger.debug("an upload was not dropped", [("error", "\(error)")])
                }
            }
        }
    }

    /// A version's rows go before its references: by these collection finds what is left of both. Returns
    /// its segments, which nothing else names from then on.
    private func removeRows(
        of version: VersionID, _ manifestPages: Int, _ store: VersionStore
    ) async throws -> [PlacedSegment] {
        let layout = try await store.layout(of: version)
        try await remove(
            store.rows(
                of: version, manifestPages: manifestPages, layout: layout?.row ?? LayoutRow()))
        return layout?.segments ?? []
    }

    private func remove(_ rows: [RowKey]) async throws {
        for row in rows {
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .delete
            }
        }
    }

    /// Whether something refers to the segment and nobody has condemned it. What somebody condemned and
    /// left, the remover revives.
    private func isNeeded(_ segment: SegmentID) async throws -> Bool {
        guard try await !references.read(segment).isEmpty else { return false }
        let state = try await context.tables.read(ObjectRows.core(segment))
        return SegmentShape.life(state.value) == .live
    }

    /// Takes the owners' references back; then the segment goes unless others need it.
    ///
    /// One that others share is not even condemned to find that out: their claims would fail. Nothing
    /// is left behind by that, since whoever takes the last reference back sees none any more.
    private func remove(
        _ segment: SegmentID, _ owners: [SegmentReference], hints: [PeerID], mayBeShared: Bool,
        isLastAttempt: Bool
    ) async throws {
        // Whether a segment may go, only the account's own gateways can tell: they see who else refers
        // to it. A reference without its version's rows is enough for them to find it by (B5).
        guard references.keys.areWhole else { return }
        try await references.remove(owners.map { $0.element(of: segment) }, of: segment)
        if mayBeShared, context.keeps(.sparesNeeded), try await isNeeded(segment) { return }
        _ = try await remover.remove(segment, hints: hints, isLastAttempt: isLastAttempt)
    }
}
