import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Writers that would have honest holders blamed.
@Suite struct FramingTests {
    /// A world whose gateway makes parity up.
    private func world() throws -> ObjectWorld {
        let world = try ObjectWorld(storers: 16, audits: true, gatewayWithout: [.codesParity])
        try world.createBucket()
        return world
    }

    /// What is held against anybody: evidence, verdicts, failed audits, distrust.
    private func accusations(_ world: ObjectWorld) throws -> [String] {
        var found = world.shared.state.withLock { state in
            state.merges.filter { $0.key.table == .evidence || $0.key.table == .verdicts }
                .filter { !$0.value.isEmpty }.map { "row \($0.key.table)" }
        }
        for node in world.nodes where node.peer.isRunning {
            guard let auditor = world.auditor(node) else { continue }
            for record in try world.world.perform(on: node.peer, { await auditor.log })
            where record.outcome != .passed && record.outcome != .offline {
                found.append("audit of \(record.peer): \(record.outcome)")
            }
        }
        for node in world.nodes + [world.gatewayNode] {
            let suspects = world.book(node).distrusted(now: world.world.now)
            found += suspects.map { "distrust of \($0)" }
        }
        return found
    }

    @Test func parityThatDecodesToNothingIsNoHoldersFaultAndItsOwnerIsTold() throws {
        let world = try world()
        let bytes = noise(500_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let segment = try #require(world.holders().first?.segment)
        let lost = try #require(world.holders().first { $0.entry.index == 0 })
        world.kill(try #require(world.node(lost.entry.peer)))
        // Custodians try to rebuild shard 0 from what holders were given, and cannot.
        world.world.run(for: .seconds(120))
        #expect(try world.status().full == 0)
        #expect(!world.holders().contains { $0.entry.index == 0 && $0.entry != lost.entry })
        let error = #expect(throws: ObjectError.self) { _ = try world.get("key") }
        #expect("\(error.map { "\($0)" } ?? "")".contains("coded it wrong"))
        #expect("\(error.map { "\($0)" } ?? "")".contains("\(segment)"))
        #expect(try accusations(world) == [])
    }

    @Test func parityThatDecodesToNothingDoesNotSpoilDataShardsThatAreThere() throws {
        let world = try world()
        let bytes = noise(500_000)
        _ = try world.put("key", bytes)
        // So slow a holder that a reader asks for parity as well, and gets that first.
        let slow = try #require(world.holders().first { $0.entry.index == 0 })
        let node = try #require(world.node(slow.entry.peer))
        world.world.links.clog(
            from: node.peer, to: world.gatewayNode.peer, until: world.world.now + .seconds(1))
        #expect(try world.get("key") == bytes)
        #expect(try accusations(world) == [])
    }
}
