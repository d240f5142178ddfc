import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// What is left of a pack does not keep the rest of it for ever.
@Suite struct PackRewriterTests {
    @Test func whatIsLeftOfAPackMovesTogetherToANewOne() throws {
        let world = try ObjectWorld.packing(storers: 6)
        #expect(try world.putTogether().isEmpty)
        let kept = [3, 4, 5]
        let cids = try kept.map { number in
            try world.perform { try await $0.head("\(number)", in: "bucket").cid }
        }
        let old = try world.perform { try await $0.placement(of: "3", in: "bucket")[0].segment }
        let used = try world.usage().used
        for number in 0..<Packing.count where !kept.contains(number) {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        world.world.run(for: .seconds(5))
        // The two that were put first had segments of their own.
        #expect(world.referenceCounts() == [kept.count])
        world.world.run(for: .seconds(60))
        #expect(world.referenceCounts() == [kept.count])
        let new = try world.perform { try await $0.placement(of: "3", in: "bucket")[0].segment }
        #expect(new != old)
        #expect(world.rows()[.segments] == 1)
        #expect(try world.usage().used * 3 < used)
        let missing = Set(0..<Packing.count).subtracting(kept)
        try world.expectAll(but: missing)
        try world.restartGateway()
        try world.expectAll(but: missing)
        for (number, cid) in zip(kept, cids) {
            #expect(try world.perform { try await $0.head("\(number)", in: "bucket").cid } == cid)
        }
        // Nothing is moved again.
        world.world.run(for: .seconds(60))
        #expect(
            try world.perform { try await $0.placement(of: "3", in: "bucket")[0].segment } == new)
        for number in kept { try world.perform { try await $0.delete("\(number)", in: "bucket") } }
        world.world.run(for: .seconds(60))
        #expect(world.rows() == [:])
        #expect(try world.usage() == (0, 0))
    }

    @Test func aPackOfWhichMuchIsNeededStaysWhereItIs() throws {
        let world = try ObjectWorld.packing()
        #expect(try world.putTogether().isEmpty)
        let old = try world.perform { try await $0.placement(of: "11", in: "bucket")[0].segment }
        // The largest five of ten are more than half of the bytes.
        for number in 0..<7 {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        world.world.run(for: .seconds(60))
        #expect(
            try world.perform { try await $0.placement(of: "11", in: "bucket")[0].segment } == old)
        try world.expectAll(but: Set(0..<7))
    }

    @Test func aVersionThatGoesWhileItsPackIsMovedLeavesNothing() throws {
        let world = try ObjectWorld.packing()
        #expect(try world.putTogether().isEmpty)
        for number in 0..<9 {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        let environment = world.gatewayNode.peer.environment
        let before = Set(world.holders().map(\.segment))
        let shared = world.shared
        // Whoever writes the core of another segment is the one that moves.
        shared.state.withLock { state in
            state.stall = { key, isWrite in
                guard isWrite, key.table == .segments, !before.contains(SegmentID(key.position))
                else { return }
                do { try await environment.sleep(for: .seconds(3)) } catch {}
            }
        }
        world.world.run(limit: .seconds(60)) {
            world.holders().contains { !before.contains($0.segment) }
        }
        try world.perform { try await $0.delete("10", in: "bucket") }
        shared.state.withLock { $0.stall = nil }
        world.world.run(for: .seconds(90))
        #expect(world.referenceCounts() == [2])
        #expect(world.rows()[.segments] == 1)
        try world.restartGateway()
        try world.expectAll(but: Set(0..<9).union([10]))
    }

    @Test func thoseThatShareASegmentAreRecodedEachByItself() throws {
        let world = try ObjectWorld.packing(storers: 3)
        #expect(try world.putTogether().isEmpty)
        for _ in 0..<3 { try world.addStorer() }
        world.world.run(for: .seconds(120))
        for number in 0..<Packing.count {
            let head = try world.perform { try await $0.head("\(number)", in: "bucket") }
            #expect(head.redundancy == "rs(4,2)")
        }
        // None of the old ones is left.
        #expect(world.referenceCounts() == Array(repeating: 1, count: Packing.count))
        #expect(world.rows()[.segments] == Packing.count)
        try world.restartGateway()
        try world.expectAll()
    }
}
