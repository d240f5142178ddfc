internal import CyxCore
internal import CyxCrypto

/// What one write of a batch was, as its log records it.
enum LogEntry: Equatable {
    /// A value that lies in the index.
    case inline(key: [UInt8], value: [UInt8])
    /// A value of `length` bytes with this CRC-32C, after the batch's entries.
    case value(key: [UInt8], length: UInt32, checksum: UInt32)
    case delete(key: [UInt8])
    /// A value that was found damaged when it was to be moved.
    case damaged(key: [UInt8])

    var key: [UInt8] {
        switch self {
        case .inline(let key, _), .value(let key, _, _), .delete(let key), .damaged(let key): key
        }
    }
}

/// Writes that are applied together, as they lie in a log file: a header, the entries, and then the
/// values one after another.
///
/// Header: magic u32 ‖ entries' bytes u32 ‖ sequence u64 ‖ values' bytes u64 ‖ CRC-32C of the
/// entries u32 ‖ CRC-32C of the header so far u32. A batch counts only if the header, the entries
/// and every value match their checksums and its sequence follows that of the batch before, so that
/// one that a crash tore, or an older one below it, ends the log. It is padded with zeros to whole
/// blocks of the file, so that the next one begins on their border.
struct LogBatch {
    static let headerBytes = 32
    /// Bounds for what a header may claim.
    static let maximumEntriesBytes = 64 << 20
    static let maximumValuesBytes = 1 << 30
    private static let magic: UInt32 = 0x4379_784C

    private(set) var entries: [LogEntry] = []
    /// Of the entries that are values, in order.
    private(set) var values: [[UInt8]] = []
    private(set) var valuesBytes = 0
    private var encoded = ByteWriter()

    /// In the log, padding included.
    var byteCount: Int {
        LogBatch.byteCount(entriesBytes: encoded.bytes.count, valuesBytes: valuesBytes)
    }

    static func byteCount(entriesBytes: Int, valuesBytes: Int) -> Int {
        LogFile.padded(headerBytes + entriesBytes + valuesBytes)
    }

    /// Of the entries as they lie in the log.
    var entriesBytes: Int { encoded.bytes.count }

    /// Values of `minimumValueBytes` and more lie outside the index.
    init(_ writes: [KeyValueWrite], minimumValueBytes: Int) {
        entries.reserveCapacity(writes.count)
        for write in writes {
            switch write {
            case .delete(let key): append(.delete(key: key))
            case .put(let key, let value) where value.count < minimumValueBytes:
                append(.inline(key: key, value: value))
            case .put(let key, let value): append(key, value, checksum: CRC.crc32c(value))
            }
        }
    }

    init() {}

    mutating func append(_ key: [UInt8], _ value: [UInt8], checksum: UInt32) {
        append(.value(key: key, length: UInt32(value.count), checksum: checksum))
        values.append(value)
        valuesBytes += value.count
    }

    mutating func append(_ entry: LogEntry) {
        entries.append(entry)
        encoded.write(Kind(entry).rawValue)
        encoded.write(UInt16(entry.key.count))
        encoded.write(entry.key)
        switch entry {
        case .inline(_, let value):
            encoded.write(UInt32(value.count))
            encoded.write(value)
        case .value(_, let length, let checksum):
            encoded.write(length)
            encoded.write(checksum)
        case .delete, .damaged: break
        }
    }

    /// The header and the entries.
    func head(sequence: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: LogBatch.headerBytes + encoded.bytes.count)
        writer.write(LogBatch.magic)
        writer.write(UInt32(encoded.bytes.count))
        writer.write(sequence)
        writer.write(UInt64(valuesBytes))
        writer.write(CRC.crc32c(encoded.bytes))
        writer.write(CRC.crc32c(writer.bytes))
        writer.write(encoded.bytes)
        return writer.bytes
    }

    private enum Kind: UInt8 {
        case inline = 1
        case value
        case delete
        case damaged

        init(_ entry: LogEntry) {
            self =
                switch entry {
                case .inline: .inline
                case .value: .value
                case .delete: .delete
                case .damaged: .damaged
                }
        }
    }

    // MARK: Reading

    /// What a header says; nil unless it is one.
    struct Header {
        var sequence: UInt64
        var entriesBytes: Int
        var valuesBytes: Int
        fileprivate var entriesChecksum: UInt32

        init?(_ bytes: [UInt8]) {
            guard bytes.count == LogBatch.headerBytes else { return nil }
            func integer(_ range: Range<Int>) -> UInt64 {
                bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
            }
            guard integer(0..<4) == UInt64(LogBatch.magic),
                integer(28..<32) == UInt64(CRC.crc32c(Array(bytes[..<28]))),
                integer(4..<8) <= UInt64(LogBatch.maximumEntriesBytes),
                integer(16..<24) <= UInt64(LogBatch.maximumValuesBytes)
            else { return nil }
            entriesBytes = Int(integer(4..<8))
            sequence = integer(8..<16)
            valuesBytes = Int(integer(16..<24))
            entriesChecksum = UInt32(integer(24..<28))
        }

        var byteCount: Int {
            LogBatch.byteCount(entriesBytes: entriesBytes, valuesBytes: valuesBytes)
        }

        /// The entries; nil if these bytes are not the header's.
        func entries(_ bytes: [UInt8]) -> [LogEntry]? {
            guard bytes.count == entriesBytes, CRC.crc32c(bytes) == entriesChecksum else {
                return nil
            }
            do throws(DecodingError) {
                return try Header.decode(bytes)
            } catch {
                // Whole by its checksum and still not a batch: as good as none.
                return nil
            }
        }

        private static func decode(_ bytes: [UInt8]) throws(DecodingError) -> [LogEntry] {
            var entries: [LogEntry] = []
            var reader = ByteReader(bytes.span.bytes)
            while !reader.isAtEnd {
                let tag = try reader.readUInt8()
                guard let kind = Kind(rawValue: tag) else {
                    throw .unknown(field: "entry", value: UInt64(tag))
                }
                let key = try reader.readBytes(Int(try reader.readUInt16()))
                switch kind {
                case .inline:
                    let value = try reader.readBytes(Int(try reader.readUInt32()))
                    entries.append(.inline(key: key, value: value))
                case .value:
                    let length = try reader.readUInt32()
                    let checksum = try reader.readUInt32()
                    entries.append(.value(key: key, length: length, checksum: checksum))
                case .delete: entries.append(.delete(key: key))
                case .damaged: entries.append(.damaged(key: key))
                }
            }
            return entries
        }
    }

    /// The header and the entries of the batch at `offset`; nil if there is none.
    static func read(
        _ file: LogFile, at offset: UInt64
    ) throws(StoreError) -> (header: Header, entries: [LogEntry])? {
        guard let header = Header(try file.read(headerBytes, at: offset)) else { return nil }
        let start = offset + UInt64(headerBytes)
        guard let entries = header.entries(try file.read(header.entriesBytes, at: start)) else {
            return nil
        }
        return (header, entries)
    }
}

extension LogBatch.Header {
    /// Where the values of a batch at `offset` begin.
    func valuesStart(_ offset: UInt64) -> UInt64 {
        offset + UInt64(LogBatch.headerBytes + entriesBytes)
    }

    /// Where they end; padding follows.
    func valuesEnd(_ offset: UInt64) -> UInt64 {
        valuesStart(offset) + UInt64(valuesBytes)
    }
}
