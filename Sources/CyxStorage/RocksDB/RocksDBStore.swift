package import CyxCore
internal import Synchronization

/// Rows in one RocksDB database with its log. All calls block and may come from any thread.
///
/// When the volume fills up, RocksDB refuses every later write. Reads go on, and the first write
/// that finds `spaceToResume` bytes free again closes and reopens the database.
package final class RocksDBStore: KeyValueStore {
    /// Free bytes from which a store that ran out of space tries to write again.
    static let spaceToResume: Int64 = 16 << 20

    /// Largest batch whose memory is kept between writes.
    static let maximumSpareBytes = 8 << 20

    private let path: String
    private let database: RocksDBDatabase
    /// Held while the database is reopened.
    private let mustReopen = Mutex(false)
    /// A batch whose memory has grown to what writes need.
    private let spare = Mutex<WriteBatch?>(nil)

    init(path: String, tuning: RocksDBTuning, cache: RocksDBCache) throws(StoreError) {
        self.path = path
        database = try RocksDBDatabase(path: path, kind: .rows, tuning: tuning, cache: cache)
    }

    package func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? { try database.get(key) }

    package func getFromMemory(_ key: [UInt8]) -> ValueInMemory { database.getFromMemory(key) }

    package func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        try resumeIfPossible()
        let batch = spare.withLock { $0.take() } ?? WriteBatch()
        defer { giveBack(batch) }
        for write in writes {
            switch write {
            case .put(let key, let value): batch.put(key, value)
            case .delete(let key): batch.delete(key)
            }
        }
        try stoppingOnFailure { () throws(StoreError) in
            try database.write(batch, durable: durable)
        }
    }

    package func flush() throws(StoreError) {
        try stoppingOnFailure { () throws(StoreError) in try database.syncLog() }
    }

    package func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        try database.scan(from: from, to: to, limit: limit)
    }

    package func close() { database.close() }

    private func stoppingOnFailure(_ body: () throws(StoreError) -> Void) throws(StoreError) {
        do {
            try body()
        } catch {
            mustReopen.withLock { $0 = true }
            throw error
        }
    }

    private func resumeIfPossible() throws(StoreError) {
        try mustReopen.withLock { mustReopen throws(StoreError) in
            guard mustReopen else { return }
            guard Volume.freeBytes(path) >= RocksDBStore.spaceToResume else { throw .noSpace }
            // Should it fail, reads go on, and the next write tries again.
            try database.reopen()
            mustReopen = false
        }
    }

    /// Keeps one batch for the next write, unless it grew large.
    private func giveBack(_ batch: WriteBatch) {
        guard batch.byteCount <= RocksDBStore.maximumSpareBytes else { return }
        batch.clear()
        spare.withLock { $0 = batch }
    }
}
