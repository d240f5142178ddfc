internal import CyxCore

/// A place in the log: a file and an offset in bytes.
struct LogPosition: Comparable {
    var file: UInt32
    var offset: UInt64

    static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.file, left.offset) < (right.file, right.offset)
    }
}

/// Up to where an index knows its log: the next batch begins there and has this sequence.
struct LogEnd: Equatable {
    var position: LogPosition
    var sequence: UInt64

    /// Of a log that holds nothing.
    static let start = LogEnd(position: LogPosition(file: 1, offset: 0), sequence: 1)
}

/// Where a value lies, and its CRC-32C.
struct ValuePlace: Equatable {
    var position: LogPosition
    var length: UInt32
    var checksum: UInt32
}

/// How full a log file is, in bytes.
struct LogFileUse: Equatable {
    var size: UInt64 = 0
    /// Of values that the index still points to.
    var live: UInt64 = 0
}

/// What the index holds for one key.
enum ValueRow: Equatable {
    case inline([UInt8])
    case place(ValuePlace)
    /// The value was damaged when its file was cleared.
    case damaged

    init(encoded: [UInt8]) throws(StoreError) {
        switch encoded.first {
        case 0: self = .inline(Array(encoded[1...]))
        case 1 where encoded.count == 21:
            let position = LogPosition(
                file: UInt32(integer(encoded[1..<5])), offset: integer(encoded[5..<13]))
            self = .place(
                ValuePlace(
                    position: position, length: UInt32(integer(encoded[13..<17])),
                    checksum: UInt32(integer(encoded[17..<21]))))
        case 2 where encoded.count == 1: self = .damaged
        default: throw .corrupt(detail: "a row of the value index")
        }
    }

    var encoded: [UInt8] {
        switch self {
        case .inline(let value): return [0] + value
        case .damaged: return [2]
        case .place(let place):
            var writer = ByteWriter(capacity: 21)
            writer.write(UInt8(1))
            writer.write(place.position.file)
            writer.write(place.position.offset)
            writer.write(place.length)
            writer.write(place.checksum)
            return writer.bytes
        }
    }
}

private func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
}

/// Keys and their values' places in RocksDB, without a log of its own: what a crash takes from it
/// is replayed from the value log, from the end that it recorded with the last batch it kept.
///
/// `0x01 ‖ key` → a `ValueRow`; `0x00 ‖ name` → what the index knows about itself and its log.
struct ValueIndex: Sendable {
    private static let ownPrefix: UInt8 = 0x00
    private static let keyPrefix: UInt8 = 0x01
    private static let format: [UInt8] = [ownPrefix, UInt8(ascii: "f")]
    private static let end: [UInt8] = [ownPrefix, UInt8(ascii: "e")]
    private static let use: [UInt8] = [ownPrefix, UInt8(ascii: "u")]
    private static let version: [UInt8] = [1]
    /// Rows fetched by one scan.
    private static let scanPage = 1024

    let database: RocksDBDatabase

    /// Marks an empty database as an index; refuses one that is something else.
    func start() throws(StoreError) {
        if let found = try database.get(ValueIndex.format) {
            guard found == ValueIndex.version else {
                throw .failed(operation: "open", detail: "an index of another version")
            }
            return
        }
        guard try database.scan(from: [], to: nil, limit: 1).isEmpty else {
            throw .failed(operation: "open", detail: "a store of an earlier format")
        }
        let batch = WriteBatch()
        batch.put(ValueIndex.format, ValueIndex.version)
        try database.write(batch, durable: false)
        try database.flush(wait: true)
    }

    func row(_ key: [UInt8]) throws(StoreError) -> ValueRow? {
        guard let encoded = try database.get([ValueIndex.keyPrefix] + key) else { return nil }
        return try ValueRow(encoded: encoded)
    }

    func rows(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], row: ValueRow)] {
        let upper = to.map { [ValueIndex.keyPrefix] + $0 } ?? [ValueIndex.keyPrefix + 1]
        let found = try database.scan(
            from: [ValueIndex.keyPrefix] + from, to: upper, limit: limit)
        var rows: [(key: [UInt8], row: ValueRow)] = []
        rows.reserveCapacity(found.count)
        for entry in found {
            rows.append((Array(entry.key.dropFirst()), try ValueRow(encoded: entry.value)))
        }
        return rows
    }

    /// Up to where the log is indexed; nil before the first batch.
    func recordedEnd() throws(StoreError) -> LogEnd? {
        guard let encoded = try database.get(ValueIndex.end) else { return nil }
        guard encoded.count == 20 else { throw .corrupt(detail: "the value index's end") }
        return LogEnd(
            position: LogPosition(
                file: UInt32(integer(encoded[..<4])), offset: integer(encoded[4..<12])),
            sequence: integer(encoded[12...]))
    }

    func uses() throws(StoreError) -> [UInt32: LogFileUse] {
        var uses: [UInt32: LogFileUse] = [:]
        var from = ValueIndex.use
        while true {
            let page = try database.scan(
                from: from, to: [ValueIndex.ownPrefix, ValueIndex.use[1] + 1],
                limit: ValueIndex.scanPage)
            for entry in page {
                guard entry.key.count == 6, entry.value.count == 16 else {
                    throw .corrupt(detail: "the use of a log file")
                }
                uses[UInt32(integer(entry.key[2...]))] = LogFileUse(
                    size: integer(entry.value[..<8]), live: integer(entry.value[8...]))
            }
            guard page.count == ValueIndex.scanPage, let last = page.last else { return uses }
            from = last.key + [0]
        }
    }

    // MARK: Changing, as parts of one batch

    static func put(_ key: [UInt8], _ row: ValueRow, in batch: WriteBatch) {
        batch.put([keyPrefix] + key, row.encoded)
    }

    static func delete(_ key: [UInt8], in batch: WriteBatch) {
        batch.delete([keyPrefix] + key)
    }

    static func record(_ logEnd: LogEnd, in batch: WriteBatch) {
        var writer = ByteWriter(capacity: 20)
        writer.write(logEnd.position.file)
        writer.write(logEnd.position.offset)
        writer.write(logEnd.sequence)
        batch.put(end, writer.bytes)
    }

    /// `use` nil: the file is gone.
    static func record(_ use: LogFileUse?, of file: UInt32, in batch: WriteBatch) {
        var key = ByteWriter(capacity: 6)
        key.write(ValueIndex.use)
        key.write(file)
        guard let use else { return batch.delete(key.bytes) }
        var value = ByteWriter(capacity: 16)
        value.write(use.size)
        value.write(use.live)
        batch.put(key.bytes, value.bytes)
    }
}
