internal import CRocksDB

/// Writes that RocksDB applies together. Used by one thread at a time.
final class WriteBatch: Sendable {
    // Written once and destroyed last; whoever took the batch from its store uses it alone.
    nonisolated(unsafe) let pointer: OpaquePointer?

    init() { pointer = rocksdb_writebatch_create() }

    deinit { rocksdb_writebatch_destroy(pointer) }

    var byteCount: Int {
        var count = 0
        _ = rocksdb_writebatch_data(pointer, &count)
        return count
    }

    /// Empties it; its memory stays.
    func clear() { rocksdb_writebatch_clear(pointer) }

    func put(_ key: [UInt8], _ value: [UInt8]) {
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                rocksdb_writebatch_put(
                    pointer, key.bindMemory(to: CChar.self).baseAddress, key.count,
                    value.bindMemory(to: CChar.self).baseAddress, value.count)
            }
        }
    }

    func delete(_ key: [UInt8]) {
        key.withUnsafeBytes { key in
            rocksdb_writebatch_delete(
                pointer, key.bindMemory(to: CChar.self).baseAddress, key.count)
        }
    }
}
