import CyxCore
import CyxTables
import SimulationHarness
import Testing

@Suite struct RegisterHistoryTests {
    private func history(_ operations: [(seen: Int, isUpdate: Bool, ends: Bool)]) -> RegisterHistory
    {
        let history = RegisterHistory()
        for operation in operations {
            let (number, _) = history.invoke(isUpdate: operation.isUpdate)
            history.see(number, operation.seen)
            if operation.ends { history.finish(number) }
        }
        return history
    }

    @Test func aReadOfAnOverwrittenValueIsNotLinearizable() {
        // 1 and 2 are updates one after the other; the read still sees what update 1 wrote.
        let updates = [(0, true, true), (1, true, true)]
        #expect(history(updates + [(2, false, true)]).isLinearizable)
        #expect(!history(updates + [(1, false, true)]).isLinearizable)
    }

    @Test func anUpdateWithoutAnAnswerMayOrMayNotTakeEffect() {
        let lost = [(0, true, true), (1, true, false)]
        #expect(history(lost + [(1, false, true), (2, false, true)]).isLinearizable)
        #expect(!history(lost + [(2, false, true), (1, false, true)]).isLinearizable)
    }

    @Test func twoUpdatesOfOneStateAreNotLinearizable() {
        #expect(!history([(0, true, true), (0, true, true)]).isLinearizable)
    }

    @Test func whatWritesOverAnythingMayFollowAnything() {
        let history = history([(0, true, true)])
        let (blind, value) = history.invoke(isUpdate: true, isBlind: true)
        history.finish(blind)
        let read = history.invoke(isUpdate: false).operation
        history.see(read, value)
        history.finish(read)
        #expect(history.isLinearizable)
        let stale = history.invoke(isUpdate: false).operation
        history.see(stale, 1)
        history.finish(stale)
        #expect(!history.isLinearizable)
        #expect(history.isLinearizable(without: [stale]))
    }

    @Test func aDeletionLeavesNothingAndARefusalTellsOfSomething() {
        let history = history([(0, true, true)])
        let refused = history.invoke(isUpdate: true).operation
        history.see(refused, RegisterHistory.initial)
        history.refuse(refused)
        #expect(history.isLinearizable)
        history.finish(history.invokeDeletion())
        #expect(history.isLinearizable)
        let late = history.invoke(isUpdate: true).operation
        history.refuse(late)
        #expect(!history.isLinearizable)
    }

    @Test func whatCertainlyDidNotHappenMustNotBeSeen() {
        let history = RegisterHistory()
        let (withdrawn, value) = history.invoke(isUpdate: true, isBlind: true)
        history.withdraw(withdrawn)
        #expect(history.isLinearizable)
        let read = history.invoke(isUpdate: false).operation
        history.see(read, value)
        history.finish(read)
        #expect(!history.isLinearizable)
    }
}

/// Registers under everything at once: several clients, loss, crashes, restarts, partitions, and
/// views that grow and replace members meanwhile.
@Suite struct LinearizabilityTests {
    private static let keys: [UInt64] = [1, 2]

    private static func client(
        _ tables: TableService, _ environment: Environment, _ histories: [RegisterHistory],
        seed: UInt64, operations: Int
    ) async throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<operations {
            let which = Int.random(in: 0..<keys.count, using: &random)
            let key = TestNetwork.key(TestNetwork.registers, keys[which])
            let history = histories[which]
            let isUpdate = Int.random(in: 0..<3, using: &random) > 0
            let (operation, value) = history.invoke(isUpdate: isUpdate)
            do {
                if isUpdate {
                    _ = try await tables.update(key) { state in
                        history.see(operation, decode(state.value))
                        return .set([UInt8(value >> 8), UInt8(value & 255)])
                    }
                } else {
                    history.see(operation, decode(try await tables.read(key).value))
                }
                history.finish(operation)
            } catch {
                // Its outcome is unknown: the history says so by not finishing it.
                try await environment.sleep(for: .milliseconds(50))
            }
            let pause = Int64.random(in: 0...400, using: &random)
            try await environment.sleep(for: .milliseconds(pause))
        }
    }

    private static func decode(_ value: [UInt8]?) -> Int {
        (value ?? []).reduce(RegisterHistory.initial) { $0 << 8 | Int($1) }
    }

    /// Random faults for a while; at most one peer is down for longer than a moment.
    private func disturb(_ network: TestNetwork, peers: Int, random: inout SeededGenerator) {
        for _ in 0..<6 {
            let victim = Int.random(in: 1..<peers, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                // Long enough to be replaced.
                network.crash(victim)
                network.world.run(for: .milliseconds(4500))
                network.restart(victim)
            case 1:
                network.crash(victim)
                network.world.run(for: .milliseconds(300))
                network.restart(victim)
            case 2:
                network.world.links.partition([[network.peers[victim].machine]])
                network.world.run(for: .milliseconds(1500))
                network.world.links.heal()
            default:
                let other = Int.random(in: 0..<peers, using: &random)
                if other != victim {
                    network.world.links.block(
                        from: network.peers[victim].machine, to: network.peers[other].machine)
                }
                network.world.run(for: .milliseconds(1500))
                network.world.links.heal()
            }
            network.world.run(for: .milliseconds(500))
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func registersStayLinearizable(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 7, depth: 1, loss: 0.05)
        let histories = LinearizabilityTests.keys.map { _ in RegisterHistory() }
        var random = SeededGenerator(seed: seed &+ 1000)
        network.start(0)
        for index in 1..<4 { network.start(index) }
        let clients = (0..<4).map { index in
            let peer = network.peers[index]
            return network.world.spawn(peer.machine) {
                try await LinearizabilityTests.client(
                    peer.tables, peer.machine.environment, histories,
                    seed: seed &* 10 &+ UInt64(index), operations: 60)
            }
        }
        network.world.run(for: .seconds(2))
        for index in 4..<7 {
            network.start(index)
            network.world.run(for: .milliseconds(700))
        }
        disturb(network, peers: 7, random: &random)
        // Those of a crashed peer never end.
        network.world.run(limit: .seconds(120)) { clients[0].result != nil }
        #expect(try network.converge(forPeers: 7) == [])
        for (which, key) in LinearizabilityTests.keys.enumerated() {
            for index in 0..<7 {
                let history = histories[which]
                let (operation, _) = history.invoke(isUpdate: false)
                let state = try network.perform(on: index) {
                    try await $0.read(TestNetwork.key(TestNetwork.registers, key))
                }
                history.see(operation, LinearizabilityTests.decode(state.value))
                history.finish(operation)
            }
            let finished = histories[which].operations.count { $0.returned != nil }
            #expect(finished > 40, "register \(which)")
            #expect(histories[which].isLinearizable, "register \(which)")
        }
    }
}
