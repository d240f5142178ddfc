import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

@Suite struct RepairTests {
    @Test func lostShardsAreRebuiltElsewhereTwice() throws {
        let world = try ObjectWorld(storers: 22)
        try world.createBucket()
        let bytes = noise(6_000_000)
        _ = try world.put("one", bytes)
        _ = try world.put("two", noise(300_000, seed: 2))
        #expect(try world.runUntilFull(segments: 2))
        for node in world.nodes.suffix(4) { world.kill(node) }
        #expect(try world.runUntilFull(segments: 2))
        for node in world.nodes.dropFirst(6).prefix(4) { world.kill(node) }
        #expect(try world.get("one") == bytes)
        #expect(try world.runUntilFull(segments: 2))
        #expect(try world.get("two") == noise(300_000, seed: 2))
        for holder in world.holders() {
            #expect(world.node(holder.entry.peer)?.peer.isRunning == true)
        }
        #expect(try world.status().repairedBytes > 0)
    }

    @Test(arguments: [(lost: 1, urgency: CallUrgency.background), (3, .foreground)])
    func onlyRepairOfTheEndangeredTakesBandwidthFromClients(
        lost: Int, urgency: CallUrgency
    ) throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        #expect(try world.runUntilFull(segments: 1))
        world.calls.clear()
        let holders = Set(world.holders().map(\.entry.peer)).sorted()
        // Not the custodians.
        let custodians = Set(world.nodes.prefix(5).map(\.id))
        for peer in holders.filter({ !custodians.contains($0) }).suffix(lost) {
            world.kill(try #require(world.node(peer)))
        }
        #expect(try world.runUntilFull(segments: 1))
        // Shards of 100 kB; besides there are only short questions.
        let other: CallUrgency = urgency == .background ? .foreground : .background
        #expect(world.calls.bytes(urgency) >= lost * 100_000)
        #expect(world.calls.bytes(other) < 50_000)
    }

