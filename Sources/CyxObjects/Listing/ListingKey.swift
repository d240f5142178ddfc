internal import CyxCore
internal import CyxTables

/// Where things lie in the store of listings: one state for each bucket, and below the bucket's random
/// ID its heads by key, its earlier versions by key, and where each row of the tables went.
struct ListingKey: Sendable {
    enum Section: UInt8, CaseIterable {
        /// How far the bucket's rows were followed (`ListingState`).
        case state
        /// By the bytes of their keys.
        case heads
        /// By key, the newest first.
        case earlier
        /// What a row was made into.
        case places
        /// Heads that hold nothing but fences, by when these end.
        case fences
    }

    let bucket: Digest

    init(_ bucket: Digest) { self.bucket = bucket }

    /// All entries of a section, or its only one.
    func section(_ section: Section) -> [UInt8] { [section.rawValue] + bucket.bytes }

    func range(_ section: Section) -> (from: [UInt8], to: [UInt8]?) {
        let start = self.section(section)
        return (start, Bytes.successor(ofAllWith: start))
    }

    static let prefixBytes = 1 + Digest.byteCount

    /// The key of the object that an entry among the heads is of.
    static func name(ofHead key: [UInt8]) -> [UInt8] { Array(key.dropFirst(prefixBytes)) }

    func head(_ name: [UInt8]) -> [UInt8] { section(.heads) + name }

    func place(_ row: RowKey) -> [UInt8] {
        var writer = ByteWriter(capacity: ListingKey.prefixBytes + 33 + row.suffix.count)
        writer.write(section(.places))
        writer.write(row.table.rawValue)
        writer.write(row.position)
        writer.write(row.suffix)
        return writer.bytes
    }

    /// Places of a table's rows after one and up to another.
    func places(
        _ table: TableID, _ stretch: ChangePage.Stretch
    ) -> (from: [UInt8], to: [UInt8]?) {
        let start = section(.places) + [table.rawValue]
        return (
            stretch.after.map { place($0) + [0] } ?? start,
            stretch.through.map { place($0) + [0] } ?? Bytes.successor(ofAllWith: start)
        )
    }

    static func row(ofPlace key: [UInt8]) -> RowKey? {
        let tail = Array(key.dropFirst(prefixBytes))
        guard tail.count >= 33, let position = Digest(bytes: Array(tail[1..<33])) else {
            return nil
        }
        return RowKey(
            table: TableID(rawValue: tail[0]), position: position, suffix: Array(tail[33...]))
    }

    /// Before all earlier versions of a key. Zero bytes of it are told from the end of it.
    func earlier(_ name: [UInt8]) -> [UInt8] {
        var key = section(.earlier)
        for byte in name {
            key.append(byte)
            if byte == 0 { key.append(0xFF) }
        }
        return key + [0, 1]
    }

    func earlier(_ head: HeadRow) -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + head.key.utf8.count)
        writer.write(earlier(Array(head.key.utf8)))
        writer.write(UInt64.max - head.sequence)
        writer.write(head.write)
        return writer.bytes
    }

    func fence(until: Int64, _ position: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: ListingKey.prefixBytes + 40)
        writer.write(section(.fences))
        writer.write(UInt64(max(0, until)))
        writer.write(position)
        return writer.bytes
    }
}

/// How far the rows of a bucket were followed.
struct ListingState: Sendable {
    private static let format: UInt8 = 1

    /// Whose bucket it is.
    var account: Digest
    var heads: ScanCursor?
    var versions: ScanCursor?
    /// Whether a head was met of which the newest version was removed: earlier versions are then
    /// needed for every listing.
    var needsVersions = false

    init(account: Digest) { self.account = account }

    /// Whether nothing was followed yet.
    var isFresh: Bool { heads == nil && versions == nil }

    func cursor(_ table: TableID) -> ScanCursor? { table == .heads ? heads : versions }

    mutating func set(_ cursor: ScanCursor, _ table: TableID) {
        if table == .heads { heads = cursor } else { versions = cursor }
    }

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        writer.write(ListingState.format)
        writer.write(account)
        writer.write(UInt8(needsVersions ? 1 : 0))
        for cursor in [heads, versions] {
            let bytes = cursor?.bytes ?? []
            writer.write(UInt32(bytes.count))
            writer.write(bytes)
        }
        return writer.bytes
    }

    init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let format = try reader.readUInt8()
        guard format == ListingState.format else {
            throw .unknown(field: "format", value: UInt64(format))
        }
        account = try reader.readDigest()
        needsVersions = try reader.readUInt8() == 1
        heads = try ListingState.cursor(from: &reader)
        versions = try ListingState.cursor(from: &reader)
        try reader.finish()
    }

    private static func cursor(
        from reader: inout ByteReader
    ) throws(DecodingError) -> ScanCursor? {
        let bytes = try reader.readBytes(Int(try reader.readUInt32()))
        return bytes.isEmpty ? nil : try ScanCursor(bytes: bytes)
    }
}

/// Order of byte strings.
enum Bytes {
    static func precede(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        first.lexicographicallyPrecedes(second)
    }

    /// The least byte string after all that begin with `prefix`; nil: there is none.
    static func successor(ofAllWith prefix: [UInt8]) -> [UInt8]? {
        var next = prefix
        while let last = next.popLast() {
            if last < 0xFF { return next + [last + 1] }
        }
        return nil
    }
}
