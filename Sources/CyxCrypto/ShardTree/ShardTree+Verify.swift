package import CyxCore
internal import CyxKernels

/// Why a slice is not the part of the file that it claims to be.
package enum SliceError: Error, Equatable {
    /// The range is empty, past the end of the file, or the file is too long to address.
    case outOfRange
    /// The bytes are not as many as the touched groups have.
    case wrongLength(expected: Int, actual: Int)
    /// The proof has more or fewer values than the range needs.
    case wrongProofLength(expected: Int, actual: Int)
    /// The bytes and the proof lead to another root: one of them was changed.
    case rootMismatch
}

extension ShardTree {
    /// Checks that `bytes` are the whole groups which `range` touches, in the file of `fileLength`
    /// bytes whose BLAKE3 is `root`.
    ///
    /// The length is part of what is trusted; who gives it is who gives the root.
    package static func verify(
        _ bytes: UnsafeRawBufferPointer, covering range: Range<UInt64>, proof: [Digest],
        root: Digest, fileLength: UInt64
    ) throws(SliceError) {
        guard !range.isEmpty, range.upperBound <= fileLength, fileLength <= UInt64(Int.max) else {
            throw .outOfRange
        }
        let wanted = groups(touching: range)
        let count = groupCount(fileLength: fileLength)
        let span = self.bytes(of: wanted, fileLength: fileLength)
        guard bytes.count == span.count else {
            throw .wrongLength(expected: span.count, actual: bytes.count)
        }
        let needed = proofLength(wanted: wanted, of: 0..<count)
        guard proof.count == needed else {
            throw .wrongProofLength(expected: needed, actual: proof.count)
        }
        let actual: Digest
        if count == 1 {
            actual = BLAKE3.hash(bytes)
        } else {
            let values = groupValues(bytes, first: wanted.lowerBound)
            var rest = proof[...]
            actual = value(
                of: 0..<count, wanted: wanted, values: values, proof: &rest, isRoot: true)
        }
        guard actual == root else { throw .rootMismatch }
    }

    package static func verify(
        _ bytes: [UInt8], covering range: Range<UInt64>, proof: [Digest], root: Digest,
        fileLength: UInt64
    ) throws(SliceError) {
        var failure: SliceError?
        bytes.withUnsafeBytes { raw in
            do throws(SliceError) {
                try verify(
                    raw, covering: range, proof: proof, root: root, fileLength: fileLength)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private static func groupValues(_ bytes: UnsafeRawBufferPointer, first: Int) -> [Digest] {
        var builder = Builder(sliceFrom: first)
        builder.update(bytes)
        return builder.finalGroups()
    }

    /// How many values the proof of `wanted` has; at most twice the depth of the tree.
    static func proofLength(wanted: Range<Int>, of node: Range<Int>) -> Int {
        if !node.overlaps(wanted) { return 1 }
        if node.count == 1 || wanted.contains(node) { return 0 }
        let middle = node.lowerBound + leftCount(of: node.count)
        return proofLength(wanted: wanted, of: node.lowerBound..<middle)
            + proofLength(wanted: wanted, of: middle..<node.upperBound)
    }

    static func value(
        of node: Range<Int>, wanted: Range<Int>, values: [Digest], proof: inout ArraySlice<Digest>,
        isRoot: Bool
    ) -> Digest {
        if !node.overlaps(wanted) {
            guard let value = proof.popFirst() else {
                preconditionFailure("the length of the proof was checked")
            }
            return value
        }
        if wanted.contains(node) {
            let first = node.lowerBound - wanted.lowerBound
            return value(of: values[first..<first + node.count], isRoot: isRoot)
        }
        let middle = node.lowerBound + leftCount(of: node.count)
        let left = value(
            of: node.lowerBound..<middle, wanted: wanted, values: values, proof: &proof,
            isRoot: false)
        let right = value(
            of: middle..<node.upperBound, wanted: wanted, values: values, proof: &proof,
            isRoot: false)
        return parent(left, right, isRoot: isRoot)
    }
}
