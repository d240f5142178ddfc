internal import CyxCore

/// The rows of one peer in memory and on disk: changes are made in memory at once, and become
/// durable in batches that all writers of a moment share.
///
/// Confined to the actor that owns it. What is in memory may be ahead of the disk: nobody may be
/// told of it before `settle` returns. Loads and writes each have one batch under way, so that
/// neither overtakes its own kind on the pool's threads.
final class RowStore {
    /// Rows kept in memory beside those whose write is under way.
    static let cachedRows = 2048
    static let cachedBytes = 4 << 20

    private struct Cached {
        /// Nil: the row is absent.
        var row: StoredRow?
        var byteCount: Int
        /// The write that makes it durable.
        var sequence: UInt64
    }

    private enum Turn {
        case lead
        case done(StoreError?)
    }

    let store: any KeyValueStore
    private let blocking: any BlockingPool

    private var cache: [[UInt8]: Cached] = [:]
    private var cacheOrder: [[UInt8]] = []
    private var cacheBytes = 0

    private var queue: [KeyValueWrite] = []
    private var writeWaiters: [CheckedContinuation<Turn, Never>] = []
    private var isWriting = false
    private(set) var stagedSequence: UInt64 = 0
    private var durableSequence: UInt64 = 0
    /// How often a write failed and what was in memory was forgotten.
    private(set) var failures = 0
    /// In which order rows changed.
    private(set) var changes: ChangeLog

    private var loadKeys: [[UInt8]] = []
    private var loadWaiters: [CheckedContinuation<Turn, Never>] = []
    private var isLoading = false

    init(store: any KeyValueStore, blocking: any BlockingPool, changes: ChangeLog) {
        self.store = store
        self.changes = changes
        self.blocking = blocking
    }

    // MARK: Memory

    /// The row as of now; nil unless it is in memory, where it may be known to be absent.
    func cached(_ key: [UInt8]) -> StoredRow?? { cache[key].map(\.row) }

    func isDurable(_ key: [UInt8]) -> Bool {
        cache[key].map { $0.sequence <= durableSequence } ?? true
    }

    /// Changes a row, which is in memory, and queues its write, along with `extra` in one atomic batch.
    func stage(_ key: [UInt8], _ row: StoredRow, extra: [KeyValueWrite] = []) {
        stagedSequence += 1
        var row = row
        queue += changes.note(key, from: cache[key]?.row, to: &row)
        let bytes = row.bytes
        queue += extra
        queue.append(.put(key: key, value: bytes))
        remember(key, Cached(row: row, byteCount: bytes.count, sequence: stagedSequence))
    }

    /// Removes a row in memory and queues that, along with `extra` in one atomic batch. `stored`: what
    /// is on disk of one that is not in memory.
    func stageRemoval(
        _ key: [UInt8], stored: StoredRow? = nil, extra: [KeyValueWrite] = []
    ) {
        stagedSequence += 1
        queue += changes.forget(key, cache[key].map(\.row) ?? stored)
        queue += extra
        queue.append(.delete(key: key))
        remember(key, Cached(row: nil, byteCount: 0, sequence: stagedSequence))
    }

    /// A number of the log of changes above all that were told of.
    func nextChange() -> UInt64 { changes.next() }

    /// Queues writes of other things than rows.
    func stage(_ writes: [KeyValueWrite]) {
        stagedSequence += 1
        queue += writes
    }

    /// Forgets rows that were deleted below the cache. Call with nothing staged for them.
    func forget(from: [UInt8], to: [UInt8]) {
        for key in cacheOrder
        where !key.lexicographicallyPrecedes(from) && key.lexicographicallyPrecedes(to) {
            drop(key)
        }
        cacheOrder = cacheOrder.filter { cache[$0] != nil }
    }

    private func remember(_ key: [UInt8], _ entry: Cached) {
        if let old = cache[key] {
            cacheBytes -= old.byteCount
        } else {
            cacheOrder.append(key)
        }
        cacheBytes += entry.byteCount
        cache[key] = entry
    }

    private func drop(_ key: [UInt8]) {
        guard let old = cache.removeValue(forKey: key) else { return }
        cacheBytes -= old.byteCount
    }

    /// Drops the older half of the clean rows once there are too many.
    private func trim() {
        guard cache.count > RowStore.cachedRows || cacheBytes > RowStore.cachedBytes else {
            return
        }
        for key in cacheOrder.prefix(cacheOrder.count / 2) where isDurable(key) { drop(key) }
        cacheOrder = cacheOrder.filter { cache[$0] != nil }
    }

