import CyxCore
import SimulationHarness
import Testing

@testable import CyxTables

/// A write that only a quorum has seen reaches the other members without anyone asking for it.
@Suite struct AntiEntropyTests {
    private func network(seed: UInt64) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: 5, depth: 0)
        for index in 0..<5 { network.start(index) }
        #expect(try network.converge(forPeers: 5) == [])
        return network
    }

    /// All rows as each member has them.
    private func digests(_ network: TestNetwork) throws -> [Digest] {
        try network.peers.indices.map { index in
            try network.perform(on: index) { try await $0.rowsDigest(around: .zero) }
        }
    }

    private func mended(_ network: TestNetwork) -> UInt64 {
        count(network, "cyxcloud_table_mended_rows_total", "direction", ["given", "taken"])
    }

    private func compared(_ network: TestNetwork) -> UInt64 {
        count(
            network, "cyxcloud_table_comparisons_total", "result",
            ["same", "different", "noAnswer"])
    }

    private func count(
        _ network: TestNetwork, _ name: String, _ label: String, _ values: [String]
    ) -> UInt64 {
        network.peers.flatMap { peer in
            values.map { peer.machine.environment.metrics.counter(name, [(label, $0)]).value }
        }.reduce(0, +)
    }

    /// Cuts one member off, without anyone taking it for dead, while `body` runs.
    private func cutOff(_ index: Int, _ network: TestNetwork, while body: () throws -> Void)
        rethrows
    {
        let links = network.world.links
        for other in network.peers.indices where other != index {
            links.block(from: network.peers[other].machine, to: network.peers[index].machine)
        }
        try body()
        for other in network.peers.indices where other != index {
            links.unblock(from: network.peers[other].machine, to: network.peers[index].machine)
        }
    }

    @Test(arguments: 1...3)
    func aMemberThatMissedWritesGetsThem(missed: Int) throws {
        let network = try network(seed: UInt64(missed))
        let register = TestNetwork.key(TestNetwork.registers, 1)
        let merge = TestNetwork.key(TestNetwork.merges, 2)
        try network.perform(on: 0) { tables in
            _ = try await tables.update(register) { _ in .set([1]) }
        }
        try cutOff(missed, network) {
            try network.perform(on: 0) { tables in
                _ = try await tables.update(register) { _ in .set([2]) }
                try await tables.merge(merge, [MergeElement(element: [1], value: [7])])
            }
        }
        #expect(Set(try digests(network)).count > 1)
        network.world.run(for: .seconds(15))
        #expect(Set(try digests(network)).count == 1)
        #expect(mended(network) >= 2)
    }

    /// A member that missed a write has promised a later ballot, whose proposer never came back.
    @Test func aPromiseDoesNotKeepAMemberBehind() throws {
        let network = try network(seed: 8)
        let key = TestNetwork.key(TestNetwork.registers, 1)
        try cutOff(3, network) {
            try network.perform(on: 0) { tables in
                _ = try await tables.update(key) { _ in .set([1]) }
            }
        }
        try network.perform(on: 3) { tables in try await tables.promiseOnly(key) }
        network.world.run(for: .seconds(15))
        #expect(Set(try digests(network)).count == 1)
        #expect(try network.perform(on: 3) { try await $0.read(key) }.value == [1])
    }

    /// Both sides of a cut wrote merge rows: each ends with what the other has.
    @Test func rowsThatGrewOnBothSidesBecomeOne() throws {
        let network = try network(seed: 9)
        let merge = TestNetwork.key(TestNetwork.merges, 2)
        for element in 0..<20 {
            try cutOff(element % 5, network) {
                try network.perform(on: (element + 1) % 5) { tables in
                    try await tables.merge(
                        merge, [MergeElement(element: [UInt8(element)], value: [1])])
                }
            }
        }
        network.world.run(for: .seconds(20))
        #expect(Set(try digests(network)).count == 1)
    }

    /// Out of 3000 rows 700 were missed: these travel, and few others.
    @Test func onlyWhatDiffersTravels() throws {
        let network = try network(seed: 5)
        let keys = (0..<3000).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
        try write(keys[...], network)
        network.world.run(for: .seconds(20))
        #expect(Set(try digests(network)).count == 1)
        let before = mended(network)
        try cutOff(3, network) { try write(keys[..<700], network) }
        network.world.run(for: .seconds(20))
        #expect(Set(try digests(network)).count == 1)
        #expect((700...1400).contains(mended(network) - before))
    }

    private func write(_ keys: ArraySlice<RowKey>, _ network: TestNetwork) throws {
        try network.perform(on: 0) { tables in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in keys {
                    group.addTask { _ = try await tables.update(key) { _ in .set([1]) } }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func membersThatAgreeSayNothing() throws {
        let network = try network(seed: 4)
        try write([TestNetwork.key(TestNetwork.registers, 1)], network)
        network.world.run(for: .seconds(20))
        let before = compared(network)
        network.world.run(for: .seconds(60))
        #expect(compared(network) == before)
    }
}

extension TableService {
    /// Leaves the promise of a proposer that dies before it can write.
    fileprivate func promiseOnly(_ key: RowKey) async throws {
        let partition = partition(holding: key.position)
        let view = try #require(knownCertificate(partition)).view
        let ballot = RegisterVersion(
            generation: view.id.generation, epoch: view.id.epoch, counter: 1000,
            proposer: localPeer, nonce: 77)
        let prepare = RowRequest(
            view: ViewReference(view.id), operation: .prepare, key: StorageKey.row(key),
            ballot: ballot.bytes)
        #expect(await exchange(prepare, with: localPeer)?.status == .done)
    }
}
