import CyxCore
import CyxCrypto

@testable import CyxStorage

/// What a disk gives back: logs, index rows, totals.
let storageTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "value-log", bytesMax: 2048,
        seeds: {
            let batch = LogBatch(
                [
                    .put(key: [1], value: [2, 3]), .delete(key: [4]),
                    .put(key: [5], value: [UInt8](repeating: 6, count: 40)),
                ], minimumValueBytes: 16)
            return [batch.head(sequence: 7)]
        },
        decode: { bytes in
            guard let header = LogBatch.Header(Array(bytes.prefix(LogBatch.headerBytes))) else {
                return try entries(of: bytes)
            }
            guard let entries = header.entries(Array(bytes.dropFirst(LogBatch.headerBytes))) else {
                return false
            }
            var again = LogBatch()
            for entry in entries { again.append(entry) }
            try BrokenProperty.check(again.entriesBytes == header.entriesBytes, "other entries")
            return true
        }),
    FuzzTarget(
        name: "store-row", bytesMax: 512,
        seeds: {
            let key = ShardKey(segment: SegmentID(Digest(1, 2, 3, 4)), index: 5, chunk: 6)
            let place = ValuePlace(
                position: LogPosition(file: 1, offset: 2), length: 3, checksum: 4)
            return [
                [0] + ValueRow.place(place).encoded, [0] + ValueRow.inline([1, 2]).encoded,
                [0] + ValueRow.damaged.encoded, [1] + ShardRow(size: 1, checksum: 2).encoded,
                [2] + ShardLayout.row(key),
                [3] + ShardTotals().encoded,
                [4]
                    + TrashRow(
                        row: ShardRow(size: 1, checksum: 2),
                        mark: TrashMark(since: WallTime(milliseconds: 5), reason: .ordered)
                    ).encoded,
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                try exactRoundTrip(
                    bytes, { bytes in try taken(StoreError.self) { try ValueRow(encoded: bytes) } },
                    { $0.encoded }) != nil
            },
            { bytes in
                try exactRoundTrip(bytes, { ShardRow(encoded: $0) }, { $0.encoded }) != nil
            },
            { bytes in
                try exactRoundTrip(
                    bytes, { ShardLayout.decodeRow($0) }, { ShardLayout.row($0) }) != nil
            },
            { bytes in
                try exactRoundTrip(
                    bytes,
                    { bytes in try taken(StoreError.self) { try ShardTotals(encoded: bytes) } },
                    { $0.encoded }) != nil
            },
            { bytes in
                try exactRoundTrip(bytes, { TrashRow(encoded: $0) }, { $0.encoded }) != nil
            },
        ]).decode),
]

/// Entries under a header that fits them: a checksum does not stop whoever writes both.
private func entries(of bytes: [UInt8]) throws -> Bool {
    var writer = ByteWriter()
    writer.write(UInt32(0x4379_784C))
    writer.write(UInt32(bytes.count))
    writer.write(UInt64(1))
    writer.write(UInt64(0))
    writer.write(CRC.crc32c(bytes))
    writer.write(CRC.crc32c(writer.bytes))
    guard let header = LogBatch.Header(writer.bytes) else {
        throw BrokenProperty(description: "not a header")
    }
    guard let entries = header.entries(bytes) else { return false }
    var again = LogBatch()
    for entry in entries { again.append(entry) }
    try BrokenProperty.check(again.entriesBytes == bytes.count, "other entries")
    return !entries.isEmpty
}
