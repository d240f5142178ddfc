package import CyxCore
internal import CyxStorage

/// One shard file of a segment.
package struct ShardID: Hashable, Comparable, Sendable {
    package var segment: SegmentID
    package var index: Int

    package init(segment: SegmentID, index: Int) {
        self.segment = segment
        self.index = index
    }

    /// Checks what a request names.
    init?(segment: [UInt8], index: UInt32) {
        guard let id = SegmentID(bytes: segment), index < UInt32(ObjectLimits.shards) else {
            return nil
        }
        self.init(segment: id, index: Int(index))
    }

    package static func < (left: ShardID, right: ShardID) -> Bool {
        (left.segment, left.index) < (right.segment, right.index)
    }
}

/// How a shard file lies in the shard store: in pieces of one size under ascending numbers, and,
/// once it is finished, a record beside them.
enum ShardFile {
    /// Whole groups of the hash tree; the least that a read of a range fetches from the store.
    static let pieceBytes = 128 << 10
    /// The number of the record, which no piece reaches.
    static let recordNumber = UInt32.max
    /// Largest shard file: a segment in one copy.
    static let bytes = ObjectLimits.segmentBytes + ObjectLimits.chunkBytes

    static func key(_ shard: ShardID, _ number: UInt32) -> ShardKey {
        ShardKey(segment: shard.segment, index: UInt8(shard.index), chunk: number)
    }

    /// The note that keeps the owner's order to delete a segment, so that who audits it meanwhile is
    /// shown why there is nothing.
    static func deletionNote(_ segment: SegmentID) -> [UInt8] { deletionPrefix + segment.bytes }
    static let deletionPrefix = [UInt8(ascii: "d")]

    static func record(_ shard: ShardID) -> ShardKey { key(shard, recordNumber) }

    /// The numbers of the pieces that hold `range`.
    static func pieces(of range: Range<Int>) -> Range<UInt32> {
        UInt32(
            range.lowerBound / pieceBytes)..<UInt32(
                (range.upperBound + pieceBytes - 1) / pieceBytes)
    }
}
