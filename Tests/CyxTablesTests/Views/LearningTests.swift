import CyxCore
import CyxTables
import SimulationHarness
import Testing

/// Members-to-be take the state over while the view before still serves (A3).
@Suite struct LearningTests {
    private static let rowCount = 1200

    private func fill(_ network: TestNetwork) throws -> [RowKey] {
        let rows = (0..<LearningTests.rowCount).map {
            TestNetwork.key(TestNetwork.registers, UInt64($0))
        }
        try network.perform(on: 0) { tables in
            for row in rows {
                _ = try await tables.update(row) { _ in .set([UInt8](repeating: 1, count: 2048)) }
            }
        }
        return rows
    }

    private func pulled(_ network: TestNetwork, _ index: Int, _ when: String) -> UInt64 {
        network.peers[index].machine.environment.metrics.counter(
            "cyxcloud_table_pulled_rows_total", [("while", when)]
        ).value
    }

    /// Five of seven hold one partition; a sixth and a seventh know nothing of it. One of the five
    /// dies: its successor has the rows before the view is sealed.
    @Test func aMemberToBeHasMostRowsBeforeTheSeal() throws {
        let network = TestNetwork(seed: 31, peers: 7, depth: 0)
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        let rows = try fill(network)
        let custodians = try network.perform(on: 0) {
            try await $0.custodians(of: rows[0].position)
        }
        let outside = (0..<7).filter { !custodians.contains(network.peers[$0].id) }
        let victim = try #require((1..<7).first { custodians.contains(network.peers[$0].id) })
        network.crash(victim)
        // Writes go on meanwhile.
        for round in 0..<20 {
            try network.perform(on: outside[0]) { tables in
                _ = try await tables.update(rows[round]) { _ in .set([3]) }
            }
            network.world.run(for: .milliseconds(300))
        }
        #expect(try network.converge(forPeers: 6) == [])
        let taught = outside.map { pulled(network, $0, "serving") }.reduce(0, +)
        let late = outside.map { pulled(network, $0, "sealed") }.reduce(0, +)
        #expect(taught >= UInt64(LearningTests.rowCount))
        #expect(late < UInt64(LearningTests.rowCount) / 2)
        for (number, row) in rows.enumerated() {
            let value = try network.perform(on: outside[0]) { try await $0.read(row) }.value
            #expect(value == (number < 20 ? [3] : [UInt8](repeating: 1, count: 2048)))
        }
    }

    /// The learner loses its power half way: the change does not wait for it for ever, and what it
    /// had learnt is not taken for state.
    @Test(arguments: [5, 40, 150, 400] as [Int64])
    func aLearnerThatCrashesHoldsNothingUp(milliseconds: Int64) throws {
        let network = TestNetwork(seed: UInt64(milliseconds), peers: 6, depth: 0)
        for index in 0..<6 { network.start(index) }
        #expect(try network.converge(forPeers: 6) == [])
        let rows = try fill(network)
        let custodians = try network.perform(on: 0) {
            try await $0.custodians(of: rows[0].position)
        }
        let learner = try #require(
            (0..<6).first { !custodians.contains(network.peers[$0].id) })
        let victim = try #require((1..<6).first { $0 != learner })
        network.crash(victim)
        network.world.run(for: .milliseconds(2000 + milliseconds))
        network.crash(learner)
        network.world.run(for: .seconds(3))
        network.restart(learner)
        #expect(try network.converge(forPeers: 5) == [])
        let late = try network.perform(on: learner) { try await $0.read(rows[7]) }.value
        #expect(late == [UInt8](repeating: 1, count: 2048))
    }
}
