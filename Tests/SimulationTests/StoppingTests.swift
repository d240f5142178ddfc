import CyxCore
import SimulationHarness
import Testing

@testable import SimulationScenarios

/// Whole peers that are asked to end while others are gone.
@Suite struct StoppingTests {
    private static let peers = 10
    private static let dead = 3
    /// Farewells, flushes and closing take less.
    private static let limit = Duration.seconds(10)

    /// Views change and segments are repaired meanwhile; from the fourth loss on some have neither
    /// the custodians nor the holders for that.
    @Test(arguments: [1, 2] as [UInt64])
    func peersEndSoonWhileOthersAreDead(seed: UInt64) throws {
        var options = ClusterOptions()
        options.world.printedLogLevel = nil
        let cluster = Cluster(seed: seed, options: options)
        defer { cluster.world.end() }
        for _ in 0..<Self.peers {
            cluster.addPeer()
            cluster.world.run(for: .milliseconds(300))
        }
        #expect(cluster.settle(.seconds(60)) { cluster.hasConverged })
        let workload = ObjectWorkload(cluster: cluster)
        #expect(workload.createBucket())
        for _ in 0..<20 {
            workload.step()
            cluster.world.run(for: .milliseconds(500))
        }
        for peer in cluster.running.prefix(Self.dead) { cluster.crash(peer) }
        var random = SeededGenerator(seed: seed)
        cluster.world.run(for: .seconds(2))
        for peer in cluster.running {
            cluster.world.run(for: .milliseconds(Int64.random(in: 0...3000, using: &random)))
            peer.stop()
            cluster.world.run(limit: Self.limit) { peer.processResult != nil }
            let left = cluster.life(of: peer)?.parts.names ?? []
            #expect(peer.processResult != nil, "\(peer.name) still runs \(left)")
            cluster.crash(peer)
        }
    }
}
