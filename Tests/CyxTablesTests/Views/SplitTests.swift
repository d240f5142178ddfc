import CyxCore
import SimulationHarness
import Testing

@testable import CyxTables

/// Partitions that split while rows in them are read and written (A2).
@Suite struct SplitTests {
    private static let keys = (0..<16).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }

    /// Seven peers, five of them in each view of two partitions, which become eight with an eighth.
    private static func network(seed: UInt64, peers: Int = 8) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: peers, depth: 1) { $0.splitRatio = 2.6 }
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        network.world.run(for: .seconds(5))
        #expect(try network.partitions(on: 0).count == 4)
        return network
    }

    @Test func rowsAreReadAndWrittenWhilePartitionsSplit() throws {
        let network = TestNetwork(seed: 1, peers: 14, depth: 0) { $0.splitRatio = 8 }
        for index in 0..<7 { network.start(index) }
        let writers = Writers()
        let machine = network.peers[0].machine
        let task = network.world.spawn(machine) {
            try await writers.run(
                Array(Writers.numbers), network.peers[0].tables, machine.environment)
        }
        network.world.run(for: .seconds(5))
        for index in 7..<14 { network.start(index) }
        #expect(try network.converge(forPeers: 14) == [])
        network.world.run(for: .seconds(10))
        writers.stop()
        try network.world.wait(task)
        // As many partitions as 14 peers in views of 9 should have: 8 · 14 / 9 < 16.
        let all = Set((0..<16).map { Partition(depth: 4, index: $0) })
        #expect(try network.partitions(on: 0) == all)
        for index in 0..<14 {
            try network.perform(on: index) { try await writers.checkAll($0) }
        }
        #expect(writers.violations == [])
        #expect(writers.failures == 0)
        #expect(writers.acknowledged > 400)
    }

    @Test func theirMembersStayAndNoRowMoves() throws {
        let network = try Self.network(seed: 2)
        for key in Self.keys { try network.write(key, [1], on: 0) }
        let before = try network.views(of: Self.keys, on: 0)
        let pulled = network.pulledRows
        network.start(7)
        network.world.run(for: .seconds(5))
        let after = try network.views(of: Self.keys, on: 0)
        for (old, new) in zip(before, after) {
            #expect(new.partition.parent == old.partition)
            #expect(new.members == old.members && new.id.epoch == old.id.epoch + 1)
        }
        #expect(network.pulledRows == pulled)
        for index in 0..<8 {
            let health = try network.perform(on: index) { await $0.health() }
            #expect(health.changing == 0)
            #expect(health.partitionBits == (health.partitions > 0 ? 3 : 1))
            for key in Self.keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            }
        }
        // All of it is on the disk.
        for index in 0..<8 { network.crash(index) }
        for index in 0..<8 { network.restart(index) }
        #expect(try network.views(of: Self.keys, on: 3) == after)
        #expect(try network.perform(on: 5) { try await $0.read(Self.keys[4]) }.value == [1])
    }

    /// It knows the whole, and the views of the parts have changed since.
    @Test func aMemberThatWasDownFindsThePartsAndWhatItMissed() throws {
        let network = try Self.network(seed: 3)
        for key in Self.keys { try network.write(key, [1], on: 0) }
        let victim = try network.member(of: Self.keys[0], butNot: [0])
        network.crash(victim)
        // Whoever is down is replaced, and the parts go on from there.
        network.start(7)
        network.world.run(for: .seconds(10))
        for key in Self.keys { try network.write(key, [2], on: 0) }
        network.restart(victim)
        network.world.run(for: .seconds(10))
        let views = try network.views(of: Self.keys, on: victim)
        #expect(views == (try network.views(of: Self.keys, on: 0)))
        #expect(views.allSatisfy { $0.partition.depth == 3 })
        for key in Self.keys {
            #expect(try network.perform(on: victim) { try await $0.read(key) }.value == [2])
        }
        #expect(try network.perform(on: victim) { await $0.health() }.changing == 0)
    }

    /// A peer that has only ever asked for the whole goes on with what has become of it.
    @Test func whoKnowsTheWholeAloneIsToldOfItsParts() throws {
        let network = TestNetwork(seed: 4, peers: 9, depth: 1) { $0.splitRatio = 2.6 }
        for index in 0..<7 { network.start(index) }
        network.start(8, storing: false)
        #expect(try network.converge(forPeers: 7) == [])
        for key in Self.keys { try network.write(key, [1], on: 8) }
        #expect(try network.partitions(on: 8).count == 4)
        network.start(7)
        network.world.run(for: .seconds(5))
        #expect(try network.partitions(on: 8).count == 4)
        for key in Self.keys { try network.write(key, [2], on: 8) }
        #expect(try network.partitions(on: 8).count == 8)
        let found = try network.perform(on: 8) {
            try await $0.scan(
                TestNetwork.registers, position: .zero, prefixBits: 0, after: nil, limit: 100)
        }
        #expect(found.map(\.key.position) == Self.keys.map(\.position).sorted())
        #expect(found.allSatisfy { $0.state.value == [2] })
    }

    @Test func aPageEndsWhereAPartitionThatHasSplitDoes() throws {
        let network = TestNetwork(seed: 5, peers: 9, depth: 1) { $0.splitRatio = 2.6 }
        for index in 0..<7 { network.start(index) }
        network.start(8, storing: false)
        #expect(try network.converge(forPeers: 7) == [])
        for key in Self.keys { try network.write(key, [1], on: 8) }
        network.start(7)
        network.world.run(for: .seconds(5))
        // It still believes in the partitions that it knew.
        var found: [RowKey] = []
        while true {
            let after = found.last
            let page = try network.perform(on: 8) {
                try await $0.scan(
                    TestNetwork.registers, position: .zero, prefixBits: 0, after: after, limit: 3)
            }
            found += page.map(\.key)
            if page.isEmpty { break }
        }
        #expect(found.map(\.position) == Self.keys.map(\.position).sorted())
    }

    @Test func largePartitionsSplitUntilTheyAreSmall() throws {
        let network = TestNetwork(seed: 6, peers: 3, depth: 0) {
            $0.partitionBytesMax = 16 << 10
            $0.splitsMax = 6
        }
        for index in 0..<3 { network.start(index) }
        #expect(try network.converge(forPeers: 3) == [])
        #expect(try network.partitions(on: 0).count == 1)
        for key in Self.keys { try network.write(key, [UInt8](repeating: 7, count: 4096), on: 0) }
        network.world.run(for: .seconds(60))
        let partitions = try network.partitions(on: 0)
        #expect(partitions.count > 4)
        for partition in partitions.compactMap({ $0 }) {
            #expect(Self.keys.count { partition.contains($0.position) } <= 4)
        }
        for key in Self.keys {
            #expect(try network.perform(on: 2) { try await $0.read(key) }.value?.count == 4096)
        }
    }
}

