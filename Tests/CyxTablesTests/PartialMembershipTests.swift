import CyxCore
import CyxOverlay
import CyxTables
import SimulationHarness
import Testing

/// Networks in which no peer sees more than a part of the others, each another one.
@Suite struct PartialMembershipTests {
    private static func network() throws -> (TestNetwork, [RowKey]) {
        let network = TestNetwork(seed: 11, peers: 24, depth: 2, sample: 12)
        for index in 0..<24 { network.start(index) }
        let keys = (0..<6).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
        try network.perform(on: 0) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set([1]) } }
        }
        return (network, keys)
    }

    private func view(_ network: TestNetwork, _ key: RowKey, on index: Int) throws -> Set<PeerID> {
        Set(
            try network.perform(on: index) { tables in
                // Who reads learns of the newest view.
                _ = try await tables.read(key)
                return try await tables.custodians(of: key.position)
            })
    }

    /// Whether the custodians that `index` finds all live and are as many as they should be.
    private func isFull(_ network: TestNetwork, _ keys: [RowKey], on index: Int) throws -> Bool {
        for key in keys {
            let peers = try view(network, key, on: index)
            let dead = peers.contains { network.directory.all[$0]?.state != .alive }
            if peers.count != 9 || dead { return false }
        }
        return true
    }

    /// It would find most partitions unknown, and bring them back empty.
    @Test func nobodyJudgesWhatIsLostBySomeOfTheMembers() throws {
        let (network, _) = try Self.network()
        #expect(throws: RecoveryError.partialView) {
            try network.perform(on: 3) { try await $0.assessRecovery() }
        }
    }

    @Test func viewsFillUpAndReplaceTheirDeadWithPeersThatNotAllMembersSee() throws {
        let (network, keys) = try Self.network()
        var last = 0
        func settle() throws -> Bool {
            for second in 0..<60 {
                if try isFull(network, keys, on: last) { return true }
                network.world.run(for: .seconds(second < 10 ? 1 : 3))
            }
            return false
        }
        #expect(try settle())
        // Most have never asked before: each finds the custodians through one other peer.
        for index in 0..<24 {
            for key in keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            }
        }
        // Members of a view die, one after another.
        for _ in 0..<3 {
            let peers = try view(network, keys[0], on: last)
            let victim = try #require(
                (1..<24).first { peers.contains(network.peers[$0].id) && $0 != last })
            network.crash(victim)
            last = try #require(
                (1..<24).last { network.directory.all[network.peers[$0].id]?.state == .alive })
            network.world.run(for: .seconds(4))
            #expect(try settle())
        }
        for key in keys {
            #expect(try network.perform(on: last) { try await $0.read(key) }.value == [1])
        }
    }
}
