internal import CyxCore
internal import CyxTables

/// A bucket's objects as its listing needs them, kept between listings: rows that have not changed
/// are not decrypted again.
struct BucketIndex: Sendable {
    struct Entry: Sendable {
        var version: RegisterVersion
        /// Nil: no object, only fences.
        var info: ObjectInfo?
        var key: [UInt8]
    }

    private(set) var entries: [RowKey: Entry] = [:]
    private var sorted: [Entry]?

    /// Rows that changed since they were last seen.
    func unknown(_ rows: [(key: RowKey, state: RegisterState)]) -> [(RowKey, RegisterState)] {
        rows.compactMap { row in
            entries[row.key]?.version == row.state.version ? nil : (row.key, row.state)
        }
    }

    /// Replaces the index by `rows`, of which `opened` are those that were not known.
    mutating func update(
        _ rows: [(key: RowKey, state: RegisterState)], opened: [RowKey: ObjectInfo?]
    ) {
        guard !opened.isEmpty || rows.count != entries.count else { return }
        var next: [RowKey: Entry] = [:]
        next.reserveCapacity(rows.count)
        for row in rows {
            if let info = opened[row.key] {
                next[row.key] = Entry(
                    version: row.state.version, info: info,
                    key: Array((info?.key ?? "").utf8))
            } else if let known = entries[row.key], known.version == row.state.version {
                next[row.key] = known
            }
        }
        entries = next
        sorted = nil
    }

    /// The objects alone, by the UTF-8 bytes of their keys.
    mutating func ordered() -> [Entry] {
        if let sorted { return sorted }
        let objects = entries.values.filter { $0.info != nil }
        let order = objects.sorted { Bytes.precede($0.key, $1.key) }
        sorted = order
        return order
    }
}