    // MARK: Disk

    /// Waits until everything staged so far is durable.
    func settle() async throws(StoreError) {
        if isWriting {
            let turn = await withCheckedContinuation { writeWaiters.append($0) }
            if case .done(let error) = turn {
                if let error { throw error }
                return
            }
        }
        isWriting = true
        let batch = queue + [changes.mark].compactMap(\.self)
        let waiters = writeWaiters
        let sequence = stagedSequence
        let latest = changes.latest
        queue = []
        writeWaiters = []
        var failure: StoreError?
        if !batch.isEmpty {
            let store = store
            do {
                try await blocking.run { () throws(StoreError) in
                    try store.write(batch, durable: true)
                }
            } catch {
                failure = error
            }
        }
        if failure == nil { changes.noteWritten(latest) }
        finishWrite(sequence: sequence, waiters: waiters, failure: failure)
        if let failure { throw failure }
    }

    private func finishWrite(
        sequence: UInt64, waiters: [CheckedContinuation<Turn, Never>], failure: StoreError?
    ) {
        if failure == nil {
            durableSequence = sequence
        } else {
            // What was staged meanwhile may build on what was lost: all of it fails, and the rows
            // are what the disk says.
            failures += 1
            durableSequence = stagedSequence
            queue = []
            cache = [:]
            cacheOrder = []
            cacheBytes = 0
            for waiter in writeWaiters { waiter.resume(returning: .done(failure)) }
            writeWaiters = []
        }
        for waiter in waiters { waiter.resume(returning: .done(failure)) }
        trim()
        if writeWaiters.isEmpty {
            isWriting = false
        } else {
            writeWaiters.removeFirst().resume(returning: .lead)
        }
    }

    /// Brings rows into memory. Look them up again afterwards: they may have changed or gone since.
    func load(_ keys: [[UInt8]]) async throws(StoreError) {
        var missing: [[UInt8]] = []
        for key in keys where cache[key] == nil {
            // What has a write under way is in `cache`, so the store has the latest of all others.
            switch store.getFromMemory(key) {
            case .known(let value): try remember(key, stored: value)
            case .unknown: missing.append(key)
            }
        }
        guard !missing.isEmpty else { return }
        loadKeys += missing
        if isLoading {
            let turn = await withCheckedContinuation { loadWaiters.append($0) }
            if case .done(let error) = turn {
                if let error { throw error }
                return
            }
        }
        isLoading = true
        let batch = loadKeys
        let waiters = loadWaiters
        loadKeys = []
        loadWaiters = []
        var failure: StoreError?
        do {
            let store = store
            let values = try await blocking.run { () throws(StoreError) -> [[UInt8]?] in
                var values: [[UInt8]?] = []
                for key in batch { values.append(try store.get(key)) }
                return values
            }
            for (key, value) in zip(batch, values) where cache[key] == nil {
                try remember(key, stored: value)
            }
        } catch {
            failure = error
        }
        for waiter in waiters { waiter.resume(returning: .done(failure)) }
        if loadWaiters.isEmpty {
            isLoading = false
        } else {
            loadWaiters.removeFirst().resume(returning: .lead)
        }
        if let failure { throw failure }
    }

    private func remember(_ key: [UInt8], stored value: [UInt8]?) throws(StoreError) {
        let row = try value.map { bytes throws(StoreError) in try RowStore.decode(key, bytes) }
        remember(key, Cached(row: row, byteCount: value?.count ?? 0, sequence: 0))
    }

    static func decode(_ key: [UInt8], _ bytes: [UInt8]) throws(StoreError) -> StoredRow {
        guard let rowKey = StorageKey.decodeRow(key) else {
            throw .corrupt(detail: "a row's key")
        }
        do {
            return try StoredRow(table: rowKey.table, bytes: bytes)
        } catch {
            throw .corrupt(detail: "row \(rowKey.position) of table \(rowKey.table.rawValue)")
        }
    }

    /// Entries on disk; settle first to see what was staged.
    func scan(
        from: [UInt8], to: [UInt8], limit: Int
    ) async throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        let store = store
        return try await blocking.run { () throws(StoreError) in
            try store.scan(from: from, to: to, limit: limit)
        }
    }
}
