import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// What a peer does about its own disk: reading it again, and noticing that it is gone.
@Suite struct UpkeepTests {
    private func world(_ storers: Int, _ scrub: ScrubTimings) throws -> ObjectWorld {
        var timings = ObjectTimings.devnet
        timings.scrub = scrub
        let world = try ObjectWorld(storers: storers, upkeep: true, timings: timings)
        try world.createBucket()
        return world
    }

    private static let fast = ScrubTimings(
        period: .seconds(120), bytesPerSecond: 1_048_576, rest: .seconds(1))

    @Test func bitsThatFlipAreFoundAndRebuiltElsewhere() throws {
        let world = try world(16, UpkeepTests.fast)
        let bytes = noise(3_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let victim = try #require(world.holders().first?.entry.peer)
        let node = try #require(world.node(victim))
        // Any value: a piece, a checksum, or the file's record.
        #expect(node.peer.disk.flipBits(in: "shards", count: 2000) > 0)
        world.world.run(for: .seconds(400))
        let scrubber = try #require(world.scrubber(node))
        let status = try world.world.perform(on: node.peer) { await scrubber.status }
        #expect(status.found >= 1)
        #expect(
            node.peer.metrics.exposition().contains(
                "cyxcloud_store_corrupt_shards_total{found_by=\"scrub\"} "))
        #expect(try world.runUntilFull(segments: 1))
        #expect(try world.get("key") == bytes)
    }

    @Test func aRoundGoesOnAfterARestartAndEndsInTime() throws {
        let world = try world(
            14, ScrubTimings(period: .seconds(600), bytesPerSecond: 1_048_576, rest: .seconds(1)))
        for number in 0..<60 {
            _ = try world.put("key\(number)", noise(1_200_000, seed: UInt64(number)))
        }
        let node = world.nodes[4]
        world.world.run(for: .seconds(40))
        let before = try #require(world.scrubber(node))
        let first = try world.world.perform(on: node.peer) { await before.status }
        #expect(first.rounds > 0 || first.progress > 0)
        world.world.run(for: .seconds(660))
        let rounds = try world.world.perform(on: node.peer) { await before.status }
        #expect(rounds.rounds >= 1)
        #expect(rounds.found == 0)
        node.peer.restart()
        world.world.run(for: .seconds(5))
        let after = try #require(world.scrubber(node))
        let resumed = try world.world.perform(on: node.peer) { await after.status }
        #expect(resumed.rounds >= rounds.rounds)
    }

    @Test func aPeerWhoseStoreVanishedStopsServingInsteadOfFailingAudits() throws {
        var timings = ObjectTimings.devnet
        timings.audits.period = .seconds(20)
        let world = try ObjectWorld(storers: 16, audits: true, upkeep: true, timings: timings)
        try world.createBucket()
        let bytes = noise(500_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let victim = try #require(world.holders().first?.entry.peer)
        let node = try #require(world.node(victim))
        node.peer.disk.wipe()
        world.world.run(for: .seconds(300))
        let info = world.members.state.withLock { $0.members[victim]?.info }
        #expect(info?.store == nil)
        #expect(info?.roles.contains(.storage) == false)
        #expect(node.peer.metrics.exposition().contains("cyxcloud_store_vanished 1"))
        #expect(node.peer.log.lastLines.contains { $0.message.contains("STORE-07") })
        // Its shards were rebuilt, and nobody holds it against it.
        #expect(try world.runUntilFull(segments: 1))
        #expect(!world.holders().contains { $0.entry.peer == victim })
        let accused = world.shared.state.withLock { state in
            state.merges.contains { $0.key.table == .evidence && !$0.value.isEmpty }
        }
        #expect(!accused)
        #expect(
            world.book(world.nodes.first { $0.id != victim } ?? node).verdict(victim) <= .warned)
        #expect(try world.get("key") == bytes)
    }
}
