internal import CyxCore
internal import CyxTables

/// What a version or an unfinished write leaves behind.
enum Leftover: Sendable {
    /// A version that is no longer current.
    case version(VersionID, manifestPages: Int)
    /// Segments, with whoever may hold shards of them beside those in their rows.
    case segments([SegmentID], hints: [PeerID])
    case rows([RowKey])
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
    private let keys: AccountKeys
    private let runner: JobRunner
    private var queue: [Job] = []
    private var isDraining = false
    private let forgotten: Counter

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, keys: AccountKeys, runner: JobRunner) {
        self.context = context
        self.keys = keys
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
        for attempt in 1...Cleaner.attempts {
            do {
                try await remove(
                    job.leftover, job.store, isLastAttempt: attempt == Cleaner.attempts)
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
        case .version(let version, let pages):
            let layout = try await store.layout(of: version)
            for placed in layout?.segments ?? [] {
                guard let core = placed.core, let id = SegmentID(bytes: core.segment) else {
                    continue
                }
                let hints = Digests.split(placed.holders).filter { $0 != .zero }.map { PeerID($0) }
                try await remove(id, hints: hints, isLastAttempt: isLastAttempt)
            }
            try await remove(
                store.rows(
                    of: version, manifestPages: pages, layout: layout?.row ?? LayoutRow()))
        case .segments(let segments, let hints):
            for segment in segments {
                try await remove(segment, hints: hints, isLastAttempt: isLastAttempt)
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

    private func remove(_ rows: [RowKey]) async throws {
        for row in rows {
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .delete
            }
        }
    }

    /// The rows go last: while a holder has not been told, the segment can still be found.
    private func remove(
        _ segment: SegmentID, hints: [PeerID], isLastAttempt: Bool
    ) async throws {
        let entries = try await context.holders(of: segment).map(\.entry)
        let statement = SegmentDeletion.signed(segment, by: keys.signing)
        let peers = Set(entries.map(\.peer)).union(hints).sorted()
        let reachable = context.reachable()
        let untold = await withTaskGroup(of: Bool.self, returning: Int.self) { group in
            for peer in peers where reachable.contains(peer) {
                group.addTask { [context] in
                    do throws(ShardClient.Failure) {
                        try await context.client.delete(statement, at: peer)
                        return true
                    } catch { return false }
                }
            }
            var untold = 0
            for await isTold in group where !isTold { untold += 1 }
            return untold
        }
        guard untold == 0 || isLastAttempt else {
            throw ObjectError.unavailable("\(untold) holders were not told of a deletion")
        }
        _ = try await context.tables.update(ObjectRows.core(segment)) { state in
            state.value == nil ? .abandon : .delete
        }
        guard !entries.isEmpty else { return }
        try await context.tables.merge(
            ObjectRows.holders(segment),
            entries.map { MergeElement(element: $0.element, value: nil) })
    }
}
