internal import CyxCore
internal import CyxCrypto
package import CyxStorage
internal import CyxTables
internal import CyxTransport

/// A holder's part of collection (B5): asks for every stored file whether anybody still knows its
/// segment, and empties the trash.
///
/// Files go only on their owner's word, or when a quorum says that a segment is unknown, or is no
/// longer this holder's, which it has had for long enough to be registered, or that the owner's lease
/// ended long ago. Either way they go to the trash first, and come back from there if their segment
/// turns up again or the lease is renewed.
package actor HolderCollector {
    /// Rows of the store that are looked at in one step of a walk.
    static let page = 512
    /// Segments that are asked for at once.
    static let concurrency = 8
    /// Segments that are remembered as registered.
    static let known = 1 << 16
    /// Accounts that are remembered.
    static let accounts = 1 << 14

    private let context: ObjectContext
    private let holder: ShardHolder
    private let store: ShardStore
    private let timings: CollectionTimings
    /// When segments were found registered.
    private var registered = BoundedCache<SegmentID, (seen: Instant, owner: AccountID)>(
        capacity: HolderCollector.known)
    /// Whose segments lie here, and whose leases ended long ago as of this walk.
    private var owners: Set<AccountID> = []
    private var lapsed: Set<AccountID> = []
    private let trashed: Counter
    private let lapses: Counter
    private let restored: Counter
    private let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext, holder: ShardHolder, store: ShardStore) {
        self.context = context
        self.holder = holder
        self.store = store
        timings = context.timings.collection
        let metrics = context.environment.metrics
        trashed = metrics.counter("cyxcloud_store_unregistered_segments_total")
        lapses = metrics.counter("cyxcloud_store_lapsed_segments_total")
        restored = metrics.counter("cyxcloud_store_restored_segments_total")
        logger = context.environment.logger.labelled("collection")
    }

    /// Walks until the task is cancelled.
    package func run() async throws {
        while true {
            do {
                try await emptyTrash()
                try await walk()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.debug("the store cannot be walked", [("error", "\(error)")])
            }
            try await context.environment.sleep(for: timings.sweep.rest)
        }
    }

    private var now: Int64 { context.environment.wallTime().milliseconds }

    // MARK: Trash

    /// Purges what has lain in the trash for long enough; the oldest entries come first.
    private func emptyTrash() async throws {
        let span = timings.trash.nanoseconds / 1_000_000
        while true {
            let page = try await store.trash(limit: HolderCollector.page)
            let due = page.filter { now - $0.mark.since.milliseconds >= span }
            guard !due.isEmpty else { return }
            let segments = Set(due.filter { $0.mark.reason == .unregistered }.map(\.key.segment))
            var kept: Set<SegmentID> = []
            for segment in segments.sorted() {
                // Nothing is thrown away before somebody could be asked.
                guard let life = await life(of: segment, stored: nil) else {
                    kept.insert(segment)
                    continue
                }
                if life == .live { try await restore(segment) }
            }
            let ended = Set(due.filter { $0.mark.reason == .lapsed }.map(\.key.segment))
            var asked: [AccountID: Bool] = [:]
            for segment in ended.sorted() {
                guard let isOver = await isOver(segment, &asked) else {
                    kept.insert(segment)
                    continue
                }
                if !isOver { try await restore(segment) }
            }
            let purged = due.map(\.key).filter { !kept.contains($0.segment) }
            // What was restored is not in the trash any more.
            try await store.purge(purged)
            guard page.count == HolderCollector.page, kept.isEmpty else { return }
        }
    }

    private func restore(_ segment: SegmentID) async throws {
        try await store.restore(segment)
        restored.add()
        logger.warning(
            "a segment turned up again and left the trash", [("segment", "\(segment)")])
    }

    // MARK: Walking

    private func walk() async throws {
        lapsed = []
        for owner in owners.sorted() where await hasLapsed(owner) == true { lapsed.insert(owner) }
        var after: ShardKey?
        // The files of one segment, which may go over a page's end.
        var files: [ShardID: Bool] = [:]
        while true {
            let page = try await store.list(after: after, limit: HolderCollector.page)
            for (key, _) in page {
                let shard = ShardID(segment: key.segment, index: Int(key.index))
                files[shard] = files[shard] == true || key.chunk == ShardFile.recordNumber
            }
            let isLast = page.count < HolderCollector.page
            let open = page.last?.key.segment
            let whole = files.filter { isLast || $0.key.segment != open }
            try await look(whole)
            for shard in whole.keys { files[shard] = nil }
            guard !isLast, let last = page.last else { break }
            after = last.key
        }
        try await lookAtTrash()
    }

    /// `files`: whether each is finished.
    private func look(_ files: [ShardID: Bool]) async throws {
        for shard in files.filter({ !$0.value }).keys.sorted() {
            await holder.dropAbandoned(shard)
        }
        let limit = context.environment.now() - timings.recheck
        var segments = Set(files.filter(\.value).keys.map(\.segment)).filter { segment in
            registered[segment].map { $0.seen < limit || lapsed.contains($0.owner) } ?? true
        }.sorted()[...]
        while !segments.isEmpty {
            let batch = segments.prefix(HolderCollector.concurrency)
            segments = segments.dropFirst(HolderCollector.concurrency)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for segment in batch {
                    let indices = files.keys.filter { $0.segment == segment }.sorted()
                    group.addTask { try await self.look(segment, indices) }
                }
                try await group.waitForAll()
            }
            try await context.environment.sleep(for: timings.sweep.page)
        }
    }

    private func look(_ segment: SegmentID, _ shards: [ShardID]) async throws {
        var stored: Int64 = 0
        var core: [UInt8]?
        for shard in shards {
            guard let record = try await holder.record(of: shard) else { continue }
            stored = max(stored, record.storedMs)
            core = record.core
        }
        guard let core, now - stored > timings.unregistered.nanoseconds / 1_000_000,
            let owner = SegmentShape.owner(core, of: segment),
            let life = await life(of: segment, stored: core)
        else { return }
        if owners.count < HolderCollector.accounts { owners.insert(owner) }
        switch life {
        case .live, .condemning:
            if await hasLapsed(owner) == true {
                try await holder.trash(segment, .lapsed)
                lapses.add()
                logger.info(
                    "a stored segment's lease has ended",
                    [("segment", "\(segment)"), ("account", "\(owner)")])
                return
            }
            guard await isReleased(segment, shards) else {
                registered[segment] = (context.environment.now(), owner)
                return
            }
            try await holder.trash(segment, .released)
        case .condemned:
            try await holder.trash(segment, .ordered)
        case .absent:
            try await holder.trash(segment, .unregistered)
            trashed.add()
            logger.info("nobody knows a stored segment", [("segment", "\(segment)")])
        }
    }

    /// Whether a quorum says that none of these files is this store's to keep any more: its entries
    /// were struck, since others hold the shards or an audit found it wanting.
    private func isReleased(_ segment: SegmentID, _ shards: [ShardID]) async -> Bool {
        do throws(TableError) {
            let local = context.messaging.localPeer
            let indices = Set(shards.map(\.index))
            return try await !context.holders(of: segment).contains { holder in
                holder.entry.peer == local && holder.entry.store == store.storeID
                    && indices.contains(holder.entry.index) && holder.receipt.isSigned
            }
        } catch { return false }
    }

    /// Brings back what turned out to be this holder's after all.
    private func lookAtTrash() async throws {
        var hasRestored = true
        // What came back makes way for what has lain there for less long.
        while hasRestored {
            let page = try await store.trash(limit: HolderCollector.page)
            let entries = page.filter { $0.mark.reason != .ordered }.map(\.key)
            let files = Dictionary(grouping: entries, by: \.segment).mapValues { keys in
                Set(keys.map { ShardID(segment: $0.segment, index: Int($0.index)) })
            }
            hasRestored = false
            for (segment, shards) in files.sorted(by: { $0.key < $1.key })
            where await isNeeded(segment, Array(shards)) {
                try await restore(segment)
                hasRestored = page.count == HolderCollector.page
            }
        }
    }

    private func isNeeded(_ segment: SegmentID, _ shards: [ShardID]) async -> Bool {
        guard await life(of: segment, stored: nil) == .live,
            let owner = await owner(of: segment), await hasLapsed(owner) == false
        else { return false }
        return await !isReleased(segment, shards)
    }

    // MARK: Leases

    /// Whether the account's lease ended long ago; nil when no quorum could be asked.
    private func hasLapsed(_ account: AccountID) async -> Bool? {
        do throws(TableError) {
            let lease = try await context.leases.lease(of: account, in: context)
            let grace = context.timings.leases.grace
            return lease.hasEnded(for: grace, at: context.environment.wallTime())
        } catch { return nil }
    }

    /// Whether what lies in the trash for its lease's end may go for good: nobody has renewed it up to
    /// now. Nil when no quorum could be asked. `asked`: what was found of accounts before.
    private func isOver(
        _ segment: SegmentID, _ asked: inout [AccountID: Bool]
    ) async -> Bool? {
        do throws(TableError) {
            let value = try await context.tables.read(ObjectRows.core(segment)).value
            let life = SegmentShape.life(value)
            // Its owner has given it up, too.
            guard let value, life != .condemned else { return true }
            guard let owner = SegmentShape.owner(value, of: segment) else { return nil }
            if let known = asked[owner] { return known }
            let lease = try await context.readLease(of: owner)
            let isOver = lease.hasEnded(
                for: context.timings.leases.grace, at: context.environment.wallTime())
            asked[owner] = isOver
            return isOver
        } catch { return nil }
    }

    /// Whose a quorum says that the segment is; nil when none could be asked.
    private func owner(of segment: SegmentID) async -> AccountID? {
        do throws(TableError) {
            let value = try await context.tables.read(ObjectRows.core(segment)).value
            return value.flatMap { SegmentShape.owner($0, of: segment) }
        } catch { return nil }
    }

    // MARK: Segments

    /// What a quorum says of the segment; nil when none could be asked. Only whose core is `stored`
    /// may condemn it.
    private func life(of segment: SegmentID, stored: [UInt8]?) async -> SegmentLife? {
        do throws(TableError) {
            guard let value = try await context.tables.read(ObjectRows.core(segment)).value else {
                return .absent
            }
            let life = SegmentShape.life(value)
            if life == .condemned, let stored,
                SegmentShape.owner(value, of: segment) != SegmentShape.owner(stored, of: segment)
            {
                return nil
            }
            return life
        } catch { return nil }
    }
}