    /// Their own copies of the rows tell custodians what there is; what they do follows from a quorum's.
    @Test func watchingAsksNobodyAndRepairAsksAQuorum() throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        world.shared.state.withLock { state in
            state.fault = { _, isWrite in isWrite ? nil : .unavailable("cut off") }
        }
        #expect(try world.runUntilFull(segments: 1))
        let custodians = Set(world.nodes.prefix(5).map(\.id))
        let holder = try #require(
            world.holders().map(\.entry.peer).first { !custodians.contains($0) })
        world.kill(try #require(world.node(holder)))
        world.world.run(for: .seconds(60))
        #expect(try world.status().repairedBytes == 0)
        world.shared.state.withLock { $0.fault = nil }
        #expect(try world.runUntilFull(segments: 1))
        #expect(try world.status().repairedBytes > 0)
    }

    @Test func shardsOfPeersThatAreAwayAreWaitedForAsLongAsALossCanBeBorne() throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        let bytes = noise(2_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let before = try world.status().repairedBytes
        let holders = Array(Set(world.holders().map(\.entry.peer))).sorted()
        func goAway(_ peers: ArraySlice<PeerID>) {
            for peer in peers {
                world.node(peer)?.peer.crash()
                world.members.mark(peer, .away)
            }
        }
        goAway(holders[3..<6])
        world.world.run(for: .seconds(60))
        #expect(try world.status().repairedBytes == before)
        #expect(try world.get("key") == bytes)
        // A fourth leaves nothing to spare.
        goAway(holders[6..<7])
        world.world.run(for: .seconds(60))
        #expect(try world.status().repairedBytes > before)
        #expect(try world.get("key") == bytes)
    }

    @Test func holdersThatAPartialViewDoesNotHoldAreNotRebuiltBeforeTheyWereAskedAfter() throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        #expect(try world.runUntilFull(segments: 1))
        let custodians = world.nodes.prefix(5)
        let holders = Set(world.holders().map(\.entry.peer)).subtracting(custodians.map(\.id))
        let hidden = Set(holders.sorted().prefix(4))
        world.members.hide(hidden)
        // Custodians that know of nobody from before.
        for custodian in custodians {
            custodian.peer.crash()
            custodian.peer.restart()
        }
        world.world.run(for: .seconds(100))
        #expect(try world.status().repairedBytes == 0)
        world.members.giveUp(hidden)
        world.world.run(for: .seconds(300))
        #expect(try world.status().repairedBytes > 0)
    }

    @Test func theSecondCustodianTakesOverFromTheFirst() throws {
        let world = try ObjectWorld(storers: 18)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        #expect(try world.runUntilFull(segments: 1))
        // Rank 0 and 1 of every row.
        for node in world.nodes.prefix(2) { world.kill(node) }
        #expect(try world.runUntilFull(segments: 1))
        let before = world.holders().map(\.entry)
        // One more of five, and those that are left may be the ones that are cut off.
        let holders = Set(before.map(\.peer))
        world.kill(world.nodes[2])
        for node in world.nodes.dropFirst(5).filter({ holders.contains($0.id) }).prefix(2) {
            world.kill(node)
        }
        world.world.run(for: .seconds(60))
        #expect(world.holders().map(\.entry) == before)
        #expect(try world.status().full == 0)
    }

    @Test func aCustodianThatKnowsMoreThanWhoClaimedDoesTheRestAtOnce() throws {
        let world = try ObjectWorld(storers: 18)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        #expect(try world.runUntilFull(segments: 1))
        // Rank 0 and 1 of every row find another bad shard each, and the first claims the segment.
        let found = [world.holders()[3], world.holders()[7]]
        for (node, holder) in zip(world.nodes, found) {
            let repairer = try #require(world.repairer(node))
            let shard = ShardID(segment: holder.segment, index: holder.entry.index)
            try world.world.perform(on: node.peer) {
                await repairer.auditFailed(shard, at: holder.entry.peer)
            }
        }
        // The second begins 5 s after the first; a claim lasts 20 s at most.
        world.world.run(for: .seconds(9))
        let entries = world.holders().map(\.entry)
        for holder in found { #expect(!entries.contains(holder.entry)) }
        #expect(Set(entries.map(\.index)).count == 14 && entries.count == 14)
    }

    @Test func whoCannotReadTheRowsAnyMoreStoresNothing() throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        _ = try world.put("key", noise(1_000_000))
        #expect(try world.runUntilFull(segments: 1))
        let before = world.holders().map(\.entry)
        world.calls.clear()
        world.shared.state.withLock {
            $0.fault = { _, _ in .unavailable("2 of 5 custodians answered, 3 are needed") }
        }
        // Not the custodians.
        let custodians = Set(world.nodes.prefix(5).map(\.id))
        let holders = Set(before.map(\.peer)).subtracting(custodians).sorted()
        for peer in holders.suffix(3) { world.kill(try #require(world.node(peer))) }
        world.world.run(for: .seconds(90))
        // Shards of 100 kB; besides there are only short questions.
        #expect(world.calls.bytes(.foreground) + world.calls.bytes(.background) < 50_000)
        world.shared.state.withLock { $0.fault = nil }
        #expect(try world.runUntilFull(segments: 1))
        #expect(world.holders().map(\.entry) != before)
    }

    @Test func aSegmentThatLiesBadlyIsSpreadAgain() throws {
        // Fourteen peers in two zones take seven shards each; a third and a fourth zone join.
        let world = try ObjectWorld(storers: 14, zones: 2)
        try world.createBucket()
        let bytes = noise(2_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        for number in 0..<8 { try world.addStorer(zone: "late\(number % 2)") }
        world.world.run(for: .seconds(240))
        let zones = world.members.state.withLock { $0.members.mapValues(\.info.zone) }
        let counts = Dictionary(grouping: world.holders()) { zones[$0.entry.peer] ?? "" }
        #expect(Set(world.holders().map(\.entry.index)).count == 14)
        #expect(counts.values.allSatisfy { $0.count <= 4 })
        #expect(try world.get("key") == bytes)
    }

    @Test func aReturningPeerTakesPartAgain() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        let bytes = noise(2_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let node = world.nodes[9]
        world.kill(node)
        world.world.run(for: .seconds(5))
        let during = try world.status()
        #expect(during.degraded == 1 && during.full == 0)
        node.peer.restart()
        #expect(try world.runUntilFull(segments: 1))
        #expect(try world.get("key") == bytes)
    }

    @Test func sparesDoNotKeepAMissingShardFromBeingRebuilt() throws {
        let world = try ObjectWorld(storers: 8)
        try world.createBucket()
        let bytes = noise(2_000_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let row = ObjectRows.holders(try #require(world.holders().first).segment)
        let first = world.shared.state.withLock { $0.merges[row] ?? [:] }
        // Each comes back after its shard was rebuilt elsewhere, and is a spare.
        for peer in world.holders().map(\.entry.peer).prefix(2) {
            let node = try #require(world.node(peer))
            world.kill(node)
            #expect(try world.runUntilFull(segments: 1))
            node.peer.restart()
            world.world.run(for: .seconds(2))
        }
        world.shared.state.withLock { $0.merges[row]?.merge(first) { $1 } }
        world.world.run(for: .seconds(20))
        #expect(Set(world.holders().map(\.entry.peer)).count == 8)
        let lost = try #require(
            world.holders().first { holder in
                world.holders().count { $0.entry.index == holder.entry.index } == 1
            })
        world.kill(try #require(world.node(lost.entry.peer)))
        world.world.run(for: .seconds(60))
        let left = world.holders().map(\.entry).filter { $0.peer != lost.entry.peer }
        #expect(left.contains { $0.index == lost.entry.index })
        #expect(try world.get("key") == bytes)
    }

    @Test func objectsAreRecodedAsTheNetworkGrows() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        let bytes = noise(3_000_000)
        let first = try world.put("key", bytes)
        #expect(first.redundancy == "rs(1,0)")
        for _ in 0..<13 {
            try world.addStorer()
            world.world.run(for: .seconds(8))
            #expect(try world.get("key") == bytes)
        }
        let last = try world.perform { try await $0.head("key", in: "bucket") }
        #expect(last.redundancy == "rs(10,4)")
        #expect(last.cid == first.cid)
        #expect(last.etag == first.etag)
        #expect(try world.runUntilFull(segments: 1))
        world.world.run(for: .seconds(20))
        // Old segments are gone: what is stored is one object, 10+4.
        var pieces: Int64 = 0
        for node in world.nodes {
            let store = world.store(node)
            pieces += try world.world.perform(on: node.peer) { await store.usage }.used
        }
        #expect(pieces < 3_000_000 * 15 / 10)
    }

    @Test func whereAnObjectLiesIsKnownAfterAnotherGatewayHasRecodedIt() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        _ = try world.put("key", noise(100_000))
        let (peer, gateway) = world.addReader()
        let placement = {
            try world.world.perform(on: peer) {
                try await gateway.placement(of: "key", in: "bucket")
            }
        }
        #expect(try placement().map(\.code.shards) == [1])
        for _ in 0..<2 { try world.addStorer() }
        world.world.run(for: .seconds(60))
        let head = try world.perform { try await $0.head("key", in: "bucket") }
        #expect(head.redundancy == "rs(1,2)")
        #expect(try placement().map(\.holders.count) == [3])
    }
}
