internal import CRocksDB
package import CyxCore
internal import Glibc
internal import Synchronization

/// One RocksDB database. All calls block and may come from any thread.
///
/// When the volume fills up, RocksDB refuses every later write. Reads go on, and the first write
/// that finds `spaceToResume` bytes free again closes and reopens the database. Writes of a
/// `.shards` store that were not flushed by then are lost; the next `flush` says so by failing.
package final class RocksDBStore: KeyValueStore {
    /// Free bytes from which a store that ran out of space tries to write again.
    static let spaceToResume: Int64 = 16 << 20

    /// Largest batch whose memory is kept between writes.
    static let maximumSpareBytes = 8 << 20

    private struct State {
        var mustReopen = false
        /// Writes so far, and how many of them a flush has answered for, well or ill.
        var writeCount: UInt64 = 0
        var answeredCount: UInt64 = 0
        /// Writes that no flush had answered for were lost.
        var hasLost = false
    }

    private let path: String
    private let kind: StoreKind
    private let tuning: RocksDBTuning
    private let cache: RocksDBCache
    private let state = Mutex(State())
    /// A batch whose memory has grown to what writes need.
    private let spare = Mutex<WriteBatch?>(nil)
    // Held for reading by every call and for writing by `close` and `reopen`, so that the handle
    // below never changes under a call. Allocated once, freed by `deinit`.
    private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_rwlock_t>
    // Changed only under the write lock; RocksDB itself is safe from any thread.
    private nonisolated(unsafe) var handle: OpaquePointer?
    // Immutable after `init`.
    private nonisolated(unsafe) let readOptions: OpaquePointer?
    private nonisolated(unsafe) let uncheckedOptions: OpaquePointer?
    private nonisolated(unsafe) let scanOptions: OpaquePointer?
    private nonisolated(unsafe) let writeOptions: OpaquePointer?
    private nonisolated(unsafe) let durableOptions: OpaquePointer?
    private nonisolated(unsafe) let flushOptions: OpaquePointer?

    init(
        path: String, kind: StoreKind, tuning: RocksDBTuning, cache: RocksDBCache
    ) throws(StoreError) {
        self.path = path
        self.kind = kind
        self.tuning = tuning
        self.cache = cache
        lock = .allocate(capacity: 1)
        pthread_rwlock_init(lock, nil)
        readOptions = rocksdb_readoptions_create()
        uncheckedOptions = rocksdb_readoptions_create()
        rocksdb_readoptions_set_verify_checksums(uncheckedOptions, 0)
        scanOptions = rocksdb_readoptions_create()
        rocksdb_readoptions_set_fill_cache(scanOptions, 0)
        writeOptions = rocksdb_writeoptions_create()
        durableOptions = rocksdb_writeoptions_create()
        flushOptions = rocksdb_flushoptions_create()
        rocksdb_flushoptions_set_wait(flushOptions, 1)
        switch kind {
        case .rows: rocksdb_writeoptions_set_sync(durableOptions, 1)
        case .shards:
            rocksdb_writeoptions_disable_WAL(writeOptions, 1)
            rocksdb_writeoptions_disable_WAL(durableOptions, 1)
        }
        handle = try open(readOnly: false)
    }

    deinit {
        close()
        rocksdb_readoptions_destroy(readOptions)
        rocksdb_readoptions_destroy(uncheckedOptions)
        rocksdb_readoptions_destroy(scanOptions)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_writeoptions_destroy(durableOptions)
        rocksdb_flushoptions_destroy(flushOptions)
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    package func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try get(key, isChecked: true)
    }

    package func getUnchecked(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try get(key, isChecked: false)
    }

    private func get(_ key: [UInt8], isChecked: Bool) throws(StoreError) -> [UInt8]? {
        try reading { handle throws(StoreError) in
            var message: UnsafeMutablePointer<CChar>?
            let options = isChecked ? readOptions : uncheckedOptions
            let slice = key.withUnsafeBytes { raw in
                rocksdb_get_pinned(
                    handle, options, raw.bindMemory(to: CChar.self).baseAddress, raw.count,
                    &message)
            }
            defer { if let slice { rocksdb_pinnableslice_destroy(slice) } }
            try check(message, "get")
            guard let slice else { return nil }
            var count = 0
            guard let start = rocksdb_pinnableslice_value(slice, &count) else { return nil }
            return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
        }
    }

    package func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        try resumeIfPossible()
        let batch = spare.withLock { $0.take() } ?? WriteBatch()
        defer { giveBack(batch) }
        for write in writes { batch.append(write) }
        try reading { handle throws(StoreError) in
            var message: UnsafeMutablePointer<CChar>?
            state.withLock { $0.writeCount += 1 }
            let options = durable ? durableOptions : writeOptions
            rocksdb_write(handle, options, batch.pointer, &message)
            try check(message, "write")
        }
    }

    package func flush() throws(StoreError) {
        let (hasLost, writeCount) = state.withLock { state in
            defer { state.hasLost = false }
            return (state.hasLost, state.writeCount)
        }
        defer {
            state.withLock { $0.answeredCount = max($0.answeredCount, writeCount) }
        }
        guard !hasLost else {
            throw .failed(operation: "flush", detail: "writes were lost when the volume was full")
        }
        try reading { handle throws(StoreError) in
            var message: UnsafeMutablePointer<CChar>?
            switch kind {
            case .rows: rocksdb_flush_wal(handle, 1, &message)
            case .shards: rocksdb_flush(handle, flushOptions, &message)
            }
            try check(message, "flush")
        }
    }

    package func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        try reading { handle throws(StoreError) in
            var entries: [(key: [UInt8], value: [UInt8])] = []
            let iterator = rocksdb_create_iterator(handle, scanOptions)
            defer { rocksdb_iter_destroy(iterator) }
            from.withUnsafeBytes { raw in
                rocksdb_iter_seek(
                    iterator, raw.bindMemory(to: CChar.self).baseAddress, raw.count)
            }
            while entries.count < limit, rocksdb_iter_valid(iterator) != 0 {
                var count = 0
                let keyStart = rocksdb_iter_key(iterator, &count)
                let key = [UInt8](UnsafeRawBufferPointer(start: keyStart, count: count))
                if let to, !key.lexicographicallyPrecedes(to) { break }
                let valueStart = rocksdb_iter_value(iterator, &count)
                let value = [UInt8](UnsafeRawBufferPointer(start: valueStart, count: count))
                entries.append((key, value))
                rocksdb_iter_next(iterator)
            }
            var message: UnsafeMutablePointer<CChar>?
            rocksdb_iter_get_error(iterator, &message)
            try check(message, "scan")
            return entries
        }
    }

    package func close() {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        if let handle { rocksdb_close(handle) }
        handle = nil
    }

    /// A number or a text that RocksDB knows about itself, such as `rocksdb.estimate-num-keys`.
    package func property(_ name: String) -> String? {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard let handle, let text = rocksdb_property_value(handle, name) else { return nil }
        defer { rocksdb_free(text) }
        return String(cString: text)
    }

    // MARK: Resuming

    private func open(readOnly: Bool) throws(StoreError) -> OpaquePointer? {
        let options = RocksDBOptions(kind: kind, tuning: tuning, cache: cache)
        var message: UnsafeMutablePointer<CChar>?
        let handle =
            readOnly
            ? rocksdb_open_for_read_only(options.pointer, path, 0, &message)
            : rocksdb_open(options.pointer, path, &message)
        try check(message, "open")
        return handle
    }

    private func resumeIfPossible() throws(StoreError) {
        guard state.withLock({ $0.mustReopen }) else { return }
        guard Volume.freeBytes(path) >= RocksDBStore.spaceToResume else { throw .noSpace }
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        // Another writer may have been first.
        guard state.withLock({ $0.mustReopen }) else { return }
        guard let old = handle else { throw .closed }
        rocksdb_close(old)
        state.withLock { state in
            if kind == .shards, state.writeCount > state.answeredCount { state.hasLost = true }
            state.answeredCount = state.writeCount
        }
        do {
            handle = nil
            handle = try open(readOnly: false)
            state.withLock { $0.mustReopen = false }
        } catch {
            // Reads go on in any case; the next write tries again.
            handle = try open(readOnly: true)
            throw error
        }
    }

    // MARK: Calls

    private func reading<Result>(
        _ body: (OpaquePointer) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard let handle else { throw .closed }
        return try body(handle)
    }

    /// Keeps one batch for the next write, unless it grew large.
    private func giveBack(_ batch: WriteBatch) {
        guard batch.byteCount <= RocksDBStore.maximumSpareBytes else { return }
        batch.clear()
        spare.withLock { $0 = batch }
    }

    private func check(
        _ message: UnsafeMutablePointer<CChar>?, _ operation: String
    ) throws(StoreError) {
        guard let message else { return }
        defer { rocksdb_free(message) }
        let error = RocksDBStore.storeError(String(cString: message), operation: operation)
        if operation == "write" || operation == "flush" {
            state.withLock { $0.mustReopen = true }
        }
        throw error
    }

    /// RocksDB's C interface tells kinds of errors apart by their words alone.
    static func storeError(_ message: String, operation: String) -> StoreError {
        if message.contains("No space left on device") || message.contains("Disk quota exceeded") {
            return .noSpace
        }
        if message.hasPrefix("Corruption") { return .corrupt(detail: message) }
        return .failed(operation: operation, detail: message)
    }
}
