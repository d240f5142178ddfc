internal import CRocksDB
internal import CyxCore

/// How much memory and how many threads one store may take: small enough for twenty peers on a
/// laptop (architecture §9).
package struct RocksDBTuning: Sendable {
    /// A memtable is flushed when it holds this much; its memory is taken as it fills.
    package var writeBufferBytes = 8 << 20
    /// The unit in which a memtable takes memory; what an idle store keeps.
    package var arenaBlockBytes = 64 << 10
    /// Blocks of keys and small rows, shared by the stores of one device.
    package var cacheBytes = 2 << 20
    /// Open files that are kept; each costs a descriptor and about 10 KB.
    package var maximumOpenFiles: Int32 = 256
    /// Files of keys that gather before they are merged.
    package var level0Trigger: Int32 = 16
    /// The list of files is rewritten when its log is this long.
    package var maximumManifestBytes = 4 << 20

    package init() {}

    /// Rows: small values, many small flushes avoided, replayed quickly from the log.
    package static let rows: RocksDBTuning = {
        var tuning = RocksDBTuning()
        tuning.writeBufferBytes = 4 << 20
        tuning.level0Trigger = 4
        return tuning
    }()

    /// The index of a `ValueLogStore`, which flushes it long before a write buffer is full.
    package static let index = RocksDBTuning()
}

/// The block cache of one device.
final class RocksDBCache: Sendable {
    // RocksDB's cache locks itself; the pointer is written once and destroyed last, because every
    // store holds this object.
    nonisolated(unsafe) let pointer: OpaquePointer?

    init(bytes: Int) {
        // One shard: more of them would each keep a minimum of their own.
        let options = rocksdb_lru_cache_options_create()
        rocksdb_lru_cache_options_set_capacity(options, bytes)
        rocksdb_lru_cache_options_set_num_shard_bits(options, 0)
        pointer = rocksdb_cache_create_lru_opts(options)
        rocksdb_lru_cache_options_destroy(options)
    }

    deinit { rocksdb_cache_destroy(pointer) }
}

/// RocksDB's options for one kind of store.
struct RocksDBOptions: ~Copyable {
    let pointer: OpaquePointer?

    init(kind: StoreKind, tuning: RocksDBTuning, cache: RocksDBCache) throws(StoreError) {
        let options = rocksdb_options_create()
        rocksdb_options_set_create_if_missing(options, 1)
        rocksdb_options_set_compression(options, Int32(rocksdb_no_compression))
        rocksdb_options_set_write_buffer_size(options, tuning.writeBufferBytes)
        rocksdb_options_set_arena_block_size(options, tuning.arenaBlockBytes)
        rocksdb_options_set_max_write_buffer_number(options, 6)
        rocksdb_options_set_max_background_flushes(options, 1)
        rocksdb_options_set_max_background_compactions(options, 1)
        rocksdb_options_set_max_open_files(options, tuning.maximumOpenFiles)
        rocksdb_options_set_max_manifest_file_size(options, tuning.maximumManifestBytes)
        rocksdb_options_set_level0_file_num_compaction_trigger(options, tuning.level0Trigger)
        rocksdb_options_set_level0_slowdown_writes_trigger(options, tuning.level0Trigger * 4)
        rocksdb_options_set_level0_stop_writes_trigger(options, tuning.level0Trigger * 8)
        // Its own log, statistics and their threads: memory and wake-ups that nobody reads.
        rocksdb_options_set_info_log_level(options, 4)
        rocksdb_options_set_keep_log_file_num(options, 1)
        rocksdb_options_set_max_log_file_size(options, 1 << 20)
        rocksdb_options_set_stats_dump_period_sec(options, 0)
        rocksdb_options_set_stats_persist_period_sec(options, 0)
        rocksdb_options_set_skip_stats_update_on_db_open(options, 1)
        rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open(options, 1)
        let table = rocksdb_block_based_options_create()
        rocksdb_block_based_options_set_block_cache(table, cache.pointer)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
        // The table takes the policy over.
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(10))
        rocksdb_options_set_block_based_table_factory(options, table)
        rocksdb_block_based_options_destroy(table)
        switch kind {
        case .rows:
            rocksdb_options_set_max_total_wal_size(options, 16 << 20)
            pointer = options
        case .shards:
            defer { rocksdb_options_destroy(options) }
            pointer = try RocksDBOptions.extending(options, "avoid_flush_during_shutdown=true")
        }
    }

    /// A copy with options set that the C interface has no function for.
    private static func extending(
        _ options: OpaquePointer?, _ text: String
    ) throws(StoreError) -> OpaquePointer? {
        let extended = rocksdb_options_create()
        var message: UnsafeMutablePointer<CChar>?
        rocksdb_get_options_from_string(options, text, extended, &message)
        guard let message else { return extended }
        defer { rocksdb_free(message) }
        rocksdb_options_destroy(extended)
        throw RocksDBDatabase.storeError(String(cString: message), operation: "open")
    }

    deinit { rocksdb_options_destroy(pointer) }
}
