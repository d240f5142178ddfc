import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

@Suite struct FaultTests {
    private func stored(
        storers: Int = 14, bytes: [UInt8], seed: UInt64 = 1
    ) throws -> ObjectWorld {
        let world = try ObjectWorld(storers: storers, seed: seed)
        try world.createBucket()
        _ = try world.put("key", bytes)
        return world
    }

    @Test func fourOfFourteenHoldersMayBeDead() throws {
        let bytes = noise(5_000_000)
        let world = try stored(bytes: bytes)
        for node in world.nodes.prefix(4) { world.kill(node) }
        #expect(try world.get("key") == bytes)
        #expect(try world.get("key", .from(2_000_000, through: 2_000_009)).count == 10)
    }

    @Test func holdersThatDiedUnnoticedAreReplacedInMidRead() throws {
        let bytes = noise(5_000_000)
        let world = try stored(bytes: bytes)
        for node in world.nodes.prefix(4) { node.peer.crash() }
        #expect(try world.get("key") == bytes)
    }

    @Test func fiveOfFourteenAreTooManyAndSaidSo() throws {
        let world = try stored(bytes: noise(2_000_000))
        for node in world.nodes.prefix(5) { world.kill(node) }
        #expect {
            _ = try world.get("key")
        } throws: { error in
            if case .unavailable? = error as? ObjectError { true } else { false }
        }
    }

    @Test func aReadThatAnOverwriteOvertakesFindsTheNewVersion() throws {
        let world = try ObjectWorld(storers: 6)
        try world.createBucket()
        _ = try world.put("key", noise(50_000))
        // One that has nothing of it in memory.
        try world.startGateway()
        let environment = world.gatewayNode.peer.environment
        let isFirst = Mutex(true)
        world.shared.state.withLock {
            $0.stall = { key, isWrite in
                let isStalled = isFirst.withLock { isFirst in
                    guard isFirst, !isWrite, key.table == .layouts else { return false }
                    isFirst = false
                    return true
                }
                guard isStalled else { return }
                do { try await environment.sleep(for: .seconds(5)) } catch {}
            }
        }
        let read = try world.perform { gateway in
            async let body = gateway.get("key", in: "bucket", range: .whole)
            try await environment.sleep(for: .seconds(1))
            _ = try await gateway.put(
                "key", in: "bucket", options: PutOptions(),
                body: Pieces(noise(60_000, seed: 2), of: 1 << 20))
            return try await body.info.size
        }
        #expect(read == 60_000)
    }

    @Test func garbageFromAHolderIsNeverReturnedAndItsShardIsReplaced() throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 15, bytes: bytes)
        let first = try #require(world.holders().first)
        let liar = try #require(world.node(first.entry.peer))
        world.override(liar, .readShard) { _, request in
            let request = try ReadShardRequest(protobuf: request)
            return ReadShardResponse(
                data: [UInt8](repeating: 9, count: Int(request.length)), proof: []
            ).protobufBytes()
        }
        #expect(try world.get("key") == bytes)
        world.world.run(for: .seconds(30))
        let entries = world.holders().filter { $0.entry.index == first.entry.index }
        #expect(entries.count == 1)
        #expect(entries.first?.entry.peer != liar.id)
    }

    /// Answers reads at `liar` with as many wrong bytes; returns how often that was.
    private func lie(_ world: ObjectWorld, _ liar: ObjectWorld.Node) -> Tally {
        let tally = Tally()
        world.override(liar, .readShard) { _, request in
            tally.count.withLock { $0 += 1 }
            let request = try ReadShardRequest(protobuf: request)
            return ReadShardResponse(
                data: [UInt8](repeating: 9, count: Int(request.length)), proof: []
            ).protobufBytes()
        }
        return tally
    }

    private final class Tally: Sendable {
        let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
    }

    @Test func twoLiarsAreNotGivenAShardInTurns() throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 16, bytes: bytes)
        let index = try #require(world.holders().first).entry.index
        var liars: Set<PeerID> = []
        for _ in 0..<2 {
            let entry = try #require(world.holders().first { $0.entry.index == index }).entry
            #expect(liars.insert(entry.peer).inserted)
            let tally = lie(world, try #require(world.node(entry.peer)))
            #expect(try world.get("key") == bytes)
            // A holder that the reader has not heard of yet is not asked.
            #expect(tally.value > 0)
            world.world.run(for: .seconds(30))
        }
        let entries = world.holders().filter { $0.entry.index == index }
        #expect(entries.count == 1)
        #expect(!liars.contains(try #require(entries.first).entry.peer))
    }

    @Test func aSegmentOfWhichTooManyHoldersLiedIsNotGivenUp() throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 15, bytes: bytes)
        let custodians = Set(world.nodes.prefix(5).map(\.id))
        let others = world.holders().map(\.entry.peer).filter { !custodians.contains($0) }
        // One more than can be spared.
        let liars = others.prefix(5).compactMap(world.node)
        for liar in liars { _ = lie(world, liar) }
        #expect(throws: (any Error).self) { try world.get("key") }
        world.world.run(for: .seconds(30))
        #expect(try world.status().lost == 1)
        // From now on they give what they have.
        for liar in liars {
            liar.peer.crash()
            liar.peer.restart()
        }
        #expect(try world.runUntilFull(segments: 1))
        #expect(try world.get("key") == bytes)
    }

    @Test(arguments: [[0, 1], [1, 0]])
    func whoHasABadShardIsTheLastToGetItAgain(indices: [Int]) throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 15, bytes: bytes)
        var bad: [HolderEntry] = []
        // One peer is free: it takes the first liar's shard, and then only the liars are left.
        for index in indices {
            let entry = try #require(world.holders().first { $0.entry.index == index }).entry
            bad.append(entry)
            _ = lie(world, try #require(world.node(entry.peer)))
            #expect(try world.get("key") == bytes)
            world.world.run(for: .seconds(30))
        }
        let entries = world.holders().map(\.entry)
        #expect(Set(entries.map(\.index)).count == 14)
        #expect(entries.first { $0.index == bad[1].index }?.peer == bad[0].peer)
    }

    @Test func whoHadABadShardGetsAnotherBeforeAZoneKeepsTooMuch() throws {
        let bytes = noise(3_000_000)
        // Three zones of five, each of which may hold five of fourteen shards.
        let world = try ObjectWorld(storers: 15, zones: 3)
        try world.createBucket()
        _ = try world.put("key", bytes)
        let zone = { (node: ObjectWorld.Node) in
            world.members.snapshot(of: node.id).members[node.id]?.info.zone
        }
        let holders = { Set(world.holders().map(\.entry.peer)) }
        let free = try #require(world.nodes.first { !holders().contains($0.id) })
        let others = world.nodes.filter { zone($0) != zone(free) }
        let liar = try #require(others.first)
        _ = lie(world, liar)
        #expect(try world.get("key") == bytes)
        world.world.run(for: .seconds(30))
        #expect(!holders().contains(liar.id) && holders().contains(free.id))
        // One from its zone moves into the third, which has six of fourteen then, and room is at
        // the liar alone.
        let mover = try #require(others.first { $0.id != liar.id && zone($0) == zone(liar) })
        let third = try #require(others.first { zone($0) != zone(liar) }.flatMap(zone))
        FakeMembership(mover.id, world.members).announce { $0.zone = third }
        world.world.run(for: .seconds(60))
        #expect(holders().contains(liar.id))
        let inThird = try holders().filter { try zone(#require(world.node($0))) == third }
        #expect(inThird.count == 5)
    }

    @Test func whoLiedIsAskedLastForAWhile() throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 14, bytes: bytes)
        let first = try #require(world.holders().first)
        let tally = lie(world, try #require(world.node(first.entry.peer)))
        #expect(try world.get("key") == bytes)
        let once = tally.value
        #expect(once > 0)
        for _ in 0..<5 { #expect(try world.get("key") == bytes) }
        #expect(tally.value == once)
        world.world.run(for: .seconds(90))
        let before = tally.value
        #expect(try world.get("key") == bytes)
        #expect(tally.value > before)
    }

    @Test func aBadShardThatRepairMeetsIsReplacedToo() throws {
        let bytes = noise(3_000_000)
        let world = try stored(storers: 17, bytes: bytes)
        #expect(try world.runUntilFull(segments: 1))
        let holders = world.holders()
        let liar = try #require(world.node(holders[0].entry.peer))
        _ = lie(world, liar)
        world.kill(try #require(world.node(holders[3].entry.peer)))
        world.world.run(for: .seconds(30))
        #expect(try world.runUntilFull(segments: 1))
        let after = world.holders()
        #expect(after.filter { $0.entry.index == 0 }.map(\.entry.peer) != [liar.id])
        #expect(Set(after.map(\.entry.index)).count == 14)
    }

    @Test func aHolderThatHangsCostsAHedge() throws {
        let bytes = noise(3_000_000)
        let world = try stored(bytes: bytes)
        let first = try #require(world.holders().first)
        let hanging = try #require(world.node(first.entry.peer))
        world.override(hanging, .readShard) { _, _ in
            try await hanging.peer.environment.sleep(for: .seconds(3600))
            return []
        }
        let start = world.world.now
        #expect(try world.get("key") == bytes)
        #expect(world.world.now - start < .seconds(2))
    }

    @Test func flippedBitsInAStoreAreFoundAndMended() throws {
        let bytes = noise(3_000_000)
        let world = try stored(bytes: bytes)
        let first = try #require(world.holders().first)
        let node = try #require(world.node(first.entry.peer))
        try world.flipABit(of: first.segment, index: first.entry.index, at: node)
        #expect(try world.get("key") == bytes)
        // All fourteen peers hold a shard, so that only the same peer can take it again.
        world.world.run(for: .seconds(30))
        let after = world.holders().filter { $0.entry.index == first.entry.index }
        #expect(after.count == 1)
        #expect(after.first?.entry.peer == node.id)
        #expect(after.first?.entry.receiptHash != first.entry.receiptHash)
        #expect(try world.get("key") == bytes)
    }

    @Test func holdersThatFailDuringAWriteAreReplacedOrMadeGood() throws {
        let world = try ObjectWorld(storers: 16)
        try world.createBucket()
        for node in world.nodes.prefix(3) { node.peer.crash() }
        let bytes = noise(3_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.get("key") == bytes)
        #expect(Set(world.holders().map(\.entry.index)).count >= 12)
    }

    @Test func aWriteThatLosesThreeHoldersHalfwayIsStillFullyDurable() throws {
        let world = try ObjectWorld(storers: 16)
        try world.createBucket()
        let bytes = noise(20 << 20)
        let gateway = world.gateway
        let task = world.world.spawn(world.gatewayNode.peer) {
            try await gateway.put(
                "key", in: "bucket", options: PutOptions(), body: Pieces(bytes, of: 1 << 20))
        }
        world.world.run(for: .milliseconds(30))
        for node in world.nodes.prefix(3) { node.peer.crash() }
        _ = try world.world.wait(task)
        #expect(Set(world.holders().map(\.entry.index)).count >= 12)
        for node in world.nodes.prefix(3) { world.members.mark(node.id, .dead) }
        #expect(try world.get("key") == bytes)
    }

    @Test func aBodyThatFailsLeavesNothing() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        #expect(throws: Pieces.BodyError.self) {
            try world.perform { gateway in
                _ = try await gateway.put(
                    "key", in: "bucket", options: PutOptions(),
                    body: Pieces(noise(9 << 20), of: 1 << 20, failingAfter: 8 << 20))
            }
        }
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
        world.world.run(for: .seconds(30))
        for node in world.nodes {
            let store = world.store(node)
            #expect(try world.world.perform(on: node.peer) { await store.usage }.shards == 0)
        }
    }

    @Test(arguments: [3_000_001, 2_999_999])
    func aBodyOfAnotherLengthThanAnnouncedIsRefused(announced: UInt64) throws {
        let world = try ObjectWorld(storers: 3)
        try world.createBucket()
        var options = PutOptions()
        options.size = announced
        #expect(throws: ObjectError.bodyLength(expected: announced, actual: 3_000_000)) {
            _ = try world.put("key", noise(3_000_000), options: options)
        }
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
    }

    @Test(arguments: [TableID.segments, .holders, .layouts, .heads])
    func aRowThatCannotBeWrittenFailsThePutAndShowsNothing(table: TableID) throws {
        let world = try ObjectWorld(storers: 6)
        try world.createBucket()
        _ = try world.put("key", noise(10_000, seed: 5))
        world.shared.state.withLock {
            $0.fault = { key, isWrite in
                isWrite && key.table == table ? .unavailable("no quorum") : nil
            }
        }
        #expect(throws: ObjectError.unavailable("no quorum")) {
            _ = try world.put("key", noise(2_000_000))
        }
        world.shared.state.withLock { $0.fault = nil }
        #expect(try world.get("key") == noise(10_000, seed: 5))
    }

    @Test func aGatewayKilledAtAnyMomentShowsAllOrNothing() throws {
        for milliseconds in [1, 3, 5, 8, 12, 16, 20, 30, 60] {
            let world = try ObjectWorld(storers: 6)
            try world.createBucket()
            let bytes = noise(4_000_000)
            let gateway = world.gateway
            let task = world.world.spawn(world.gatewayNode.peer) {
                try await gateway.put(
                    "key", in: "bucket", options: PutOptions(), body: Pieces(bytes, of: 1 << 16))
            }
            world.world.run(for: .milliseconds(milliseconds))
            let isAcknowledged = task.result != nil
            world.gatewayNode.peer.crash()
            try world.startGateway()
            do {
                #expect(try world.get("key") == bytes)
            } catch let error as ObjectError {
                #expect(error == .noSuchKey)
                #expect(!isAcknowledged)
            }
            #expect(try world.put("key", bytes).size == 4_000_000)
        }
    }
}
