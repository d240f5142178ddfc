internal import CyxCore
internal import CyxKernels

extension ShardTree {
    /// Builds the tree of a file that is written piece by piece.
    package struct Builder: Sendable {
        /// The root if the file ends after its first group.
        private var rootOfOneGroup: Digest?
        private var groups: [Digest] = []
        /// The start of a group that is not full yet.
        private var open: [UInt8] = []

        /// The index in the file of the first group fed.
        private let firstGroup: Int
        private let isWholeFile: Bool

        package init() {
            self.init(firstGroup: 0, isWholeFile: true)
        }

        /// Collects the values of groups from the middle of a file; it has no root.
        init(sliceFrom firstGroup: Int) {
            self.init(firstGroup: firstGroup, isWholeFile: false)
        }

        private init(firstGroup: Int, isWholeFile: Bool) {
            self.firstGroup = firstGroup
            self.isWholeFile = isWholeFile
            open.reserveCapacity(ShardTree.groupSize)
        }

        package var fileLength: UInt64 {
            UInt64(groups.count) * UInt64(ShardTree.groupSize) + UInt64(open.count)
        }

        package mutating func update(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { update($0) }
        }

        package mutating func update(_ bytes: UnsafeRawBufferPointer) {
            var rest = bytes
            if !open.isEmpty {
                let taken = min(ShardTree.groupSize - open.count, rest.count)
                open.append(contentsOf: rest[..<taken])
                rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
                guard open.count == ShardTree.groupSize else { return }
                let full = open
                open.removeAll(keepingCapacity: true)
                full.withUnsafeBytes { close($0) }
            }
            let whole = rest.count / ShardTree.groupSize * ShardTree.groupSize
            close(UnsafeRawBufferPointer(rebasing: rest[..<whole]))
            open.append(contentsOf: rest[whole...])
        }

        /// Appends the values of whole groups, many at a time so that the wide kernels are full.
        private mutating func close(_ whole: UnsafeRawBufferPointer) {
            guard !whole.isEmpty else { return }
            if groups.isEmpty, whole.count == ShardTree.groupSize, isWholeFile {
                // The root of a file of one group is no function of that group's chaining value.
                rootOfOneGroup = BLAKE3.hash(whole)
            }
            let count = whole.count / ShardTree.groupSize
            let counter = UInt64((firstGroup + groups.count) * ShardTree.chunksPerGroup)
            var values = [UInt8](repeating: 0, count: count * Digest.byteCount)
            cyx_blake3_subtrees(
                BLAKE3.level, nil, 0, whole.baseAddress, count, ShardTree.chunksPerGroup, counter,
                &values)
            values.withUnsafeBytes { raw in
                for start in stride(from: 0, to: raw.count, by: Digest.byteCount) {
                    groups.append(
                        Digest(rawBytes: .init(rebasing: raw[start..<start + Digest.byteCount])))
                }
            }
        }

        /// The tree of what was fed so far; more may follow.
        package func finalize() -> ShardTree {
            let values = finalGroups()
            let root =
                values.count > 1
                ? ShardTree.value(of: values[...], isRoot: true)
                : rootOfOneGroup ?? BLAKE3.hash(open)
            return ShardTree(trustedLength: fileLength, root: root, groups: values)
        }

        /// The values of all groups, the last of which may be short.
        func finalGroups() -> [Digest] {
            guard !open.isEmpty else { return groups }
            let index = firstGroup + groups.count
            return groups + [open.withUnsafeBytes { ShardTree.value(ofGroup: $0, index: index) }]
        }
    }

    /// The chaining value of the group `index`, of at least one byte.
    static func value(ofGroup bytes: UnsafeRawBufferPointer, index: Int) -> Digest {
        precondition(!bytes.isEmpty && bytes.count <= groupSize, "a group has 1 byte to 16 KiB")
        return Digest.filled { output in
            cyx_blake3_subtree(
                BLAKE3.level, nil, 0, bytes.baseAddress, bytes.count,
                UInt64(index * chunksPerGroup), output.baseAddress)
        }
    }
}
