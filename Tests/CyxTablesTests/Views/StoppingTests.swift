import CyxCore
import SimulationHarness
import Testing

/// Services that are asked to end while views change.
@Suite struct StoppingTests {
    /// A job that asks once more after it was cancelled, such as a proposal that turns to the next
    /// candidate, must be told that nothing is sent any more: the service waits for its jobs.
    @Test(arguments: (1...6).map { UInt64($0) })
    func aServiceEndsSoonWhileItAsksWhoDoesNotAnswer(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 12, depth: 3)
        for index in 0..<12 { network.start(index) }
        #expect(try network.converge(forPeers: 12) == [])
        for index in 0..<3 { network.crash(index) }
        // They are replaced from two seconds later on, with the help of the others, of which two
        // have just gone and are not known to have.
        network.world.run(for: .milliseconds(1990))
        for index in 3..<5 { network.peers[index].machine.crash() }
        var random = SeededGenerator(seed: seed)
        for index in (5..<12).shuffled(using: &random) {
            network.world.run(for: .milliseconds(Int64.random(in: 0...200, using: &random)))
            network.peers[index].machine.stop()
        }
        network.world.run(for: .seconds(10))
        let left = (5..<12).filter { network.peers[$0].machine.processResult == nil }
        #expect(left == [], "asked to end ten seconds ago")
    }
}
