import CyxCore
import CyxTables
import SimulationHarness
import Testing

@Suite struct ScaleTests {
    @Test func aDevnetSettlesIsSilentWhenIdleAndReplacesFour() throws {
        let network = TestNetwork(seed: 5, peers: 20, depth: 6)
        for index in 0..<20 { network.start(index) }
        #expect(try network.converge(forPeers: 20, limit: .seconds(6)) == [])
        network.world.run(for: .seconds(10))
        let before = network.world.links.sentCount
        network.world.run(for: .seconds(60))
        #expect(network.world.links.sentCount == before, "idle partitions send nothing")
        for index in 5..<9 { network.crash(index) }
        #expect(try network.converge(forPeers: 16, limit: .seconds(6)) == [])
    }
}
