package import CyxCore
internal import CyxKernels

/// Single blocks of 1 KiB (BLAKE3's chunks) with the path from them to the root: what an audit
/// asks for, since a group of 16 KiB would cost a holder's uplink sixteen times as much.
extension ShardTree {
    package static let blockSize = BLAKE3.chunkSize

    package static func blockCount(fileLength: UInt64) -> Int {
        Int((fileLength + UInt64(blockSize) - 1) / UInt64(blockSize))
    }

    /// The bytes of the file that a block spans; the last block may be short.
    package static func bytes(ofBlock block: Int, fileLength: UInt64) -> Range<UInt64> {
        let start = min(UInt64(block) * UInt64(blockSize), fileLength)
        return start..<min(start + UInt64(blockSize), fileLength)
    }

    /// The bytes of the group of 16 KiB that a block lies in: what `proof(ofBlock:group:)` needs.
    package static func bytes(aroundBlock block: Int, fileLength: UInt64) -> Range<UInt64> {
        let group = block / chunksPerGroup
        return bytes(of: group..<group + 1, fileLength: fileLength)
    }

    /// The chaining values beside the path from a block to the root: within its group first, then
    /// above it. `group`: the bytes of the block's whole group.
    package func proof(ofBlock block: Int, group bytes: [UInt8]) -> [Digest] {
        precondition(
            block >= 0 && block < ShardTree.blockCount(fileLength: fileLength),
            "a block of the file")
        let span = ShardTree.bytes(aroundBlock: block, fileLength: fileLength)
        precondition(bytes.count == span.count, "the bytes of one group")
        let first = block / ShardTree.chunksPerGroup * ShardTree.chunksPerGroup
        var leaves: [Digest] = []
        bytes.withUnsafeBytes { raw in
            for start in stride(from: 0, to: raw.count, by: ShardTree.blockSize) {
                let end = min(start + ShardTree.blockSize, raw.count)
                leaves.append(
                    ShardTree.value(
                        ofBlock: UnsafeRawBufferPointer(rebasing: raw[start..<end]),
                        index: first + leaves.count))
            }
        }
        var proof: [Digest] = []
        let inner = block - first
        ShardTree.collect(
            from: leaves, wanted: inner..<inner + 1, of: 0..<leaves.count, into: &proof)
        let group = block / ShardTree.chunksPerGroup
        ShardTree.collect(
            from: groups, wanted: group..<group + 1, of: 0..<groups.count, into: &proof)
        return proof
    }

    /// Checks that `bytes` are the block `block` of the file of `fileLength` bytes whose BLAKE3 is
    /// `root`. Who gives the length is who gives the root.
    package static func verify(
        block bytes: [UInt8], at block: Int, proof: [Digest], root: Digest, fileLength: UInt64
    ) throws(SliceError) {
        guard fileLength <= UInt64(Int.max), block >= 0,
            block < blockCount(fileLength: fileLength)
        else { throw .outOfRange }
        let span = self.bytes(ofBlock: block, fileLength: fileLength)
        guard bytes.count == span.count else {
            throw .wrongLength(expected: span.count, actual: bytes.count)
        }
        let groups = groupCount(fileLength: fileLength)
        let group = block / chunksPerGroup
        let around = self.bytes(aroundBlock: block, fileLength: fileLength)
        let leaves = (around.count + blockSize - 1) / blockSize
        let inner = block - group * chunksPerGroup
        let needed =
            proofLength(wanted: inner..<inner + 1, of: 0..<leaves)
            + proofLength(wanted: group..<group + 1, of: 0..<groups)
        guard proof.count == needed else {
            throw .wrongProofLength(expected: needed, actual: proof.count)
        }
        guard leaves > 1 || groups > 1 else {
            guard BLAKE3.hash(bytes) == root else { throw .rootMismatch }
            return
        }
        var rest = proof[...]
        let leaf = bytes.withUnsafeBytes { value(ofBlock: $0, index: block) }
        var actual = value(
            of: 0..<leaves, wanted: inner..<inner + 1, values: [leaf], proof: &rest,
            isRoot: groups == 1)
        if groups > 1 {
            actual = value(
                of: 0..<groups, wanted: group..<group + 1, values: [actual], proof: &rest,
                isRoot: true)
        }
        guard actual == root else { throw .rootMismatch }
    }

    /// The chaining value of one block that is not the whole file.
    private static func value(ofBlock bytes: UnsafeRawBufferPointer, index: Int) -> Digest {
        Digest.filled { output in
            cyx_blake3_subtree(
                BLAKE3.level, nil, 0, bytes.baseAddress, bytes.count, UInt64(index),
                output.baseAddress)
        }
    }
}
