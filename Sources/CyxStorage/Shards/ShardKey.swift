package import CyxCore

/// Names one stored shard: one coded piece of one chunk of one segment.
package struct ShardKey: Hashable, Comparable, Sendable {
    package var segment: SegmentID
    /// Which of the segment's n pieces; n is at most 48.
    package var index: UInt8
    /// Which chunk of the segment.
    package var chunk: UInt32

    package init(segment: SegmentID, index: UInt8, chunk: UInt32) {
        self.segment = segment
        self.index = index
        self.chunk = chunk
    }

    package static func < (left: ShardKey, right: ShardKey) -> Bool {
        (left.segment, left.index, left.chunk) < (right.segment, right.index, right.chunk)
    }
}

extension ShardKey: CustomStringConvertible {
    package var description: String { "shard \(segment)/\(index)/\(chunk)" }
}

/// What is known about a shard beside its bytes.
struct ShardRow: Equatable {
    static let byteCount = 12

    var size: UInt32
    var checksum: UInt64

    init(size: UInt32, checksum: UInt64) {
        self.size = size
        self.checksum = checksum
    }

    /// Nil unless it is one.
    init?(encoded: [UInt8]) {
        guard encoded.count == ShardRow.byteCount else { return nil }
        size = encoded[..<4].reduce(0) { $0 << 8 | UInt32($1) }
        checksum = encoded[4...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: ShardRow.byteCount)
        writer.write(size)
        writer.write(checksum)
        return writer.bytes
    }
}

/// How shards lie in the key-value store.
///
/// `0x01 ‖ segment ‖ index ‖ chunk` → the bytes (a blob); `0x02 ‖ …` → their length and checksum (a
/// row, so that listing and accounting never touch blobs, and bytes are stored without a copy);
/// `0x03 ‖ segment ‖ index ‖ chunk` → the row of a shard in the trash, which has no other; its blob
/// stays where it is; `0x04 ‖ time ‖ segment ‖ index ‖ chunk` → nothing: the trash by age; `0x00 ‖ name` → what the store knows about itself, and what its owner notes beside the shards.
package enum ShardLayout {
    package static let storeID: [UInt8] = [0x00, UInt8(ascii: "i")]
    static let totals: [UInt8] = [0x00, UInt8(ascii: "t")]
    /// Notes of the store's owner, by name; they count neither as shards nor as bytes.
    static let notePrefix: [UInt8] = [0x00, UInt8(ascii: "n")]
    static let blobPrefix: UInt8 = 0x01
    static let rowPrefix: UInt8 = 0x02
    static let trashPrefix: UInt8 = 0x03
    static let agePrefix: UInt8 = 0x04
    static let keyBytes = 1 + Digest.byteCount + 1 + 4

    static func blob(_ key: ShardKey) -> [UInt8] { encode(blobPrefix, key) }
    static func row(_ key: ShardKey) -> [UInt8] { encode(rowPrefix, key) }

    static func trashed(_ key: ShardKey) -> [UInt8] { encode(trashPrefix, key) }

    /// Sorts the trash by age, the oldest first.
    static func age(_ key: ShardKey, _ mark: TrashMark) -> [UInt8] {
        var writer = ByteWriter(capacity: 8 + keyBytes)
        writer.write(agePrefix)
        writer.write(UInt64(bitPattern: mark.since.milliseconds))
        return writer.bytes + encode(agePrefix, key).dropFirst()
    }

    static func decodeAge(_ bytes: [UInt8]) -> (since: WallTime, key: ShardKey)? {
        guard bytes.count == 8 + keyBytes, bytes[0] == agePrefix,
            let key = decode([trashPrefix] + bytes[9...], prefix: trashPrefix)
        else { return nil }
        let time = bytes[1..<9].reduce(0) { $0 << 8 | UInt64($1) }
        return (WallTime(milliseconds: Int64(bitPattern: time)), key)
    }

    /// The rows of one segment: from the first bound, below the second.
    static func rows(
        of segment: SegmentID, prefix: UInt8 = rowPrefix
    ) -> (from: [UInt8], to: [UInt8]) {
        let from = [prefix] + segment.bytes
        return (from, from + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
    }

    /// The rows of one shard file: one for each chunk.
    package static func rows(
        of segment: SegmentID, index: UInt8
    ) -> (from: [UInt8], to: [UInt8]) {
        let from = [rowPrefix] + segment.bytes + [index]
        return (from, from + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
    }

    private static func encode(_ prefix: UInt8, _ key: ShardKey) -> [UInt8] {
        var writer = ByteWriter(capacity: keyBytes)
        writer.write(prefix)
        writer.write(key.segment.digest)
        writer.write(key.index)
        writer.write(key.chunk)
        return writer.bytes
    }

    /// Reads a row's key; nil for anything else.
    static func decodeRow(_ bytes: [UInt8]) -> ShardKey? { decode(bytes, prefix: rowPrefix) }

    static func decode(_ bytes: [UInt8], prefix: UInt8) -> ShardKey? {
        guard bytes.count == keyBytes, bytes[0] == prefix else { return nil }
        return bytes.withUnsafeBytes { raw in
            let digest = Digest(rawBytes: UnsafeRawBufferPointer(rebasing: raw[1..<33]))
            let chunk = UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 34, as: UInt32.self))
            return ShardKey(segment: SegmentID(digest), index: raw[33], chunk: chunk)
        }
    }
}
