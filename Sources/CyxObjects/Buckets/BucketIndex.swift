internal import CyxCore
internal import CyxTables

/// A bucket's heads, or its earlier versions, as listings need them, kept between listings: rows that
/// have not changed are not decrypted again.
struct BucketIndex: Sendable {
    struct Entry: Sendable {
        var version: RegisterVersion
        var head: HeadRow
        /// The object's name in UTF-8.
        var key: [UInt8]

        init(version: RegisterVersion, head: HeadRow) {
            self.version = version
            self.head = head
            key = Array(head.key.utf8)
        }
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
        _ rows: [(key: RowKey, state: RegisterState)], opened: [RowKey: HeadRow]
    ) {
        guard !opened.isEmpty || rows.count != entries.count else { return }
        var next: [RowKey: Entry] = [:]
        next.reserveCapacity(rows.count)
        for row in rows {
            if let head = opened[row.key] {
                next[row.key] = Entry(version: row.state.version, head: head)
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
        let objects = entries.values.filter(\.head.isObject)
        let order = objects.sorted { Bytes.precede($0.key, $1.key) }
        sorted = order
        return order
    }

    /// Heads of which the newest version was removed.
    var headless: [(RowKey, Entry)] {
        entries.filter { !$0.value.head.hasVersion && $0.value.head.hasEarlier }
            .map { ($0.key, $0.value) }
    }
}
