import CyxCore
import CyxObjects
import Testing

@Suite struct RoundTripTests {
    @Test(arguments: [
        0, 1, 4095, 4096, 4097, 16 << 10, 100_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20,
    ])
    func whatWentInComesOut(size: Int) throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        let bytes = noise(size)
        let info = try world.put("some/key", bytes)
        #expect(info.size == UInt64(size))
        #expect(try world.get("some/key") == bytes)
        #expect(try world.perform { try await $0.head("some/key", in: "bucket") } == info)
    }

    @Test(arguments: [1, 3, 6, 14])
    func eachLadderStepHoldsAnObject(storers: Int) throws {
        let world = try ObjectWorld(storers: storers)
        try world.createBucket()
        let bytes = noise(3_000_000)
        let info = try world.put("key", bytes)
        let code = try #require(Redundancy.widest(for: storers))
        #expect(info.redundancy == "\(code)")
        #expect(try world.get("key") == bytes)
    }

    @Test func anObjectOfTwoSegmentsAndItsRanges() throws {
        let world = try ObjectWorld(storers: 6)
        try world.createBucket()
        let bytes = noise(66 << 20)
        _ = try world.put("big", bytes, piece: 1 << 20)
        #expect(try world.get("big") == bytes)
        let edge = 64 << 20
        let end = bytes.count
        for range in [0..<1, edge - 5..<edge + 5, end - 3..<end, 7_000_000..<9_000_000] {
            let part = try world.get(
                "big", .from(UInt64(range.lowerBound), through: UInt64(range.upperBound - 1)))
            #expect(part == Array(bytes[range]))
        }
        #expect(try world.get("big", .last(10)) == Array(bytes.suffix(10)))
    }
}
