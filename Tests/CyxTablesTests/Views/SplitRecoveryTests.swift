import CyxCore
import CyxCrypto
import SimulationHarness
import Testing

@testable import CyxTables

/// Partitions of which some that are left know that they have split, and others do not (A2, A5).
@Suite struct SplitRecoveryTests {
    private static let admin = SigningKey(seed: [UInt8](repeating: 0xad, count: 32))
    private static let keys = (0..<10).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
    /// The member that nobody hears while the partition splits.
    private static let cutOff = 8
    /// A peer without a store.
    private static let asker = 9

    /// Nine members of one partition, of which all but one learn that it has split for its size, and
    /// what is written meanwhile.
    private static func network(seed: UInt64) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: 10, depth: 0) {
            $0.adminKey = admin.verifyingKey
            $0.partitionBytesMax = 16 << 10
            $0.splitsMax = 1
        }
        for index in 0..<9 { network.start(index) }
        network.start(asker, storing: false)
        #expect(try network.converge(forPeers: 9) == [])
        for key in keys { try network.write(key, [1], on: 0) }
        network.world.run(for: .seconds(5))
        let links = network.world.links
        for index in 0..<8 {
            let (one, other) = (network.peers[index].machine, network.peers[cutOff].machine)
            links.block(from: one, to: other)
            links.block(from: other, to: one)
        }
        for key in keys.dropFirst() {
            try network.write(key, [UInt8](repeating: 2, count: 4096), on: 0)
        }
        network.world.run(for: .seconds(20))
        #expect(try network.partitions(on: 0).count == 2)
        #expect(try network.partitions(on: cutOff).count == 1)
        return network
    }

    private func recover(_ network: TestNetwork) throws -> RecoveryReport {
        let report = try network.perform(on: Self.asker) { try await $0.assessRecovery() }
        let certificates = report.lost.map { $0.plan.certificate(signedBy: Self.admin).bytes }
        let count = try network.perform(on: Self.asker) { await $0.recover(certificates) }
        #expect(count == certificates.count)
        return report
    }

    @Test func allPartsComeBackAlthoughOneSurvivorKnowsTheWholeAlone() throws {
        let network = try Self.network(seed: 1)
        for index in 3..<8 { network.crash(index) }
        network.world.run(for: .seconds(10))
        let report = try recover(network)
        #expect(report.partitions == 2 && report.lost.count == 2)
        let survivors = Set([0, 1, 2, Self.cutOff].map { network.peers[$0].id })
        #expect(report.lost.allSatisfy { Set($0.plan.survivors.map(\.peer)) == survivors })
        network.world.links.heal()
        network.world.run(for: .seconds(20))
        for index in [0, Self.cutOff, Self.asker] {
            #expect(try network.partitions(on: index).count == 2)
            for (number, key) in Self.keys.enumerated() {
                let value = try network.perform(on: index) { try await $0.read(key) }.value
                #expect(value?.count == (number == 0 ? 1 : 4096))
            }
        }
    }

    /// What was recovered as one is one again, also for those who knew better.
    @Test func whoeverIsLeftMayKnowOfNoSplitAndTakesBackWhatOthersBring() throws {
        let network = try Self.network(seed: 2)
        for index in 0..<8 { network.crash(index) }
        network.crash(Self.asker)
        network.restart(Self.asker)
        network.world.run(for: .seconds(10))
        let report = try recover(network)
        #expect(report.partitions == 1 && report.lost.count == 1)
        network.world.links.heal()
        network.world.run(for: .seconds(10))
        for key in Self.keys {
            let value = try network.perform(on: Self.asker) { try await $0.read(key) }.value
            #expect(value == [1])
        }
        // Changed since; the others were not.
        try network.write(Self.keys[1], [3], on: Self.asker)
        network.restart(2)
        network.world.run(for: .seconds(60))
        for index in [2, Self.cutOff] {
            let values = try network.perform(on: index) { tables in
                var values: [Int?] = []
                for key in Self.keys { values.append(try await tables.read(key).value?.count) }
                return values
            }
            #expect(values == [1, 1] + Array(repeating: 4096, count: 8))
        }
    }
}
