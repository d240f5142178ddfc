internal import CyxCore
internal import CyxCrypto

/// Ranges of shard files as they travel: whole groups of 16 KiB with the proof that they belong to
/// the file whose root the owner signed.
enum ShardSlice {
    /// The whole groups that `range` touches.
    static func range(covering range: Range<Int>, fileBytes: Int) -> Range<Int> {
        let groups = ShardTree.groups(
            touching: UInt64(range.lowerBound)..<UInt64(range.upperBound))
        let span = ShardTree.bytes(of: groups, fileLength: UInt64(fileBytes))
        return Int(span.lowerBound)..<Int(span.upperBound)
    }

    static func proof(of range: Range<Int>, in tree: ShardTree) -> [UInt8] {
        Digests.join(
            tree.proof(for: UInt64(range.lowerBound)..<UInt64(range.upperBound)))
    }

    /// Whether `answer` is what the file with that root has at `range`, widened to groups.
    static func isValid(
        _ answer: ReadShardResponse, for range: Range<Int>, root: Digest, fileBytes: Int
    ) -> Bool {
        guard answer.proof.count.isMultiple(of: Digest.byteCount) else { return false }
        do throws(SliceError) {
            try ShardTree.verify(
                answer.data, covering: UInt64(range.lowerBound)..<UInt64(range.upperBound),
                proof: Digests.split(answer.proof), root: root, fileLength: UInt64(fileBytes))
            return true
        } catch { return false }
    }
}

extension SegmentShape {
    /// The tree of a finished file, checked against the core beside it; nil if they do not agree.
    static func tree(of shard: ShardID, in record: ShardRecord) -> ShardTree? {
        do throws(RowError) {
            let shape = try verified(record.core, of: shard.segment).shape
            guard shard.index < shape.roots.count, record.fileBytes == UInt64(shape.fileBytes)
            else { return nil }
            return ShardTree(
                fileLength: record.fileBytes, root: shape.roots[shard.index],
                groups: Digests.split(record.tree))
        } catch { return nil }
    }
}
