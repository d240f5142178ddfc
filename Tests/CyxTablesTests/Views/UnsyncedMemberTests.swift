import CyxCore
import CyxOverlay
import SimulationHarness
import Testing

@testable import CyxTables

/// Members that are in a view and have not all of its rows, and what becomes of them (A3).
@Suite struct UnsyncedMemberTests {
    private static let keys = (0..<10).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
    /// Who is the last to join.
    private static let late = 2

    private static func isolate(_ index: Int, in network: TestNetwork) {
        for other in network.peers.indices where other != index {
            let (one, two) = (network.peers[index].machine, network.peers[other].machine)
            network.world.links.block(from: one, to: two)
            network.world.links.block(from: two, to: one)
        }
    }

    private func replicas(_ network: TestNetwork, _ index: Int) throws -> [Replica] {
        try network.perform(on: index) { tables in
            await tables.replicas.values.sorted { $0.partition < $1.partition }
        }
    }

    /// Three peers in the view of one partition. The third was stopped when it had entered and had none
    /// of the rows yet, and left by all that the others know: they keep nothing for it.
    private func network(seed: UInt64) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: 3, depth: 0) {
            $0.lessonRowsMin = 1000
            $0.partitionBytesMax = 16 << 10
            $0.splitsMax = 1
        }
        network.world.links.change { $0.latency = .milliseconds(5) }
        for index in 0..<2 { network.start(index) }
        #expect(try network.converge(forPeers: 2) == [])
        for key in Self.keys { try network.write(key, [1], on: 0) }
        network.start(Self.late)
        var isIn = false
        for _ in 0..<10_000 where !isIn {
            network.world.run(for: .milliseconds(1))
            isIn = try replicas(network, Self.late).contains { !$0.isSynced }
        }
        #expect(isIn)
        Self.isolate(Self.late, in: network)
        network.world.run(for: .milliseconds(100))
        network.crash(Self.late)
        network.directory.change(network.peers[Self.late].id, to: .left, at: network.world.now)
        network.world.run(for: .seconds(10))
        let held = try replicas(network, 0)
        #expect(held.count == 1 && held[0].isAtRest && held[0].view.members.count == 3)
        return network
    }

    @Test func whoComesBackAfterNobodyWaitedForItGetsTheRows() throws {
        let network = try network(seed: 1)
        try network.write(Self.keys[0], [2], on: 0)
        network.world.links.heal()
        network.restart(Self.late)
        network.world.run(for: .seconds(10))
        let held = try replicas(network, Self.late)
        #expect(held.count == 1 && held[0].isAtRest && held[0].view.members.count == 3)
        #expect(held.map(\.view) == (try replicas(network, 0)).map(\.view))
        let digests = try [0, 1, Self.late].map { index in
            try network.perform(on: index) { try await $0.rowsDigest(around: .zero) }
        }
        #expect(Set(digests).count == 1)
        network.crash(1)
        #expect(try network.perform(on: Self.late) { try await $0.read(Self.keys[0]) }.value == [2])
    }

    @Test func whoHadNotAllRowsOfAPartitionThatSplitPullsThoseOfItsParts() throws {
        let network = try network(seed: 2)
        network.restart(Self.late)
        for key in Self.keys {
            try network.write(key, [UInt8](repeating: 2, count: 4096), on: 0)
        }
        network.world.run(for: .seconds(20))
        #expect(try network.partitions(on: 0).count == 2)
        #expect(try replicas(network, Self.late).map(\.isSynced) == [false])
        let before = pulled(network)
        network.world.links.heal()
        network.world.run(for: .seconds(20))
        let held = try replicas(network, Self.late)
        #expect(held.count == 2 && held.allSatisfy { $0.isAtRest && $0.partition.depth == 1 })
        #expect(pulled(network) - before >= UInt64(Self.keys.count))
    }

    @Test func whoHadAllRowsOfAPartitionThatSplitHasAllOfItsParts() throws {
        let network = TestNetwork(seed: 3, peers: 3, depth: 0) {
            $0.partitionBytesMax = 16 << 10
            $0.splitsMax = 1
        }
        for index in 0..<3 { network.start(index) }
        #expect(try network.converge(forPeers: 3) == [])
        for key in Self.keys {
            try network.write(key, [UInt8](repeating: 2, count: 4096), on: 0)
        }
        // Whoever asked another for something would wait for eighty looks.
        network.world.links.change { $0.latency = .milliseconds(200) }
        var looks = 0
        var haveSplit = false
        while !haveSplit, looks < 10_000 {
            network.world.run(for: .milliseconds(5))
            looks += 1
            let held = try (0..<3).map { try replicas(network, $0) }
            #expect(held.allSatisfy { $0.allSatisfy(\.isSynced) })
            haveSplit = held.allSatisfy { $0.count == 2 && $0.allSatisfy(\.isServing) }
        }
        #expect(haveSplit)
    }

    private func pulled(_ network: TestNetwork) -> UInt64 {
        network.peers[Self.late].machine.environment.metrics.counter(
            "cyxcloud_table_pulled_rows_total", [("while", "sealed")]
        ).value
    }
}
