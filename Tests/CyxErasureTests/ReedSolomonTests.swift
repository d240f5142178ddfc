import CyxCore
import CyxErasure
import Testing

/// A generator for tests (Steele, Lea and Flood 2014, SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

struct ReedSolomonTests {
    struct Vector {
        var dataShards: Int
        var parityShards: Int
        var count: Int
        var parity: String
    }

    /// Computed in Python with logarithm tables of GF(2^8), polynomial 0x11d; byte i of the data is
    /// 37 i + 11.
    static let vectors = [
        Vector(dataShards: 1, parityShards: 2, count: 5, parity: "0b30557a9f8b18a43dc1"),
        Vector(dataShards: 2, parityShards: 1, count: 7, parity: "feaf083d"),
        Vector(
            dataShards: 4, parityShards: 2, count: 30, parity: "29bedbe64e88fd6d8175f81f30e195eb"),
        Vector(
            dataShards: 10, parityShards: 4, count: 75,
            parity: "33beea8c67cbefe85830ab8507c13561d2159a2620b60aa42c4e8daa24242175"),
        Vector(
            dataShards: 32, parityShards: 16, count: 64,
            parity: "a8a925484dcb1c281ccd08916c026a61228e38b45f029005d14ade3d9ae8de30"),
    ]

    @Test(arguments: vectors)
    func parityMatchesAnIndependentImplementation(vector: Vector) throws {
        let code = try ReedSolomon(
            dataShards: vector.dataShards, parityShards: vector.parityShards)
        let data = (0..<vector.count).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
        #expect(Hex.encode(code.encodeParity(data).flatMap { $0 }) == vector.parity)
    }

    /// Parity from multiplication bit by bit, which shares nothing with ISA-L's tables.
    @Test func parityOfLongShardsMatchesMultiplicationBitByBit() throws {
        func multiply(_ left: UInt8, _ right: UInt8) -> UInt8 {
            var (a, product) = (UInt16(left), UInt16(0))
            for bit in 0..<8 {
                if right >> UInt8(bit) & 1 == 1 { product ^= a }
                a <<= 1
                if a & 0x100 != 0 { a ^= 0x11d }
            }
            return UInt8(product)
        }
        let (k, m, size) = (6, 3, 1000)
        let code = try ReedSolomon(dataShards: k, parityShards: m)
        var random = SplitMix(state: 5)
        let data = (0..<k * size).map { _ in UInt8.random(in: 0...255, using: &random) }
        let parity = code.encodeParity(data)
        for row in 0..<m {
            let coefficients = (0..<k).map { column in
                (1...255).map { UInt8($0) }.first {
                    multiply($0, UInt8((k + row) ^ column)) == 1
                } ?? 0
            }
            let expected = (0..<size).map { byte in
                (0..<k).reduce(UInt8(0)) { $0 ^ multiply(coefficients[$1], data[$1 * size + byte]) }
            }
            #expect(parity[row] == expected)
        }
    }

    /// Every shape; in each, m seeded losses, which is the most that can be made good.
    @Test(arguments: 1...32)
    func everyShapeRecoversFromAsManyLossesAsItHasParity(k: Int) throws {
        var random = SplitMix(state: UInt64(k))
        for m in 0...16 {
            let code = try ReedSolomon(dataShards: k, parityShards: m)
            let length = Int.random(in: 1...k * 5, using: &random)
            let data = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let shards = code.encode(data)
            #expect(shards.count == k + m)
            let lost = Set((0..<k + m).shuffled(using: &random).prefix(m))
            let left = shards.indices.map { lost.contains($0) ? nil : shards[$0] }
            #expect(try code.decode(left, length: length) == data)
            let wanted = lost.sorted().shuffled(using: &random)
            #expect(try code.rebuild(wanted, from: left) == wanted.map { shards[$0] })
        }
    }

    @Test func everyLossPatternOfFourPlusThreeIsMadeGood() throws {
        let code = try ReedSolomon(dataShards: 4, parityShards: 3)
        let data = (0..<101).map { UInt8($0) }
        let shards = code.encode(data)
        for pattern in 0..<128 {
            let left = shards.indices.map { pattern >> $0 & 1 == 1 ? nil : shards[$0] }
            let available = 7 - pattern.nonzeroBitCount
            if available >= 4 {
                #expect(try code.decode(left, length: 101) == data)
            } else {
                #expect(throws: ErasureError.tooFewShards(available: available, needed: 4)) {
                    try code.decode(left, length: 101)
                }
            }
        }
    }

    /// Sizes around the widths of vector registers, where the kernels change their loops.
    @Test func everyShardSizeUpToTwoHundredComesBack() throws {
        let code = try ReedSolomon(dataShards: 3, parityShards: 2)
        for size in 1...200 {
            let data = (0..<size * 3 - size / 2).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            var shards: [[UInt8]?] = code.encode(data)
            shards[0] = nil
            shards[2] = nil
            #expect(try code.decode(shards, length: data.count) == data)
        }
    }

    @Test func aLongLogicalTailOfZerosCostsNoShard() throws {
        let code = try ReedSolomon(dataShards: 10, parityShards: 4)
        let data: [UInt8] = [1, 2, 3]
        #expect(code.shardSize(for: 3) == 1)
        let shards = code.encode(data)
        #expect(shards[3..<10].allSatisfy { $0 == [0] })
        var left: [[UInt8]?] = shards
        for index in [0, 1, 2, 9] { left[index] = nil }
        #expect(try code.decode(left, length: 3) == data)
    }

    @Test func emptyDataHasEmptyShards() throws {
        let code = try ReedSolomon(dataShards: 4, parityShards: 2)
        let shards = code.encode([])
        #expect(shards == [[UInt8]](repeating: [], count: 6))
        #expect(try code.decode([nil, nil, [], [], [], []], length: 0) == [])
    }

    @Test func whatIsNotACodeIsRefused() {
        for (k, m) in [(0, 1), (33, 1), (1, 17), (-1, 2), (2, -1)] {
            #expect(throws: ErasureError.unsupportedShape(dataShards: k, parityShards: m)) {
                try ReedSolomon(dataShards: k, parityShards: m)
            }
        }
    }

    @Test func shardsThatDoNotFitTheCodeAreRefused() throws {
        let code = try ReedSolomon(dataShards: 2, parityShards: 1)
        #expect(throws: ErasureError.wrongShardCount(expected: 3, actual: 2)) {
            try code.decode([[1], [2]], length: 2)
        }
        #expect(throws: ErasureError.wrongShardSize(index: 2, expected: 1, actual: 2)) {
            try code.decode([[1], nil, [2, 3]], length: 2)
        }
        #expect(throws: ErasureError.tooShort(length: 3, capacity: 2)) {
            try code.decode([[1], nil, [2]], length: 3)
        }
        #expect(throws: ErasureError.tooShort(length: -1, capacity: 2)) {
            try code.decode([[1], nil, [2]], length: -1)
        }
        #expect(throws: ErasureError.noSuchShard(index: 3)) {
            try code.rebuild([3], from: [[1], nil, [2]])
        }
    }

    @Test func manyPatternsOneAfterTheOtherStayCorrect() throws {
        let code = try ReedSolomon(dataShards: 8, parityShards: 4)
        let data = (0..<80).map { UInt8($0) }
        let shards = code.encode(data)
        var random = SplitMix(state: 99)
        for _ in 0..<300 {
            let lost = Set((0..<12).shuffled(using: &random).prefix(4))
            let left = shards.indices.map { lost.contains($0) ? nil : shards[$0] }
            #expect(try code.decode(left, length: 80) == data)
        }
    }
}
