import CyxCore
import CyxObjects
import Testing

/// What gateways keep of what they are asked for again and again.
@Suite struct HotChunksTests {
    private let segment = SegmentID(Digest(1, 2, 3, 4))

    private func name(_ chunk: Int) -> HotChunks.Name { .init(segment: segment, chunk: chunk) }

    @Test func onlyWhatIsReadTwiceIsKept() {
        let chunks = HotChunks(bytes: 1000, metrics: MetricsRegistry())
        chunks.add([[1]], [name(1)])
        #expect(chunks.get([name(1)]) == nil)
        chunks.add([[1], [2]], [name(1), name(2)])
        #expect(chunks.get([name(1)]) == [[1]])
        #expect(chunks.get([name(1), name(2)]) == nil)
    }

    @Test func aStreamThroughManyObjectsLeavesItAsItWas() {
        let chunks = HotChunks(bytes: 1000, metrics: MetricsRegistry())
        let hot = [UInt8](repeating: 7, count: 500)
        for _ in 0..<2 { chunks.add([hot], [name(0)]) }
        for chunk in 1..<HotChunks.names {
            chunks.add([[UInt8](repeating: 1, count: 900)], [name(chunk)])
        }
        #expect(chunks.get([name(0)]) == [hot])
    }

    @Test func itNeverHoldsMoreBytesThanItMay() {
        let chunks = HotChunks(bytes: 1000, metrics: MetricsRegistry())
        for _ in 0..<2 {
            for chunk in 0..<30 {
                chunks.add([[UInt8](repeating: 1, count: 300)], [name(chunk)])
            }
            chunks.add([[UInt8](repeating: 1, count: 1001)], [name(99)])
        }
        #expect((0..<30).count { chunks.get([name($0)]) != nil } * 300 <= 1000)
        #expect(chunks.get([name(29)]) != nil)
        #expect(chunks.get([name(99)]) == nil)
        let none = HotChunks(bytes: 0, metrics: MetricsRegistry())
        for _ in 0..<3 { none.add([[1]], [name(1)]) }
        #expect(none.get([name(1)]) == nil)
    }

    @Test func theThirdReadOfAnObjectNeedsNoPeer() throws {
        let world = try ObjectWorld(storers: 6, cacheBytes: 16 << 20)
        try world.createBucket()
        let bytes = noise(3_000_000)
        _ = try world.put("key", bytes)
        for _ in 0..<2 { #expect(try world.get("key") == bytes) }
        for node in world.nodes { world.kill(node) }
        #expect(try world.get("key") == bytes)
        #expect(
            try world.get("key", .from(1_500_000, through: 1_500_009))
                == Array(bytes[1_500_000..<1_500_010]))
        // A gateway that has just been started knows nothing.
        try world.startGateway()
        #expect(throws: (any Error).self) { try world.get("key") }
    }
}
