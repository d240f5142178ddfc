import CyxCore
import CyxObjects
import CyxOverlay
import CyxTables
import SimulationHarness
import Synchronization
import Testing

@Suite struct DepartureTests {
    private func entries(_ world: ObjectWorld, of node: ObjectWorld.Node) -> Int {
        world.holders().count { $0.entry.peer == node.id }
    }

    private func status(
        _ world: ObjectWorld, _ node: ObjectWorld.Node
    ) throws -> DepartureStatus {
        let departure = world.departure(node)
        return try world.world.perform(on: node.peer) { await departure.status }
    }

    private func begin(
        _ world: ObjectWorld, _ node: ObjectWorld.Node, successor: PeerID? = nil
    ) throws {
        let departure = world.departure(node)
        try world.world.perform(on: node.peer) {
            try await departure.begin(.drain, successor: successor)
        }
    }

    private func runUntilHandedOver(
        _ world: ObjectWorld, _ node: ObjectWorld.Node, limit: Int = 60
    ) throws -> Bool {
        for _ in 0..<limit {
            world.world.run(for: .seconds(1))
            if try status(world, node).phase == .handedOver { return true }
        }
        return false
    }

    /// A world with three objects, and a peer that holds something of all of them.
    private func world(storers: Int = 18) throws -> (ObjectWorld, ObjectWorld.Node) {
        let world = try ObjectWorld(storers: storers)
        try world.createBucket()
        for number in 0..<3 {
            _ = try world.put("key\(number)", noise(2_000_000, seed: UInt64(number + 1)))
        }
        #expect(try world.runUntilFull(segments: 3))
        let counts = Dictionary(grouping: world.holders(), by: \.entry.peer).mapValues(\.count)
        // Not one of the custodians, of which a majority must stay.
        let node = world.nodes.dropFirst(5).max { (counts[$0.id] ?? 0) < (counts[$1.id] ?? 0) }
        return (world, try #require(node))
    }

    @Test func whoLeavesCopiesItsShardsAndNothingIsRebuilt() throws {
        let (world, node) = try world()
        let held = entries(world, of: node)
        #expect(held > 0)
        try begin(world, node)
        #expect(try runUntilHandedOver(world, node))
        let status = try status(world, node)
        #expect(status.shards == held && status.shardsLeft == 0)
        #expect(status.bytes == status.bytesHandedOver && status.bytes > 0)
        #expect(entries(world, of: node) == 0)
        world.kill(node)
        #expect(try world.runUntilFull(segments: 3))
        #expect(try world.status().repairedBytes == 0)
        for number in 0..<3 {
            #expect(try world.get("key\(number)") == noise(2_000_000, seed: UInt64(number + 1)))
        }
    }

    @Test func aSuccessorGetsEverythingThatItMayHold() throws {
        let (world, node) = try world()
        let held = entries(world, of: node)
        let newcomer = try world.addStorer()
        try begin(world, node, successor: newcomer.id)
        #expect(try runUntilHandedOver(world, node))
        #expect(entries(world, of: newcomer) == held)
    }

    @Test func anInterruptedDepartureGoesOnAfterARestart() throws {
        let (world, node) = try world()
        try begin(world, node)
        node.peer.crash()
        world.members.mark(node.id, .dead)
        world.world.run(for: .milliseconds(200))
        node.peer.restart()
        #expect(try runUntilHandedOver(world, node))
        #expect(entries(world, of: node) == 0)
    }

    private func setDraining(_ world: ObjectWorld, _ nodes: [ObjectWorld.Node], _ isDraining: Bool)
    {
        for node in nodes {
            FakeMembership(node.id, world.members).announce { $0.isDraining = isDraining }
        }
    }

    @Test func whoNobodyCanReplaceStaysAndSaysWhy() throws {
        let (world, node) = try world(storers: 14)
        let held = entries(world, of: node)
        let others = world.nodes.filter { $0.id != node.id }
        setDraining(world, others, true)
        try begin(world, node)
        world.world.run(for: .seconds(20))
        let stuck = try status(world, node)
        #expect(stuck.phase == .stuck && stuck.shardsLeft == held && stuck.problem != nil)
        #expect(entries(world, of: node) == held)
        setDraining(world, others, false)
        #expect(try runUntilHandedOver(world, node))
        #expect(entries(world, of: node) == 0)
    }

    @Test func whoHoldsRowsStaysUntilNobodyNeedsThem() throws {
        let (world, node) = try world()
        world.shared.state.withLock { $0.held = 3 }
        try begin(world, node)
        #expect(try !runUntilHandedOver(world, node))
        let waiting = try status(world, node)
        #expect(waiting.phase == .stuck && waiting.shardsLeft == 0 && waiting.partitionsLeft == 3)
        #expect(waiting.problem?.contains("rows of 3 partitions") == true)
        world.shared.state.withLock { $0.held = 0 }
        #expect(try runUntilHandedOver(world, node))
        #expect(try status(world, node).problem == nil)
    }

    @Test func whereNobodyElseIsLeftPeersTakeASecondShard() throws {
        // Fourteen peers hold fourteen shards: there is no fifteenth.
        let (world, node) = try world(storers: 14)
        try begin(world, node)
        #expect(try runUntilHandedOver(world, node))
        let segments = Dictionary(grouping: world.holders(), by: \.segment)
        #expect(segments.count == 3)
        for (_, holders) in segments {
            #expect(Set(holders.map(\.entry.index)).count == 14)
            let counts = Dictionary(grouping: holders, by: \.entry.peer).mapValues(\.count)
            #expect(counts.count == 13 && counts.values.max() == 2 && counts[node.id] == nil)
        }
        world.kill(node)
        for number in 0..<3 {
            #expect(try world.get("key\(number)") == noise(2_000_000, seed: UInt64(number + 1)))
        }
    }

    @Test func whatTooFewPeersAreLeftForGetsANarrowerCode() throws {
        let (world, _) = try world(storers: 14)
        for node in world.nodes.dropFirst(6) {
            try begin(world, node)
            #expect(try runUntilHandedOver(world, node))
            world.members.mark(node.id, .left)
            node.peer.crash()
        }
        // Six are left: three of fourteen shards with one peer are more than it may lose.
        world.world.run(for: .seconds(60))
        for number in 0..<3 {
            let head = try world.perform { try await $0.head("key\(number)", in: "bucket") }
            #expect(head.redundancy == "rs(4,2)")
            #expect(try world.get("key\(number)") == noise(2_000_000, seed: UInt64(number + 1)))
        }
    }

    @Test func whoFindsNoRoomInRowsIsRelievedByCustodians() throws {
        let (world, node) = try world()
        let held = entries(world, of: node)
        world.shared.state.withLock { $0.withoutRoom = [node.id] }
        // Who stays and complains is not believed.
        let shard = try #require(world.holders().first { $0.entry.peer == node.id })
        let custodian = try #require(world.shared.state.withLock { $0.custodians.first })
        let messaging = try #require(world.messaging(node))
        let report = ReportSegmentRequest(
            segment: shard.segment.bytes, peer: node.id.bytes, index: UInt32(shard.entry.index))
        try world.world.perform(on: node.peer) {
            _ = try await messaging.call(
                custodian, .reportSegment, report.protobufBytes(), timeout: .seconds(5))
        }
        world.world.run(for: .seconds(20))
        #expect(entries(world, of: node) == held)
        try begin(world, node)
        #expect(try runUntilHandedOver(world, node))
        #expect(entries(world, of: node) == 0)
        world.kill(node)
        #expect(try world.runUntilFull(segments: 3))
        #expect(try world.status().repairedBytes == 0)
    }

    @Test func aRottenShardOfWhoLeavesIsRebuiltWithoutWaitingForAScrub() throws {
        let (world, node) = try world()
        let held = entries(world, of: node)
        let shard = try #require(world.holders().first { $0.entry.peer == node.id })
        try world.flipABit(of: shard.segment, index: shard.entry.index, at: node)
        try begin(world, node)
        #expect(try runUntilHandedOver(world, node))
        #expect(entries(world, of: node) == 0 && held > 0)
        #expect(try world.status().repairedBytes > 0)
    }

    @Test func whoStaysAfterAllKeepsTheRestAndTakesNewShards() throws {
        let (world, node) = try world(storers: 14)
        try begin(world, node)
        let departure = world.departure(node)
        try world.world.perform(on: node.peer) { try await departure.cancel() }
        try world.addStorer()
        let held = entries(world, of: node)
        world.world.run(for: .seconds(30))
        #expect(entries(world, of: node) == held)
        let snapshot = world.members.snapshot(of: node.id)
        #expect(snapshot.stayingStorers.contains { $0.peer == node.id })
    }
}
