internal import CyxCore
internal import CyxCrypto

/// What a store holds, counted in the same batch as the shards themselves, so that a crash leaves
/// both or neither. A shard is either here or in the trash, never both.
struct ShardTotals: Equatable, Sendable {
    var bytes: Int64 = 0
    var shards: Int64 = 0
    var trashBytes: Int64 = 0
    var trashShards: Int64 = 0

    private static let byteCount = 32
    /// No count reaches this, so that none overflows.
    private static let limit: Int64 = 1 << 60

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: ShardTotals.byteCount)
        for count in [bytes, shards, trashBytes, trashShards] {
            writer.write(UInt64(bitPattern: count))
        }
        return writer.bytes
    }

    init() {}

    init(encoded: [UInt8]) throws(StoreError) {
        guard encoded.count == ShardTotals.byteCount else {
            throw .corrupt(detail: "the totals' row")
        }
        func word(_ index: Int) -> Int64 {
            encoded[8 * index..<8 * index + 8].reduce(0) { $0 << 8 | Int64($1) }
        }
        bytes = word(0)
        shards = word(1)
        trashBytes = word(2)
        trashShards = word(3)
        for count in [bytes, shards, trashBytes, trashShards] {
            guard (0..<ShardTotals.limit).contains(count) else {
                throw .corrupt(detail: "the totals' row counts \(count)")
            }
        }
    }
}

/// Shards in a key-value store: layout, checksums and accounting. Every call blocks.
///
/// One writer at a time calls `commit`; `ShardStore` sees to it.
struct ShardDatabase: Sendable {
    /// What keys, rows and block headers cost beside a shard's bytes, for the quota.
    static let overheadBytes: Int64 = 192
    /// Rows fetched by one scan.
    static let scanPage = 1024

    enum Change: Sendable {
        case put(ShardKey, [UInt8])
        case delete(ShardKey)
        case deleteSegment(SegmentID)
        case trashSegment(SegmentID, TrashMark)
        case restoreSegment(SegmentID)
        /// Takes a shard out of the trash for good.
        case purge(ShardKey)
        /// Nil removes the note.
        case note([UInt8], [UInt8]?)
    }

    let store: any KeyValueStore

    /// Reads what the store is, making it a new one if it is empty: a wiped store gets another ID.
    func start(_ newID: StoreID) throws(StoreError) -> (id: StoreID, totals: ShardTotals) {
        let totals = try store.get(ShardLayout.totals)
        if let bytes = try store.get(ShardLayout.storeID) {
            guard let id = StoreID(bytes: bytes), let totals else {
                throw .corrupt(detail: "the store's ID row")
            }
            return (id, try ShardTotals(encoded: totals))
        }
        guard totals == nil else { throw .corrupt(detail: "the store has shards and no ID") }
        try store.write(
            [
                .put(key: ShardLayout.storeID, value: newID.bytes),
                .put(key: ShardLayout.totals, value: ShardTotals().encoded),
            ], durable: true)
        try store.flush()
        return (newID, ShardTotals())
    }

    /// The totals as they are after a failed group. The empty write makes a store that stopped for
    /// lack of space resume first, which decides what became of that group.
    func reload() throws(StoreError) -> ShardTotals {
        try store.write([], durable: false)
        guard let row = try store.get(ShardLayout.totals) else {
            throw .corrupt(detail: "the totals' row is gone")
        }
        return try ShardTotals(encoded: row)
    }

    /// Applies `changes` in one batch; they are durable after `store.flush()`.
    func apply(_ changes: [Change], to totals: ShardTotals) throws(StoreError) -> ShardTotals {
        var batch = ShardWrites(database: self, totals: totals, changes: changes.count)
        for change in changes { try batch.add(change) }
        try store.write(batch.finished(), durable: true)
        return batch.totals
    }

    /// The shard's bytes; throws `corrupt` if they are not those that were put.
    func read(_ key: ShardKey) throws(StoreError) -> [UInt8]? {
        guard let row = try row(key) else { return nil }
        // RocksDB's own CRC would cost more than the hash that is compared below.
        guard let bytes = try store.getUnchecked(ShardLayout.blob(key)) else {
            throw .corrupt(detail: "\(key): its bytes are gone")
        }
        guard bytes.count == Int(row.size), checksum(key, bytes) == row.checksum else {
            throw .corrupt(detail: "\(key): its bytes do not match their checksum")
        }
        return bytes
    }

    /// The shards of a segment that lie here, in order, with their sizes. Reads rows alone.
    func list(_ segment: SegmentID) throws(StoreError) -> [(key: ShardKey, size: Int64)] {
        var result: [(key: ShardKey, size: Int64)] = []
        var (from, to) = ShardLayout.rows(of: segment)
        while true {
            let page = try store.scan(from: from, to: to, limit: ShardDatabase.scanPage)
            for entry in page {
                guard let key = ShardLayout.decodeRow(entry.key),
                    let row = ShardRow(encoded: entry.value)
                else { throw .corrupt(detail: "a shard's row") }
                result.append((key, Int64(row.size)))
            }
            guard page.count == ShardDatabase.scanPage, let last = page.last else { return result }
            from = last.key + [0]
        }
    }

    func note(_ name: [UInt8]) throws(StoreError) -> [UInt8]? {
        try store.get(ShardLayout.notePrefix + name)
    }

    /// Notes whose names begin with `prefix`, after `after` exclusively, by name.
    func notes(
        _ prefix: [UInt8], after: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(name: [UInt8], value: [UInt8])] {
        let skipped = ShardLayout.notePrefix.count
        let from = ShardLayout.notePrefix + (after.map { $0 + [0] } ?? prefix)
        let to = ShardLayout.notePrefix + prefix + [UInt8](repeating: 0xFF, count: 64)
        return try store.scan(from: from, to: to, limit: limit).map {
            (Array($0.key.dropFirst(skipped)), $0.value)
        }
    }

    /// Shards whose key comes after `after`, in order, with their sizes. Reads rows alone.
    func list(
        after: ShardKey?, limit: Int
    ) throws(StoreError) -> [(key: ShardKey, size: Int64)] {
        let from = after.map { ShardLayout.row($0) + [0] } ?? [ShardLayout.rowPrefix]
        return try store.scan(from: from, to: [ShardLayout.rowPrefix + 1], limit: limit).map {
            entry throws(StoreError) in
            guard let key = ShardLayout.decodeRow(entry.key),
                let row = ShardRow(encoded: entry.value)
            else { throw .corrupt(detail: "a shard's row") }
            return (key, Int64(row.size))
        }
    }

    func row(_ key: ShardKey) throws(StoreError) -> ShardRow? {
        guard let value = try store.get(ShardLayout.row(key)) else { return nil }
        guard let row = ShardRow(encoded: value) else { throw .corrupt(detail: "\(key): its row") }
        return row
    }

    /// The first 8 bytes of BLAKE3 over the bytes, mixed with the key: a shard that answers for
    /// another one is corrupt as well.
    func checksum(_ key: ShardKey, _ bytes: [UInt8]) -> UInt64 {
        let place = UInt64(key.chunk) << 8 | UInt64(key.index)
        return BLAKE3.hash(bytes).word0 ^ key.segment.digest.word0 ^ place
    }
}
