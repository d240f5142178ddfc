package import CyxCore

/// Where things lie in the row store. Rows come first by position, so that a partition is one
/// contiguous range, whatever its depth.
package enum StorageKey {
    static let rowTag: UInt8 = 1
    static let replicaTag: UInt8 = 2
    static let frozenTag: UInt8 = 3
    static let leftTag: UInt8 = 5
    /// Present once this store has belonged to a network: it must never found another, although
    /// its peer may have left every view since.
    static let networkMark: [UInt8] = [4]
    /// How far the store has come (`StoreMark`).
    static let storeMark: [UInt8] = [6]
    static let changeTag: UInt8 = 7
    /// How long the log of changes has become (`ChangeLog`).
    static let changeMark: [UInt8] = [8]

    /// position ‖ table ‖ suffix.
    package static func row(_ key: RowKey) -> [UInt8] {
        var writer = ByteWriter(capacity: 34 + key.suffix.count)
        writer.write(rowTag)
        writer.write(key.position)
        writer.write(key.table.rawValue)
        writer.write(key.suffix)
        return writer.bytes
    }

    /// Nil for anything that `row` does not give.
    package static func decodeRow(_ bytes: [UInt8]) -> RowKey? {
        guard bytes.count >= 34, bytes.count - 34 <= RowLimits.suffixBytes, bytes[0] == rowTag,
            let position = Digest(bytes: Array(bytes[1..<33]))
        else { return nil }
        return RowKey(
            table: TableID(rawValue: bytes[33]), position: position, suffix: Array(bytes[34...]))
    }

    /// The table of a row's key, whatever else it says.
    static func table(of key: [UInt8]) -> TableID? {
        key.count >= 34 && key[0] == rowTag ? TableID(rawValue: key[33]) : nil
    }

    /// Least row key at or after a position.
    package static func rowBound(_ position: Digest?) -> [UInt8] {
        guard let position else { return [rowTag + 1] }
        var writer = ByteWriter(capacity: 33)
        writer.write(rowTag)
        writer.write(position)
        return writer.bytes
    }

    /// The position in which a row key, or a bound of row keys, lies.
    static func position(ofBound bytes: [UInt8]) -> Digest? {
        guard bytes.count >= 33, bytes[0] == rowTag else { return nil }
        return Digest(bytes: Array(bytes[1..<33]))
    }

    /// All row keys of a partition.
    package static func rows(of partition: Partition) -> (from: [UInt8], to: [UInt8]) {
        (rowBound(partition.lowerBound), rowBound(partition.upperBound))
    }

    /// The least key that comes after `key`.
    package static func next(after key: [UInt8]) -> [UInt8] { key + [0] }

    /// All that is kept of partitions, and all rows.
    package static let replicas: (from: [UInt8], to: [UInt8]) = ([replicaTag], [replicaTag + 1])
    package static let allRows: (from: [UInt8], to: [UInt8]) = (rowBound(.zero), rowBound(nil))

    package static func replica(_ partition: Partition) -> [UInt8] {
        tagged(replicaTag, partition)
    }

    /// Proof of the view that this peer let go of a partition for.
    package static func left(_ partition: Partition) -> [UInt8] { tagged(leftTag, partition) }

    /// Before a row changes in a new epoch, its frozen state of the view before goes here.
    package static func frozen(_ view: ViewID, row: [UInt8]) -> [UInt8] {
        frozenBound(view) + row
    }

    /// All frozen rows of a view that lie in a partition.
    package static func frozenRows(
        of view: ViewID, in partition: Partition
    ) -> (from: [UInt8], to: [UInt8]) {
        let start = frozenBound(view)
        let range = rows(of: partition)
        return (start + range.from, start + range.to)
    }

    // MARK: The log of changes

    /// tag ‖ table ‖ first bits of the position ‖ number.
    static func change(of row: [UInt8], _ sequence: UInt64) -> [UInt8] {
        precondition(row.count >= 34 && row[0] == rowTag, "only rows change")
        var writer = ByteWriter(capacity: 14)
        writer.write(changeTag)
        writer.write(row[33])
        writer.write(Array(row[1..<1 + ChangeLog.prefixBits / 8]))
        writer.write(sequence)
        return writer.bytes
    }

    static func sequence(ofChange key: [UInt8]) -> UInt64? {
        guard key.count == 10 + ChangeLog.prefixBits / 8, key[0] == changeTag else { return nil }
        return key.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    /// All changes after a number, of rows of that table whose positions begin alike.
    static func changes(
        _ table: TableID, _ position: Digest, after sequence: UInt64
    ) -> (from: [UInt8], to: [UInt8]) {
        let row = row(RowKey(table: table, position: position))
        return (next(after: change(of: row, sequence)), change(of: row, .max))
    }

    /// All rows whose positions begin as that one, in the bits that the log of changes sorts by.
    static func rows(withPrefixOf position: Digest) -> (from: [UInt8], to: [UInt8]) {
        let partition = Partition(holding: position, depth: UInt8(ChangeLog.prefixBits))
        return rows(of: partition)
    }

    /// Whether a row comes before another one of its table.
    package static func precedes(_ first: RowKey, _ second: RowKey) -> Bool {
        first.position == second.position
            ? first.suffix.lexicographicallyPrecedes(second.suffix)
            : first.position < second.position
    }

    private static func frozenBound(_ view: ViewID) -> [UInt8] {
        var writer = ByteWriter(capacity: 18)
        writer.write(tagged(frozenTag, view.partition))
        writer.write(view.generation)
        writer.write(view.epoch)
        return writer.bytes
    }

    private static func tagged(_ tag: UInt8, _ partition: Partition) -> [UInt8] {
        var writer = ByteWriter(capacity: 10)
        writer.write(tag)
        writer.write(partition.depth)
        writer.write(partition.index)
        return writer.bytes
    }
}
