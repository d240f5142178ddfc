internal import CRocksDB
internal import CyxCore
internal import Glibc

/// An open RocksDB database, which may be closed and opened anew. Calls block and may come from any
/// thread.
final class RocksDBDatabase: Sendable {
    private let path: String
    private let kind: StoreKind
    private let tuning: RocksDBTuning
    private let cache: RocksDBCache
    // Held for reading by every call and for writing by `close` and `reopen`, so that the handle
    // below never changes under a call. Allocated once, freed by `deinit`.
    private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_rwlock_t>
    // Changed only under the write lock; RocksDB itself is safe from any thread.
    private nonisolated(unsafe) var handle: OpaquePointer?
    // Immutable after `init`.
    private nonisolated(unsafe) let readOptions: OpaquePointer?
    private nonisolated(unsafe) let memoryOptions: OpaquePointer?
    private nonisolated(unsafe) let scanOptions: OpaquePointer?
    private nonisolated(unsafe) let writeOptions: OpaquePointer?
    private nonisolated(unsafe) let durableOptions: OpaquePointer?

    /// RocksDB's `kBlockCacheTier`: memtables and cached blocks alone; `Incomplete` where those do not do.
    private static let blockCacheTier: CInt = 1

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
        memoryOptions = rocksdb_readoptions_create()
        rocksdb_readoptions_set_read_tier(memoryOptions, RocksDBDatabase.blockCacheTier)
        scanOptions = rocksdb_readoptions_create()
        rocksdb_readoptions_set_fill_cache(scanOptions, 0)
        writeOptions = rocksdb_writeoptions_create()
        durableOptions = rocksdb_writeoptions_create()
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
        rocksdb_readoptions_destroy(memoryOptions)
        rocksdb_readoptions_destroy(scanOptions)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_writeoptions_destroy(durableOptions)
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try reading { handle throws(StoreError) in try get(key, handle, readOptions) }
    }

    /// Never waits, neither for the disk nor for a database that is just being opened anew. Whatever
    /// fails here is left to `get`, which says why.
    func getFromMemory(_ key: [UInt8]) -> ValueInMemory {
        guard pthread_rwlock_tryrdlock(lock) == 0 else { return .unknown }
        defer { pthread_rwlock_unlock(lock) }
        guard let handle else { return .unknown }
        do {
            return .known(try get(key, handle, memoryOptions))
        } catch { return .unknown }
    }

    private func get(
        _ key: [UInt8], _ handle: OpaquePointer, _ options: OpaquePointer?
    ) throws(StoreError) -> [UInt8]? {
        var message: UnsafeMutablePointer<CChar>?
        let slice = key.withUnsafeBytes { raw in
            rocksdb_get_pinned(
                handle, options, raw.bindMemory(to: CChar.self).baseAddress, raw.count, &message)
        }
        defer { if let slice { rocksdb_pinnableslice_destroy(slice) } }
        try check(message, "get")
        guard let slice else { return nil }
        var count = 0
        guard let start = rocksdb_pinnableslice_value(slice, &count) else { return nil }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }

    /// Applies all of `batch` or nothing. `durable` has a meaning for stores with a log only.
    func write(_ batch: WriteBatch, durable: Bool) throws(StoreError) {
        try reading { handle throws(StoreError) in
            var message: UnsafeMutablePointer<CChar>?
            let options = durable ? durableOptions : writeOptions
            rocksdb_write(handle, options, batch.pointer, &message)
            try check(message, "write")
        }
    }

    /// Makes RocksDB's own log durable.
    func syncLog() throws(StoreError) {
        try reading { handle throws(StoreError) in
            var message: UnsafeMutablePointer<CChar>?
            rocksdb_flush_wal(handle, 1, &message)
            try check(message, "flush")
        }
    }

    /// Writes what is in memory to a file; without `wait` it is only begun, for all that was
    /// written before.
    func flush(wait: Bool) throws(StoreError) {
        try reading { handle throws(StoreError) in
            let options = rocksdb_flushoptions_create()
            defer { rocksdb_flushoptions_destroy(options) }
            rocksdb_flushoptions_set_wait(options, wait ? 1 : 0)
            var message: UnsafeMutablePointer<CChar>?
            rocksdb_flush(handle, options, &message)
            try check(message, "flush")
        }
    }

    /// Entries with `from <= key < to` in key order, at most `limit`; `to` nil: to the end.
    func scan(
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

    /// Closes the database and opens it again; when it cannot be written, for reading alone, and
    /// the reason is thrown. What was neither logged nor flushed is gone.
    func reopen() throws(StoreError) {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard let old = handle else { throw .closed }
        rocksdb_close(old)
        handle = nil
        do {
            handle = try open(readOnly: false)
        } catch {
            handle = try open(readOnly: true)
            throw error
        }
    }

    func close() {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        if let handle { rocksdb_close(handle) }
        handle = nil
    }

    /// Removes a database of rows that is not open.
    static func destroy(_ path: String, cache: RocksDBCache) throws(StoreError) {
        let options = try RocksDBOptions(kind: .rows, tuning: .rows, cache: cache)
        var message: UnsafeMutablePointer<CChar>?
        rocksdb_destroy_db(options.pointer, path, &message)
        guard let message else { return }
        defer { rocksdb_free(message) }
        throw storeError(String(cString: message), operation: "remove")
    }

    /// A number or a text that RocksDB knows about itself, such as `rocksdb.estimate-num-keys`.
    func property(_ name: String) -> String? {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard let handle, let text = rocksdb_property_value(handle, name) else { return nil }
        defer { rocksdb_free(text) }
        return String(cString: text)
    }

    private func open(readOnly: Bool) throws(StoreError) -> OpaquePointer? {
        let options = try RocksDBOptions(kind: kind, tuning: tuning, cache: cache)
        var message: UnsafeMutablePointer<CChar>?
        let handle =
            readOnly
            ? rocksdb_open_for_read_only(options.pointer, path, 0, &message)
            : rocksdb_open(options.pointer, path, &message)
        try check(message, "open")
        return handle
    }

    private func reading<Result>(
        _ body: (OpaquePointer) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard let handle else { throw .closed }
        return try body(handle)
    }

    private func check(
        _ message: UnsafeMutablePointer<CChar>?, _ operation: String
    ) throws(StoreError) {
        guard let message else { return }
        defer { rocksdb_free(message) }
        throw RocksDBDatabase.storeError(String(cString: message), operation: operation)
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
