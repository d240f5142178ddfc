package import CyxCore

/// What a store holds and may hold, in bytes: `used + trash + free == allocated`, always.
package struct StoreUsage: Equatable, Sendable {
    /// The operator's quota.
    package var allocated: Int64
    package var used: Int64
    /// Deleted, and kept for a while in case that was a mistake.
    package var trash: Int64
    package var shards: Int64
    package var trashShards: Int64
    /// What can be put now: within the quota, what the volume has beyond its reserve, and what
    /// other puts under way leave of both. The trash gives way to puts (`ShardStore.put`).
    package var available: Int64

    /// Below zero if the quota was lowered under what lies here.
    package var free: Int64 { allocated - used - trash }
}

/// Everything that a store took between two failures of its writes. What was buffered in an earlier
/// one may be lost.
package struct WriteEpoch: Equatable, Sendable {
    fileprivate var failures: Int
}

/// The shards of one peer above its key-value store.
///
/// A durable put joins a group that is written and flushed together, so that the cost of a flush is
/// shared by everybody who waits. Groups are written one after another; while one waits for the
/// disk the next is written, and the one after that gathers. The first waiter of a group carries it
/// out, hence no task of the store's own.
///
/// A buffered put waits for no flush. The next flush covers it, and a durable put that names the
/// epoch of the first buffered one succeeds only if nothing between the two was lost.
package actor ShardStore {
    /// A group takes no more than this; what is left waits for the next one.
    package static let maximumGroupBytes: Int64 = 16 << 20
    package static let maximumGroupChanges = 1024
    /// What waits is split into two groups that overlap, unless it is less than this.
    static let minimumGroupBytes: Int64 = 512 << 10
    /// Groups that are being written or flushed at one time.
    static let maximumGroupsInFlight = 2
    /// Bytes that wait for a flush; a put beyond them fails rather than fill the memory.
    package static let maximumQueuedBytes: Int64 = 256 << 20
    package static let maximumShardBytes = 8 << 20
    /// From so many bytes on that no flush has covered, buffered puts are flushed too.
    package static let maximumBufferedBytes: Int64 = 8 << 20

    private struct Request {
        var changes: [ShardDatabase.Change]
        /// Bytes that the changes may add, reserved against quota and volume until they are done.
        var reserved: Int64
        /// Whether the waiter wants a flush.
        var isDurable: Bool
        var waiter: CheckedContinuation<Turn, Never>?
    }

    /// What a waiter is woken with.
    private enum Turn {
        case done(Result<Void, StoreError>)
        /// Carry the next group out, in which the waiter's own request is the first.
        case lead
    }

    package nonisolated let storeID: StoreID
    nonisolated let environment: Environment
    nonisolated let database: ShardDatabase
    nonisolated let meters: StoreMeters
    private let reserveBytes: Int64
    private let allocated: Int64
    private var totals: ShardTotals
    private var volumeFree: Int64
    private var queue: [Request] = []
    private var queuedBytes: Int64 = 0
    /// Bytes that were written, and how many of them a flush has covered.
    private var writtenBytes: Int64 = 0
    private var flushedBytes: Int64 = 0
    /// A leader was chosen and its group is not in the store yet.
    private var isApplying = false
    private var groupsInFlight = 0
    /// Groups that failed so far.
    private var failures = 0
    private var lastFailure = StoreError.closed
    private var isClosed = false
    /// A failed group may or may not be in the store: the totals must be read again.
    private var mustReload = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    private init(
        environment: Environment, database: ShardDatabase, id: StoreID, totals: ShardTotals,
        allocated: Int64, reserveBytes: Int64
    ) {
        self.environment = environment
        self.database = database
        self.storeID = id
        self.totals = totals
        self.allocated = allocated
        self.reserveBytes = reserveBytes
        self.volumeFree = environment.storage.freeBytes()
        meters = StoreMeters(environment.metrics)
        meters.set(allocated: allocated, totals, volumeFree: volumeFree)
    }

    /// Opens the store `name` of the environment's device; makes it, with a new ID, if there is
    /// none. `allocated` is the quota; `reserveBytes` of the volume stay free in any case.
    package static func open(
        _ environment: Environment, name: String = "shards", allocated: Int64,
        reserveBytes: Int64 = 128 << 20
    ) async throws(StoreError) -> ShardStore {
        let newID = StoreID(environment.random.digest())
        let storage = environment.storage
        let (database, started) = try await environment.blocking.run {
            () throws(StoreError) in
            let store = try storage.open(name, kind: .shards)
            let database = ShardDatabase(store: store)
            do throws(StoreError) {
                return (database, try database.start(newID))
            } catch {
                store.close()
                throw error
            }
        }
        return ShardStore(
            environment: environment, database: database, id: started.id,
            totals: started.totals, allocated: allocated, reserveBytes: reserveBytes)
    }

    // MARK: Usage

    package var usage: StoreUsage {
        StoreUsage(
            allocated: allocated, used: totals.bytes, trash: totals.trashBytes,
            shards: totals.shards, trashShards: totals.trashShards,
            available: max(0, freeForPuts + totals.trashBytes))
    }

    private var freeForPuts: Int64 {
        let quota = allocated - totals.bytes - totals.trashBytes
        return min(quota, volumeFree - reserveBytes - bufferedBytes) - queuedBytes
    }

    private var bufferedBytes: Int64 { writtenBytes - flushedBytes }

    private var epoch: WriteEpoch { WriteEpoch(failures: failures) }

    // MARK: Writing

    /// Stores shards; with `durable` all of them are durable when this returns, without it they can
    /// be read. When it throws, all or none of them may be there, and nothing that was acknowledged
    /// before is affected. An existing shard is replaced.
    ///
    /// `since`: the epoch that the first of some buffered puts returned. Then this throws if any of
    /// them may be lost; if it does not and is durable, they all are durable too. So is, after a
    /// durable put of nothing, all that could be read before it.
    ///
    /// Throws `noSpace` when the quota or the volume has no room.
    @discardableResult
    package func put(
        _ shards: [(key: ShardKey, bytes: [UInt8])], durable: Bool = true,
        since: WriteEpoch? = nil
    ) async throws(StoreError) -> WriteEpoch {
        let start = environment.now()
        let expected = since ?? epoch
        guard expected == epoch else { throw ShardStore.lostEarlier }
        var size: Int64 = 0
        var changes: [ShardDatabase.Change] = []
        changes.reserveCapacity(shards.count)
        for shard in shards {
            precondition(shard.bytes.count <= ShardStore.maximumShardBytes, "an oversized shard")
            size += Int64(shard.bytes.count) + ShardDatabase.overheadBytes
            changes.append(.put(shard.key, shard.bytes))
        }
        if size > freeForPuts {
            volumeFree = environment.storage.freeBytes()
            try await makeRoom(for: size)
            guard size <= freeForPuts else { throw .noSpace }
        }
        try await submit(changes, reserved: size, isDurable: durable)
        guard expected == epoch else { throw ShardStore.lostEarlier }
        meters.writes.observe((environment.now() - start).inSeconds)
        return expected
    }

    private static let lostEarlier = StoreError.failed(
        operation: "put", detail: "an earlier part of it may be lost")

    /// Removes shards durably; those that are not here count as removed.
    package func delete(_ keys: [ShardKey]) async throws(StoreError) {
        guard !keys.isEmpty else { return }
        try await submit(keys.map { .delete($0) }, reserved: 0, isDurable: true)
    }

    /// Removes every shard of a segment durably.
    package func delete(segment: SegmentID) async throws(StoreError) {
        try await submit([.deleteSegment(segment)], reserved: 0, isDurable: true)
    }

    /// Notes something beside the shards; nil removes it.
    package func setNotes(
        _ notes: [(name: [UInt8], value: [UInt8]?)], durable: Bool = true
    ) async throws(StoreError) {
        precondition(notes.allSatisfy { $0.name.count <= 64 }, "a note's name has up to 64 bytes")
        try await submit(
            notes.map { .note($0.name, $0.value) }, reserved: 0, isDurable: durable)
    }

    /// Empties the oldest trash until `size` bytes fit, or none is left.
    private func makeRoom(for size: Int64) async throws(StoreError) {
        while size > freeForPuts, totals.trashBytes > 0 {
            let oldest = try await trash(limit: ShardStore.maximumGroupChanges)
            var freed: Int64 = 0
            let short = size - freeForPuts
            let purged = oldest.prefix { entry in
                guard freed < short else { return false }
                freed += entry.bytes
                return true
            }
            guard !purged.isEmpty else { return }
            try await purge(purged.map(\.key))
            volumeFree = environment.storage.freeBytes()
        }
    }

    func submit(
        _ changes: [ShardDatabase.Change], reserved: Int64, isDurable: Bool
    ) async throws(StoreError) {
        guard !isClosed else { throw .closed }
        guard !changes.isEmpty || isDurable else { return }
        guard queuedBytes + reserved <= ShardStore.maximumQueuedBytes else {
            throw .failed(operation: "put", detail: "\(queuedBytes) bytes wait to be written")
        }
        queuedBytes += reserved
        let turn = await withCheckedContinuation { continuation in
            queue.append(
                Request(
                    changes: changes, reserved: reserved, isDurable: isDurable,
                    waiter: continuation))
            wakeLeader()
        }
        switch turn {
        case .done(let result): try result.get()
        case .lead: try await commitGroup().get()
        }
    }

    /// Makes the first waiter the leader of the next group, if one may start.
    private func wakeLeader() {
        guard !isApplying, groupsInFlight < ShardStore.maximumGroupsInFlight, !queue.isEmpty
        else { return }
        isApplying = true
        groupsInFlight += 1
        queue[0].waiter?.resume(returning: .lead)
        queue[0].waiter = nil
    }

    /// Writes the next group and flushes it if any of its waiters, or the memory, wants that.
    /// Returns what its leader, who calls this, is to be told.
    private func commitGroup() async -> Result<Void, StoreError> {
        var group = takeGroup()
        let changes = group.flatMap(\.changes)
        let failuresBefore = failures
        let before = mustReload ? nil : totals
        let database = database
        let applied: Result<ShardTotals, StoreError> = await environment.blocking.run {
            do throws(StoreError) {
                let totals = if let before { before } else { try database.reload() }
                return .success(try database.apply(changes, to: totals))
            } catch {
                return .failure(error)
            }
        }
        isApplying = false
        switch applied {
        case .success where failures != failuresBefore:
            // What failed meanwhile may have made the store start over without this group.
            finish(group, .failure(lastFailure))
            return .failure(lastFailure)
        case .success(let after):
            // The next group counts from here; should the flush fail, they are read again.
            totals = after
            mustReload = false
            writtenBytes += group.reduce(0) { $0 + $1.reserved }
        case .failure(let error):
            finish(group, .failure(error))
            return .failure(error)
        }
        let mustFlush = bufferedBytes >= ShardStore.maximumBufferedBytes
        guard mustFlush || group.contains(where: \.isDurable) else {
            finish(group, .success(nil))
            return .success(())
        }
        answer(group.filter { !$0.isDurable }, .success(()))
        group.removeAll { !$0.isDurable }
        wakeLeader()
        let covered = writtenBytes
        let storage = environment.storage
        var outcome: Result<Int64?, StoreError> = await environment.blocking.run {
            do throws(StoreError) {
                try database.store.flush()
                return .success(storage.freeBytes())
            } catch {
                return .failure(error)
            }
        }
        // As above.
        if failures != failuresBefore, case .success = outcome { outcome = .failure(lastFailure) }
        if case .success = outcome { flushedBytes = max(flushedBytes, covered) }
        finish(group, outcome)
        return outcome.map { _ in }
    }

    private func takeGroup() -> [Request] {
        let share = max(queuedBytes / 2, ShardStore.minimumGroupBytes)
        let maximum = min(share, ShardStore.maximumGroupBytes)
        var bytes: Int64 = 0
        var changes = 0
        var count = 0
        for request in queue {
            bytes += request.reserved
            changes += request.changes.count
            let isFull =
                bytes > maximum || changes > ShardStore.maximumGroupChanges
            if count > 0, isFull { break }
            count += 1
        }
        let group = Array(queue[..<count])
        queue.removeFirst(count)
        return group
    }

    /// `outcome` carries the volume's free bytes, if they were asked for.
    private func finish(_ group: [Request], _ outcome: Result<Int64?, StoreError>) {
        switch outcome {
        case .success(let free):
            if let free { volumeFree = free }
            meters.set(allocated: allocated, totals, volumeFree: volumeFree)
        case .failure(let error):
            mustReload = true
            failures += 1
            lastFailure = error
            volumeFree = environment.storage.freeBytes()
            environment.logger.labelled("store").error(
                "a write failed", [("error", "\(error)"), ("requests", String(group.count))])
        }
        groupsInFlight -= 1
        answer(group, outcome.map { _ in })
        wakeLeader()
    }

    private func answer(_ requests: [Request], _ result: Result<Void, StoreError>) {
        for request in requests {
            queuedBytes -= request.reserved
            request.waiter?.resume(returning: .done(result))
        }
    }

    /// Ends the store: later writes throw `closed`. Waits for nothing; a group that is under way
    /// fails or succeeds as a whole.
    package func close() async {
        isClosed = true
        let store = database.store
        await environment.blocking.run { store.close() }
    }
}