extension TestNetwork {
    func write(_ key: RowKey, _ value: [UInt8], on index: Int) throws {
        _ = try perform(on: index) { try await $0.update(key) { _ in .set(value) } }
    }

    /// All partitions that there are, as far as a peer knows.
    func partitions(on index: Int) throws -> Set<Partition?> {
        let depth = configuration.genesisDepth
        return try perform(on: index) { tables in
            await tables.parts(ofGenesis: depth)
        }
    }

    /// The views of rows, once they have been read.
    func views(of keys: [RowKey], on index: Int) throws -> [View] {
        try perform(on: index) { tables in
            var views: [View] = []
            for key in keys {
                _ = try await tables.read(key)
                let partition = await tables.partition(holding: key.position)
                views.append(try #require(await tables.knownCertificate(partition)).view)
            }
            return views
        }
    }

    /// A custodian of a row other than those.
    func member(of key: RowKey, butNot others: [Int]) throws -> Int {
        let custodians = try perform(on: 0) { try await $0.custodians(of: key.position) }
        return try #require(
            peers.indices.first { custodians.contains(peers[$0].id) && !others.contains($0) })
    }

    /// Rows that travelled from one member to another.
    var pulledRows: UInt64 {
        peers.reduce(0) { sum, peer in
            sum
                + ["serving", "sealed"].reduce(0) {
                    $0
                        + peer.machine.environment.metrics.counter(
                            "cyxcloud_table_pulled_rows_total", [("while", $1)]
                        ).value
                }
        }
    }
}

extension TableService {
    fileprivate func parts(ofGenesis depth: UInt8) -> Set<Partition?> {
        Set(
            (0..<UInt64(1) << UInt64(depth)).compactMap { Partition(depth: depth, index: $0) }
                .flatMap { catalog.parts(of: $0) })
    }
}
