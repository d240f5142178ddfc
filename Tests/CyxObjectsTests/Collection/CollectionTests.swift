import CyxCore
import CyxObjects
import CyxStorage
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// What crashes leave behind goes in the end, and what is needed never does.
@Suite struct CollectionTests {
    private func world(
        _ storers: Int = 4, _ adjust: (inout ObjectTimings) -> Void = { _ in }
    ) throws -> ObjectWorld {
        var timings = ObjectTimings.hastyCollection
        adjust(&timings)
        let world = try ObjectWorld(storers: storers, upkeep: true, timings: timings)
        try world.createBucket()
        return world
    }

    /// A gateway that dies at any moment of a write, and starts again: nothing of the write is left,
    /// or all of it is there.
    @Test(arguments: [1, 4, 8, 12, 16, 20, 26, 34, 48])
    func aWriteThatDiedLeavesNothing(after milliseconds: Int) throws {
        let world = try world()
        let gateway = world.gateway
        let bytes = noise(2_500_000)
        _ = world.world.spawn(world.gatewayNode.peer) {
            try await gateway.put(
                "key", in: "bucket", options: PutOptions(), body: Pieces(bytes, of: 64 << 10))
        }
        world.world.run(for: .milliseconds(milliseconds))
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(1))
        try world.startGateway()
        world.world.run(for: .seconds(140))
        let listed = try world.perform { try await $0.list("bucket", ListRequest()) }
        if listed.objects.isEmpty {
            // The fence of the write in its head went with the listing above.
            world.world.run(for: .seconds(5))
            #expect(world.rows() == [:])
            #expect(try world.usage() == (0, 0))
        } else {
            #expect(try world.get("key") == bytes)
            #expect(world.rows()[.segments] == 1)
        }
    }

    @Test func aVersionWhoseRemovalWasForgottenIsCollected() throws {
        let world = try world()
        _ = try world.put("key", noise(1_000_000, seed: 1))
        _ = try world.put("gone", noise(900_000, seed: 2))
        let old = Set(world.holders().map(\.segment))
        // The gateway dies before it has removed what these two make superfluous.
        let second = noise(1_100_000, seed: 3)
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                isWrite && key.table == .references && old.contains(SegmentID(key.position))
                    ? .unavailable("slow") : nil
            }
        }
        _ = try world.put("key", second)
        try world.perform { try await $0.delete("gone", in: "bucket") }
        world.gatewayNode.peer.crash()
        world.shared.state.withLock { $0.fault = nil }
        try world.startGateway()
        world.world.run(for: .seconds(60))
        let left = Set(world.holders().map(\.segment))
        #expect(left.count == 1 && left.isDisjoint(with: old))
        #expect(world.rows()[.layouts] == 1)
        #expect(world.rows()[.references] == 1)
        #expect(try world.get("key") == second)
        #expect(throws: ObjectError.noSuchKey) { try world.get("gone") }
    }

    @Test func aVersionWhoseRowsStayedWhenItsGatewayDiedIsCollectedWithThem() throws {
        let world = try world()
        _ = try world.put("gone", noise(900_000))
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                isWrite && key.table == .layouts ? .unavailable("slow") : nil
            }
        }
        try world.perform { try await $0.delete("gone", in: "bucket") }
        world.world.run(for: .seconds(5))
        world.gatewayNode.peer.crash()
        world.shared.state.withLock { $0.fault = nil }
        try world.startGateway()
        world.world.run(for: .seconds(60))
        for table in [TableID.layouts, .segments, .holders, .references] {
            #expect(world.rows()[table] == nil)
        }
        #expect(try world.usage() == (0, 0))
    }

    @Test func whatIsNeededStays() throws {
        let world = try world()
        let bytes = noise(6 << 20, seed: 5)
        _ = try world.put("single", noise(700_000))
        let upload = try world.perform {
            try await $0.createUpload("parts", in: "bucket", options: PutOptions())
        }
        let open = try world.perform {
            try await $0.createUpload("open", in: "bucket", options: PutOptions())
        }
        let parts = try world.perform { gateway in
            let first = try await gateway.putPart(
                1, upload: upload, key: "parts", in: "bucket", body: Pieces(bytes, of: 1 << 20))
            // A part that will not be used.
            _ = try await gateway.putPart(
                2, upload: upload, key: "parts", in: "bucket",
                body: Pieces(noise(50_000), of: 1 << 20))
            return [first]
        }
        let waiting = try world.perform {
            try await $0.putPart(
                1, upload: open, key: "open", in: "bucket", body: Pieces(bytes, of: 1 << 20))
        }
        _ = try world.perform {
            try await $0.completeUpload(
                upload, key: "parts", in: "bucket", parts: parts.map { ($0.number, $0.etag) })
        }
        world.world.run(for: .seconds(60))
        #expect(world.rows()[.segments] == 3)
        #expect(try world.get("single") == noise(700_000))
        #expect(try world.get("parts") == bytes)
        // An upload may wait for as long as its owner likes.
        _ = try world.perform {
            try await $0.completeUpload(
                open, key: "open", in: "bucket", parts: [(waiting.number, waiting.etag)])
        }
        #expect(try world.get("open") == bytes)
        for key in ["single", "parts", "open"] {
            try world.perform { try await $0.delete(key, in: "bucket") }
        }
        world.world.run(for: .seconds(60))
        #expect(try world.usage() == (0, 0))
        // Two heads refuse their uploads, should somebody complete them again.
        #expect(world.rows() == [.heads: 2, .uploads: 1])
        world.world.run(for: .seconds(40))
        _ = try world.perform { try await $0.list("bucket", ListRequest()) }
        world.world.run(for: .seconds(10))
        #expect(world.rows() == [.uploads: 1])
    }

    /// A write that is slower than anybody waits for, before it has made sure of its segment or
    /// before its commit: it is given up, and cannot be committed.
    @Test(arguments: [
        (TableID.segments, false, "collected"), (TableID.heads, true, "given up"),
    ])
    func aWriteThatWasGivenUpCannotBeCommitted(
        table: TableID, isWrite: Bool, reason: String
    ) throws {
        let world = try world()
        world.stallOnce(table, isWrite: isWrite, for: .seconds(45))
        do {
            _ = try world.put("key", noise(300_000, seed: 1))
            Issue.record("it was committed")
        } catch let ObjectError.unavailable(words) {
            #expect(words.contains(reason), "\(words)")
        }
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
        // The name is free for others.
        _ = try world.put("key", noise(5000))
        world.world.run(for: .seconds(30))
        #expect(try world.get("key") == noise(5000))
        #expect(world.rows()[.segments] == 1)
    }

    @Test func anUploadWhoseInterruptedCompletionWasReplacedIsCollected() throws {
        let world = try world()
        let upload = try world.perform {
            try await $0.createUpload("key", in: "bucket", options: PutOptions())
        }
        let parts = try world.perform { gateway in
            let used = try await gateway.putPart(
                1, upload: upload, key: "key", in: "bucket", body: FixedBytes(noise(60_000)))
            _ = try await gateway.putPart(
                2, upload: upload, key: "key", in: "bucket", body: FixedBytes(noise(70_000)))
            return [used]
        }
        // The gateway dies when it has written the head, and before it has marked the upload done.
        let shared = world.shared
        let before = shared.state.withLock { $0.writes.count }
        shared.state.withLock { state in
            state.fault = { key, isWrite in
                let hasHead = shared.writesSince(before, .heads) > 0
                return isWrite && key.table == .uploads && hasHead ? .unavailable("dead") : nil
            }
        }
        #expect(throws: ObjectError.unavailable("dead")) {
            try world.perform { gateway in
                _ = try await gateway.completeUpload(
                    upload, key: "key", in: "bucket", parts: parts.map { ($0.number, $0.etag) })
            }
        }
        shared.state.withLock { $0.fault = nil }
        _ = try world.put("key", noise(80_000, seed: 2))
        world.world.run(for: .seconds(60))
        let left = world.rows()
        #expect(left[.segments] == 1 && left[.uploads] == nil && left[.parts] == nil)
        #expect(try world.get("key") == noise(80_000, seed: 2))
    }

    @Test func aFileThatNobodyKnowsComesBackWhenItsSegmentTurnsUp() throws {
        let world = try world { $0.collection.trash = .seconds(60) }
        let bytes = noise(400_000)
        _ = try world.put("key", bytes)
        let used = try world.usage().used
        let segment = try #require(world.holders().first?.segment)
        let row = ObjectRows.core(segment)
        let lost = world.shared.state.withLock { $0.registers.removeValue(forKey: row) }
        world.world.run(for: .seconds(34))
        #expect(try world.usage().used == 0)
        #expect(try world.usage().trash == used)
        world.shared.state.withLock { $0.registers[row] = lost }
        world.world.run(for: .seconds(5))
        #expect(try world.usage() == (used, 0))
        #expect(try world.get("key") == bytes)
    }

    @Test func piecesOfAnUploadThatARestartInterruptedAreDropped() throws {
        let world = try world(2)
        let node = world.nodes[0]
        let store = world.store(node)
        let key = ShardKey(segment: SegmentID(Digest(1, 2, 3, 4)), index: 0, chunk: 0)
        _ = try world.world.perform(on: node.peer) { try await store.put([(key, [1, 2, 3])]) }
        #expect(try world.usage().used > 0)
        world.world.run(for: .seconds(5))
        #expect(try world.usage() == (0, 0))
    }
}
