package import CyxCore

/// What a store holds and may hold, in bytes.
package struct StoreUsage: Equatable, Sendable {
    /// The operator's quota.
    package var allocated: Int64
    package var used: Int64
    /// What can still be put: within the quota and what the volume has beyond its reserve.
    package var free: Int64
    package var shards: Int64
}

/// The shards of one peer above its key-value store.
///
/// A durable put joins a group that is written and flushed together, so that the cost of a flush is
/// shared by everybody who waits. Groups are written one after another; while one waits for the
/// disk the next is written, and the one after that gathers. The first waiter of a group carries it
/// out, hence no task of the store's own.
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

    private struct Request {
        var changes: [ShardDatabase.Change]
        /// Bytes that the changes may add, reserved against quota and volume until they are done.
        var reserved: Int64
        var waiter: CheckedContinuation<Turn, Never>?
    }

    /// What a waiter is woken with.
    private enum Turn {
        case done(Result<Void, StoreError>)
        /// Carry the next group out, in which the waiter's own request is the first.
        case lead
    }

    package nonisolated let storeID: StoreID
    private nonisolated let environment: Environment
    private nonisolated let database: ShardDatabase
    private let reserveBytes: Int64
    private var allocated: Int64
    private var totals: ShardTotals
    private var volumeFree: Int64
    private var queue: [Request] = []
    private var queuedBytes: Int64 = 0
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
        environment.metrics.gauge("cyxcloud_store_allocated_bytes").set(Double(allocated))
        environment.metrics.gauge("cyxcloud_store_used_bytes").set(Double(totals.bytes))
        environment.metrics.gauge("cyxcloud_store_shards").set(Double(totals.shards))
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
            allocated: allocated, used: totals.bytes, free: max(0, freeForPuts),
            shards: totals.shards)
    }

    private var freeForPuts: Int64 {
        min(allocated - totals.bytes, volumeFree - reserveBytes) - queuedBytes
    }

    /// Changes the quota; what is stored beyond it stays.
    package func setAllocated(_ bytes: Int64) {
        allocated = bytes
        environment.metrics.gauge("cyxcloud_store_allocated_bytes").set(Double(bytes))
    }

    // MARK: Writing

    /// Stores shards; all of them are durable when this returns. When it throws, all or none of
    /// them may be there, and nothing that was acknowledged before is affected. An existing shard
    /// is replaced. Throws `noSpace` when the quota or the volume has no room.
    package func put(_ shards: [(key: ShardKey, bytes: [UInt8])]) async throws(StoreError) {
        let start = environment.now()
        var size: Int64 = 0
        var changes: [ShardDatabase.Change] = []
        changes.reserveCapacity(shards.count)
        for shard in shards {
            precondition(shard.bytes.count <= ShardStore.maximumShardBytes, "an oversized shard")
            size += Int64(shard.bytes.count) + ShardDatabase.overheadBytes
            changes.append(.put(shard.key, shard.bytes))
        }
        guard size <= freeForPuts else {
            volumeFree = environment.storage.freeBytes()
            guard size <= freeForPuts else { throw .noSpace }
            return try await submit(changes, reserved: size)
        }
        try await submit(changes, reserved: size)
        environment.metrics.histogram("cyxcloud_store_write_duration_seconds")
            .observe((environment.now() - start).inSeconds)
    }

    /// Removes shards durably; those that are not here count as removed.
    package func delete(_ keys: [ShardKey]) async throws(StoreError) {
        try await submit(keys.map { .delete($0) }, reserved: 0)
    }

    /// Removes every shard of a segment durably.
    package func delete(segment: SegmentID) async throws(StoreError) {
        try await submit([.deleteSegment(segment)], reserved: 0)
    }

    private func submit(
        _ changes: [ShardDatabase.Change], reserved: Int64
    ) async throws(StoreError) {
        guard !isClosed else { throw .closed }
        guard !changes.isEmpty else { return }
        guard queuedBytes + reserved <= ShardStore.maximumQueuedBytes else {
            throw .failed(operation: "put", detail: "\(queuedBytes) bytes wait to be written")
        }
        queuedBytes += reserved
        let turn = await withCheckedContinuation { continuation in
            queue.append(Request(changes: changes, reserved: reserved, waiter: continuation))
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

    /// Writes and flushes the next group; returns what its leader, who calls this, is to be told.
    private func commitGroup() async -> Result<Void, StoreError> {
        let group = takeGroup()
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
        case .success(let after):
            // The next group counts from here; should the flush fail, they are read again.
            totals = after
            mustReload = false
        case .failure(let error):
            finish(group, .failure(error))
            return .failure(error)
        }
        wakeLeader()
        let storage = environment.storage
        var outcome: Result<Int64, StoreError> = await environment.blocking.run {
            do throws(StoreError) {
                try database.store.flush()
                return .success(storage.freeBytes())
            } catch {
                return .failure(error)
            }
        }
        // A group that failed meanwhile may have made the store start over without this one.
        if failures != failuresBefore, case .success = outcome { outcome = .failure(lastFailure) }
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

    /// `outcome` carries the volume's free bytes.
    private func finish(_ group: [Request], _ outcome: Result<Int64, StoreError>) {
        switch outcome {
        case .success(let free):
            volumeFree = free
            environment.metrics.gauge("cyxcloud_store_used_bytes").set(Double(totals.bytes))
            environment.metrics.gauge("cyxcloud_store_shards").set(Double(totals.shards))
        case .failure(let error):
            mustReload = true
            failures += 1
            lastFailure = error
            volumeFree = environment.storage.freeBytes()
            environment.logger.labelled("store").error(
                "a write failed", [("error", "\(error)"), ("requests", String(group.count))])
        }
        for request in group { queuedBytes -= request.reserved }
        groupsInFlight -= 1
        let result = outcome.map { _ in }
        for request in group { request.waiter?.resume(returning: .done(result)) }
        wakeLeader()
    }

    // MARK: Reading

    /// A shard's bytes, nil if it is not here; throws `corrupt` when they are not those that were
    /// put: the caller deletes and repairs it.
    package nonisolated func get(_ key: ShardKey) async throws(StoreError) -> [UInt8]? {
        let database = database
        do throws(StoreError) {
            return try await environment.blocking.run { () throws(StoreError) in
                try database.read(key)
            }
        } catch {
            if case .corrupt = error {
                let labels = [("found_by", "read")]
                environment.metrics.counter("cyxcloud_store_corrupt_shards_total", labels).add()
            }
            throw error
        }
    }

    /// Bytes `range` of a shard, clamped to its length. The whole shard is read and checked.
    package nonisolated func get(
        _ key: ShardKey, range: Range<Int>
    ) async throws(StoreError) -> [UInt8]? {
        guard let bytes = try await get(key) else { return nil }
        return Array(bytes[range.clamped(to: 0..<bytes.count)])
    }

    /// The shards of a segment that lie here, in order, with their sizes in bytes.
    package nonisolated func list(
        _ segment: SegmentID
    ) async throws(StoreError) -> [(key: ShardKey, size: Int64)] {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.list(segment)
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
