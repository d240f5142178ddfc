internal import CyxCore

/// One batch of changes as it becomes writes of the key-value store, with the totals after it.
///
/// What the batch itself put or removed counts before what is stored: a shard that is put twice in
/// it counts once.
struct ShardWrites {
    private let database: ShardDatabase
    private(set) var totals: ShardTotals
    private var writes: [KeyValueWrite] = []
    private var rows: [ShardKey: ShardRow?] = [:]
    private var trash: [ShardKey: TrashRow?] = [:]

    init(database: ShardDatabase, totals: ShardTotals, changes: Int) {
        self.database = database
        self.totals = totals
        writes.reserveCapacity(2 * changes + 1)
    }

    /// The writes, that of the totals among them.
    func finished() -> [KeyValueWrite] {
        writes + [.put(key: ShardLayout.totals, value: totals.encoded)]
    }

    mutating func add(_ change: ShardDatabase.Change) throws(StoreError) {
        switch change {
        case .put(let key, let bytes): try put(key, bytes)
        case .delete(let key):
            if let row = try row(key) { remove(key, row, keepsBlob: false) }
        case .deleteSegment(let segment):
            for key in try keys(of: segment) {
                if let row = try row(key) { remove(key, row, keepsBlob: false) }
            }
        case .trashSegment(let segment, let mark):
            for key in try keys(of: segment) {
                guard let row = try row(key) else { continue }
                remove(key, row, keepsBlob: true)
                insertTrash(key, TrashRow(row: row, mark: mark))
            }
        case .restoreSegment(let segment):
            for key in try trashKeys(of: segment) {
                guard let row = try trashRow(key) else { continue }
                removeTrash(key, row, keepsBlob: true)
                insert(key, row.row)
            }
        case .purge(let key):
            if let row = try trashRow(key) { removeTrash(key, row, keepsBlob: false) }
        case .note(let name, let value):
            let key = ShardLayout.notePrefix + name
            writes.append(value.map { .put(key: key, value: $0) } ?? .delete(key: key))
        }
    }

    private mutating func put(_ key: ShardKey, _ bytes: [UInt8]) throws(StoreError) {
        if let old = try row(key) {
            remove(key, old, keepsBlob: true)
        } else if let old = try trashRow(key) {
            removeTrash(key, old, keepsBlob: true)
        }
        writes.append(.put(key: ShardLayout.blob(key), value: bytes))
        insert(
            key,
            ShardRow(size: UInt32(bytes.count), checksum: database.checksum(key, bytes)))
    }

    // MARK: What is here

    private func row(_ key: ShardKey) throws(StoreError) -> ShardRow? {
        if let known = rows[key] { return known }
        return try database.row(key)
    }

    private func keys(of segment: SegmentID) throws(StoreError) -> [ShardKey] {
        var keys = Set(try database.list(segment).map(\.key))
        for (key, row) in rows where key.segment == segment && row != nil { keys.insert(key) }
        return keys.sorted()
    }

    private mutating func insert(_ key: ShardKey, _ row: ShardRow) {
        writes.append(.put(key: ShardLayout.row(key), value: row.encoded))
        rows.updateValue(row, forKey: key)
        totals.bytes += row.accountedBytes
        totals.shards += 1
    }

    /// `keepsBlob`: the bytes are written anew, or go to the trash.
    private mutating func remove(_ key: ShardKey, _ row: ShardRow, keepsBlob: Bool) {
        writes.append(.delete(key: ShardLayout.row(key)))
        if !keepsBlob { writes.append(.delete(key: ShardLayout.blob(key))) }
        rows.updateValue(nil, forKey: key)
        totals.bytes -= row.accountedBytes
        totals.shards -= 1
    }

    // MARK: What is in the trash

    private func trashRow(_ key: ShardKey) throws(StoreError) -> TrashRow? {
        if let known = trash[key] { return known }
        // Most stores have no trash, and then a put costs no lookup more.
        guard totals.trashShards > 0 else { return nil }
        return try database.trashRow(key)
    }

    private func trashKeys(of segment: SegmentID) throws(StoreError) -> [ShardKey] {
        var keys = Set(try database.trash(of: segment))
        for (key, row) in trash where key.segment == segment && row != nil { keys.insert(key) }
        return keys.sorted()
    }

    private mutating func insertTrash(_ key: ShardKey, _ row: TrashRow) {
        writes.append(.put(key: ShardLayout.trashed(key), value: row.encoded))
        writes.append(.put(key: ShardLayout.age(key, row.mark), value: []))
        trash.updateValue(row, forKey: key)
        totals.trashBytes += row.row.accountedBytes
        totals.trashShards += 1
    }

    private mutating func removeTrash(_ key: ShardKey, _ row: TrashRow, keepsBlob: Bool) {
        writes.append(.delete(key: ShardLayout.trashed(key)))
        writes.append(.delete(key: ShardLayout.age(key, row.mark)))
        if !keepsBlob { writes.append(.delete(key: ShardLayout.blob(key))) }
        trash.updateValue(nil, forKey: key)
        totals.trashBytes -= row.row.accountedBytes
        totals.trashShards -= 1
    }
}

extension ShardRow {
    /// What the shard counts against the quota.
    var accountedBytes: Int64 { Int64(size) + ShardDatabase.overheadBytes }
}
