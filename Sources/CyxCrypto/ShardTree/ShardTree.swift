package import CyxCore
internal import CyxKernels

/// The top of a file's BLAKE3 hash tree, down to groups of 16 KiB (as Bao's slices, O'Connor 2019).
///
/// The root is the plain BLAKE3 of the file. From the chaining value of each group (32 bytes per
/// 16 KiB) any range of whole groups gets a proof that a holder of the root alone can check, so
/// that a reader verifies a slice without the rest of the file.
package struct ShardTree: Equatable, Sendable {
    /// Bytes of a group, the smallest unit that can be verified.
    package static let groupSize = 16 << 10
    static let chunksPerGroup = groupSize / BLAKE3.chunkSize

    /// Bytes of the file.
    package let fileLength: UInt64
    /// BLAKE3 of the file.
    package let root: Digest
    /// One chaining value per group, the last of which may be short; none for an empty file.
    package let groups: [Digest]

    /// How many groups a file of `length` bytes has.
    package static func groupCount(fileLength length: UInt64) -> Int {
        Int(length / UInt64(groupSize)) + (length % UInt64(groupSize) == 0 ? 0 : 1)
    }

    /// The tree over stored group values, whose `root` was stored beside them.
    ///
    /// Nil unless there is one value per group and, for more than one group, they lead to `root`.
    package init?(fileLength: UInt64, root: Digest, groups: [Digest]) {
        guard fileLength <= UInt64(Int.max),
            groups.count == ShardTree.groupCount(fileLength: fileLength)
        else { return nil }
        if groups.count > 1 {
            guard ShardTree.value(of: groups[...], isRoot: true) == root else { return nil }
        }
        self.fileLength = fileLength
        self.root = root
        self.groups = groups
    }

    init(trustedLength fileLength: UInt64, root: Digest, groups: [Digest]) {
        self.fileLength = fileLength
        self.root = root
        self.groups = groups
    }

    /// The tree of `bytes`.
    package init(_ bytes: UnsafeRawBufferPointer) {
        var builder = Builder()
        builder.update(bytes)
        self = builder.finalize()
    }

    package init(_ bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { ShardTree($0) }
    }

    /// The indices of the groups that the byte range `range` of the file touches.
    package static func groups(touching range: Range<UInt64>) -> Range<Int> {
        guard !range.isEmpty else { return 0..<0 }
        let size = UInt64(groupSize)
        return Int(range.lowerBound / size)..<Int((range.upperBound - 1) / size) + 1
    }

    /// The bytes of the file that the groups `groups` span.
    package static func bytes(of groups: Range<Int>, fileLength: UInt64) -> Range<UInt64> {
        let size = UInt64(groupSize)
        let start = min(UInt64(groups.lowerBound) * size, fileLength)
        return start..<min(UInt64(groups.upperBound) * size, fileLength)
    }

    /// The chaining values beside the path to the whole groups that `range` touches, in the order
    /// in which `verify` needs them: depth first, left before right.
    ///
    /// `range` is not empty and lies in the file.
    package func proof(for range: Range<UInt64>) -> [Digest] {
        precondition(!range.isEmpty && range.upperBound <= fileLength, "a range within the file")
        var proof: [Digest] = []
        ShardTree.collect(
            from: groups, wanted: ShardTree.groups(touching: range), of: 0..<groups.count,
            into: &proof)
        return proof
    }

    /// Appends what lies beside the path to `wanted` in the tree over `leaves`.
    static func collect(
        from leaves: [Digest], wanted: Range<Int>, of node: Range<Int>, into proof: inout [Digest]
    ) {
        if !node.overlaps(wanted) {
            proof.append(value(of: leaves[node], isRoot: false))
        } else if node.count > 1, !wanted.contains(node) {
            let middle = node.lowerBound + leftCount(of: node.count)
            collect(from: leaves, wanted: wanted, of: node.lowerBound..<middle, into: &proof)
            collect(from: leaves, wanted: wanted, of: middle..<node.upperBound, into: &proof)
        }
    }

    /// Groups in the left subtree of `count` of them: the largest power of two below `count`.
    static func leftCount(of count: Int) -> Int {
        1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }

    /// The value of the node over `groups`, level by level; an odd last value moves up as it is.
    static func value(of groups: ArraySlice<Digest>, isRoot: Bool) -> Digest {
        var level = Array(groups)
        while level.count > 1 {
            let isTop = level.count == 2
            var next: [Digest] = []
            next.reserveCapacity(level.count / 2 + 1)
            for index in stride(from: 0, to: level.count - 1, by: 2) {
                next.append(parent(level[index], level[index + 1], isRoot: isRoot && isTop))
            }
            if level.count % 2 == 1 { next.append(level[level.count - 1]) }
            level = next
        }
        return level[0]
    }

    static func parent(_ left: Digest, _ right: Digest, isRoot: Bool) -> Digest {
        withUnsafeTemporaryAllocation(byteCount: 2 * Digest.byteCount, alignment: 8) { children in
            left.store(into: children, at: 0)
            right.store(into: children, at: Digest.byteCount)
            return Digest.filled { output in
                cyx_blake3_parent(
                    nil, 0, isRoot ? 1 : 0, children.baseAddress, output.baseAddress)
            }
        }
    }
}
