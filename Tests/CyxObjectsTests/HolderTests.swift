import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

/// What a holder's receipt promises when the holder's disk loses what was not flushed.
@Suite struct HolderTests {
    /// More than one batch for each shard file.
    private let bytes = noise(20_000_000)

    @Test func aFinishedFileOfManyBufferedBatchesSurvivesACrash() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        _ = try world.put("key", bytes)
        // Power is lost everywhere in the moment in which the write is acknowledged.
        for node in world.nodes { node.peer.restart() }
        world.world.run(for: .seconds(5))
        #expect(try world.get("key") == bytes)
        for node in world.nodes {
            let (used, listed) = try counts(world, node)
            #expect(used == listed)
        }
    }

    @Test func aCrashBetweenAppendAndFinishLosesNothingThatWasAcknowledged() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        let earlier = noise(3_000_000, seed: 2)
        _ = try world.put("earlier", earlier)
        // One peer loses its power after it has taken some batches; it cannot finish the file.
        let victim = world.nodes[3]
        let appends = Mutex(0)
        let body = Watched(Pieces(bytes, of: 64 << 10)) { given in
            guard given == 15_000_000 / (64 << 10) else { return }
            appends.withLock { $0 += 1 }
            victim.peer.restart()
        }
        _ = try world.perform { gateway in
            try await gateway.put("key", in: "bucket", options: PutOptions(), body: body)
        }
        #expect(appends.withLock { $0 } == 1)
        #expect(try world.get("key") == bytes)
        #expect(try world.get("earlier") == earlier)
        let (used, listed) = try counts(world, victim)
        #expect(used == listed)
    }

    /// What a store says that it holds, and what lies there.
    private func counts(
        _ world: ObjectWorld, _ node: ObjectWorld.Node
    ) throws -> (Int64, Int64) {
        let store = world.store(node)
        let segments = Set(world.holders().map(\.segment)).sorted()
        return try world.world.perform(on: node.peer) {
            var listed: Int64 = 0
            for segment in segments { listed += Int64(try await store.list(segment).count) }
            return (await store.usage.shards, listed)
        }
    }
}

/// A body that tells how many pieces were taken.
private struct Watched: ByteSource {
    private var inner: Pieces
    private var given = 0
    private let tell: @Sendable (Int) -> Void

    init(_ inner: Pieces, tell: @escaping @Sendable (Int) -> Void) {
        self.inner = inner
        self.tell = tell
    }

    mutating func next() async throws -> [UInt8]? {
        given += 1
        tell(given)
        return try await inner.next()
    }
}
