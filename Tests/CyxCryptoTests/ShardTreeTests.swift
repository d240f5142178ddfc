import CyxCore
import CyxCrypto
import Testing

struct ShardTreeTests {
    static let group = ShardTree.groupSize

    /// Around every boundary of chunk, group and power of two.
    static let lengths = [
        0, 1, 1024, 1025, group - 1, group, group + 1, 2 * group, 2 * group + 1, 3 * group - 1,
        3 * group, 4 * group + 1024, 5 * group, 7 * group + 5, 8 * group, 13 * group + 777,
        64 * group, 65 * group + 1,
    ]

    static func file(_ length: Int) -> [UInt8] {
        (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
    }

    static func slice(_ file: [UInt8], _ range: Range<UInt64>) -> [UInt8] {
        let span = ShardTree.bytes(
            of: ShardTree.groups(touching: range), fileLength: UInt64(file.count))
        return Array(file[Int(span.lowerBound)..<Int(span.upperBound)])
    }

    @Test(arguments: lengths)
    func theRootIsTheHashOfTheFile(length: Int) {
        let file = ShardTreeTests.file(length)
        let tree = ShardTree(file)
        #expect(tree.root == BLAKE3.hash(file))
        #expect(tree.fileLength == UInt64(length))
        #expect(tree.groups.count == ShardTree.groupCount(fileLength: UInt64(length)))
    }

    @Test(arguments: [1, 1000, 16 << 10, 20_000, 100_000])
    func piecesOfAnySizeGiveTheSameTree(piece: Int) {
        let file = ShardTreeTests.file(6 * ShardTreeTests.group + 321)
        var builder = ShardTree.Builder()
        for start in stride(from: 0, to: file.count, by: piece) {
            builder.update(Array(file[start..<min(start + piece, file.count)]))
        }
        #expect(builder.finalize() == ShardTree(file))
    }

    /// Every prefix of a tree that grows has the hash of its bytes as root.
    @Test func aTreeCanBeReadWhileItGrows() {
        let file = ShardTreeTests.file(4 * ShardTreeTests.group)
        var builder = ShardTree.Builder()
        for start in stride(from: 0, to: file.count, by: 5000) {
            let end = min(start + 5000, file.count)
            builder.update(Array(file[start..<end]))
            #expect(builder.finalize().root == BLAKE3.hash(Array(file[..<end])))
        }
    }

    @Test(arguments: lengths.dropFirst())
    func everyRangeOfGroupsVerifies(length: Int) throws {
        let file = ShardTreeTests.file(length)
        let tree = ShardTree(file)
        let count = tree.groups.count
        for first in 0..<min(count, 14) {
            for last in Set([first, min(first + 1, count - 1), count - 1]) {
                let start = UInt64(first * ShardTreeTests.group)
                let end = min(UInt64((last + 1) * ShardTreeTests.group), tree.fileLength)
                let range = start..<end
                try ShardTree.verify(
                    ShardTreeTests.slice(file, range), covering: range,
                    proof: tree.proof(for: range), root: tree.root, fileLength: tree.fileLength)
            }
        }
    }

    @Test func aRangeWithinGroupsIsProvedByTheWholeGroups() throws {
        let file = ShardTreeTests.file(9 * ShardTreeTests.group + 100)
        let tree = ShardTree(file)
        for range in [0..<1, 16_383..<16_385, 70_000..<90_000, 147_500..<147_556] {
            let bytes = UInt64(range.lowerBound)..<UInt64(range.upperBound)
            try ShardTree.verify(
                ShardTreeTests.slice(file, bytes), covering: bytes, proof: tree.proof(for: bytes),
                root: tree.root, fileLength: tree.fileLength)
        }
    }

    @Test func anyChangeIsRejected() throws {
        let file = ShardTreeTests.file(5 * ShardTreeTests.group + 10)
        let tree = ShardTree(file)
        let range: Range<UInt64> = 16_384..<49_152
        let slice = ShardTreeTests.slice(file, range)
        let proof = tree.proof(for: range)
        func check(
            _ bytes: [UInt8], _ proof: [Digest], _ length: UInt64,
            range: Range<UInt64> = range
        ) throws(SliceError) {
            try ShardTree.verify(
                bytes, covering: range, proof: proof, root: tree.root, fileLength: length)
        }
        try check(slice, proof, tree.fileLength)
        for position in stride(from: 0, to: slice.count, by: 977) {
            var changed = slice
            changed[position] ^= 0x10
            #expect(throws: SliceError.rootMismatch) { try check(changed, proof, tree.fileLength) }
        }
        for index in proof.indices {
            for bit in stride(from: 0, to: 256, by: 17) {
                var changed = proof
                var bytes = changed[index].bytes
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                changed[index] = try #require(Digest(bytes: bytes))
                #expect(throws: SliceError.rootMismatch) {
                    try check(slice, changed, tree.fileLength)
                }
            }
        }
        #expect(throws: SliceError.rootMismatch) {
            try check(slice, proof.reversed(), tree.fileLength)
        }
        // The same bytes claimed at another place.
        #expect(throws: SliceError.self) {
            try check(slice, proof, tree.fileLength, range: 32_768..<65_536)
        }
    }

    @Test func everyTruncationIsRejected() {
        let file = ShardTreeTests.file(5 * ShardTreeTests.group + 10)
        let tree = ShardTree(file)
        let range: Range<UInt64> = 16_384..<49_152
        let slice = ShardTreeTests.slice(file, range)
        let proof = tree.proof(for: range)
        for count in stride(from: 0, to: slice.count, by: 1111) {
            #expect(throws: SliceError.wrongLength(expected: slice.count, actual: count)) {
                try ShardTree.verify(
                    Array(slice[..<count]), covering: range, proof: proof, root: tree.root,
                    fileLength: tree.fileLength)
            }
        }
        for count in 0..<proof.count {
            #expect(throws: SliceError.wrongProofLength(expected: proof.count, actual: count)) {
                try ShardTree.verify(
                    slice, covering: range, proof: Array(proof[..<count]), root: tree.root,
                    fileLength: tree.fileLength)
            }
        }
        #expect(throws: SliceError.self) {
            try ShardTree.verify(
                slice, covering: range, proof: proof + [.zero], root: tree.root,
                fileLength: tree.fileLength)
        }
    }

    @Test func rangesOutsideTheFileAreRejected() {
        for (range, length) in [
            (0..<0, 10), (5..<11, 10), (0..<1, 0), (0..<UInt64.max, UInt64.max),
        ] as [(Range<UInt64>, UInt64)] {
            #expect(throws: SliceError.outOfRange) {
                try ShardTree.verify(
                    [1], covering: range, proof: [], root: .zero, fileLength: length)
            }
        }
    }

    @Test func storedGroupValuesMustLeadToTheRoot() throws {
        let tree = ShardTree(ShardTreeTests.file(3 * ShardTreeTests.group))
        let stored = ShardTree(
            fileLength: tree.fileLength, root: tree.root, groups: tree.groups)
        #expect(stored == tree)
        #expect(
            ShardTree(fileLength: tree.fileLength, root: .zero, groups: tree.groups) == nil)
        #expect(
            ShardTree(
                fileLength: tree.fileLength, root: tree.root, groups: tree.groups.dropLast())
                == nil)
    }

    // MARK: Blocks

    static func proof(_ tree: ShardTree, _ file: [UInt8], _ block: Int) -> [Digest] {
        let span = ShardTree.bytes(aroundBlock: block, fileLength: UInt64(file.count))
        return tree.proof(
            ofBlock: block, group: Array(file[Int(span.lowerBound)..<Int(span.upperBound)]))
    }

    static func block(_ file: [UInt8], _ block: Int) -> [UInt8] {
        let span = ShardTree.bytes(ofBlock: block, fileLength: UInt64(file.count))
        return Array(file[Int(span.lowerBound)..<Int(span.upperBound)])
    }

    @Test(arguments: lengths.dropFirst())
    func everyBlockVerifies(length: Int) throws {
        let file = ShardTreeTests.file(length)
        let tree = ShardTree(file)
        let count = ShardTree.blockCount(fileLength: UInt64(length))
        #expect(count == (length + 1023) / 1024)
        for block in Set([0, 1, 15, 16, 17, count / 2, count - 2, count - 1])
        where block >= 0 && block < count {
            let proof = ShardTreeTests.proof(tree, file, block)
            try ShardTree.verify(
                block: ShardTreeTests.block(file, block), at: block, proof: proof,
                root: tree.root, fileLength: UInt64(length))
        }
    }

    @Test func aBlockThatIsAnotherOrWasChangedFails() throws {
        let file = ShardTreeTests.file(5 * ShardTreeTests.group + 700)
        let tree = ShardTree(file)
        let length = UInt64(file.count)
        let proof = ShardTreeTests.proof(tree, file, 20)
        let good = ShardTreeTests.block(file, 20)
        func verify(_ bytes: [UInt8], _ block: Int, _ proof: [Digest], _ length: UInt64) throws {
            try ShardTree.verify(
                block: bytes, at: block, proof: proof, root: tree.root, fileLength: length)
        }
        try verify(good, 20, proof, length)
        var bent = good
        bent[1023] ^= 1
        #expect(throws: SliceError.rootMismatch) { try verify(bent, 20, proof, length) }
        #expect(throws: SliceError.rootMismatch) { try verify(good, 21, proof, length) }
        #expect(throws: SliceError.rootMismatch) {
            try verify(good, 20, proof.reversed(), length)
        }
        #expect(throws: SliceError.self) { try verify(good, 20, proof.dropLast(), length) }
        #expect(throws: SliceError.self) { try verify(good, 20, proof + [.zero], length) }
        #expect(throws: SliceError.self) { try verify(Array(good.dropLast()), 20, proof, length) }
        #expect(throws: SliceError.outOfRange) { try verify(good, 81, proof, length) }
        #expect(throws: SliceError.outOfRange) { try verify(good, -1, proof, length) }
    }
}
