import CyxCore
import SimulationHarness
import Synchronization
import Testing

@testable import CyxTables

/// Registers for which only custodians propose: others have one of them make a change.
@Suite struct ErrandTests {
    private static let key = TestNetwork.key(TestNetwork.registers, 5)

    /// Three custodians, and three others of which each writes in the name that its number gives.
    /// A value's first byte says whose it is.
    private func network(seed: UInt64 = 4, loss: Double = 0) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: 6, depth: 0, loss: loss) {
            $0.rowGuard = Self.rowGuard(0)
        }
        for index in 0..<3 { network.start(index) }
        for index in 3..<6 {
            network.exceptions.withLock {
                $0[network.peers[index].id] = { $0.rowGuard = Self.rowGuard(UInt8(index)) }
            }
            network.start(index, storing: false)
        }
        #expect(try network.converge(forPeers: 3) == [])
        return network
    }

    private static func name(_ byte: UInt8) -> AccountID {
        AccountID(Digest(UInt64(byte), 0, 0, 0))
    }

    private static func rowGuard(_ account: UInt8) -> RowGuard {
        RowGuard(
            tables: [TestNetwork.registers], errandTables: [TestNetwork.registers],
            permit: { change, _ in [account] + change.sender.bytes },
            authorities: { permits, peer, _ in
                permits.filter { Array($0.dropFirst()) == peer.bytes }.map {
                    RowAuthority(name($0[0]))
                }
            },
            refusal: { change in
                let isOwn = [change.present, change.next].allSatisfy { value in
                    value.map { change.authorities.contains(RowAuthority(name($0[0]))) } ?? true
                }
                return isOwn ? nil : "another's"
            })
    }

    private func change(
        _ network: TestNetwork, on index: Int,
        _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) throws -> [UInt8]? {
        try network.perform(on: index) { try await $0.update(Self.key, change) }.value
    }

    @Test func whoTakesAFreeRowHasItUntilItGivesItUp() throws {
        let network = try network()
        #expect(try change(network, on: 3) { _ in .set([3, 1]) } == [3, 1])
        #expect(try change(network, on: 4) { $0.value == nil ? .set([4]) : .abandon } == [3, 1])
        for refused in [RegisterChange.set([4]), .set([3, 2]), .delete] {
            #expect(throws: TableError.rejected("another's")) {
                try change(network, on: 4) { _ in refused }
            }
        }
        // Nor does it give its own away in another's name, or put there what another has said.
        #expect(throws: TableError.rejected("another's")) {
            try change(network, on: 3) { _ in .set([4]) }
        }
        #expect(try change(network, on: 3) { _ in .set([3, 2]) } == [3, 2])
        #expect(try change(network, on: 3) { _ in .delete } == nil)
        #expect(try change(network, on: 4) { $0.value == nil ? .set([4]) : .abandon } == [4])
        for index in 0..<6 {
            #expect(try network.perform(on: index) { try await $0.read(Self.key) }.value == [4])
        }
    }

    @Test func nobodyElseProposes() throws {
        let network = try network()
        let status = try network.perform(on: 3) { tables in
            let partition = await tables.partition(holding: Self.key.position)
            _ = try await tables.read(Self.key)
            let view = try #require(await tables.knownCertificate(partition)).view
            let ballot = RegisterVersion(
                generation: view.id.generation, epoch: view.id.epoch, counter: 9,
                proposer: tables.localPeer, nonce: 1)
            let prepare = RowRequest(
                view: ViewReference(view.id), operation: .prepare,
                key: StorageKey.row(Self.key), ballot: ballot.bytes)
            return await tables.exchange(prepare, with: view.peers[0])?.status
        }
        #expect(status == .rejected)
    }

    /// One of them wins, and the others hear what it wrote.
    @Test func racesForARowHaveOneWinner() throws {
        let network = try network(seed: 6)
        let tasks = (3..<6).map { index in
            let peer = network.peers[index]
            return network.world.spawn(peer.machine) {
                try await peer.tables.update(Self.key) { state in
                    state.value == nil ? .set([UInt8(index)]) : .abandon
                }.value
            }
        }
        let values = try tasks.map { try network.world.wait($0) }
        #expect(Set(values).count == 1)
        #expect([[3], [4], [5]].contains(values[0]))
    }

    /// A custodian whose answer was lost may have made the change: it is not made again.
    @Test(arguments: (1...8).map { UInt64($0) })
    func changesAreMadeOnceWhileAnswersAreLost(seed: UInt64) throws {
        let network = try network(seed: seed, loss: 0.1)
        var made: UInt8 = 0
        for _ in 0..<5 {
            do {
                let value = try change(network, on: 3) { state in
                    .set([3, (state.value?[1] ?? 0) + 1])
                }
                made += 1
                #expect(value == [3, made])
            } catch TableError.unavailable {
                // Whether it took effect will show.
                let value = try network.perform(on: 0) { try await $0.read(Self.key) }.value
                #expect([made, made + 1].contains(value?[1] ?? 0))
                made = value?[1] ?? 0
            }
        }
        #expect(made > 0)
    }

    /// A custodian that gives its seat away in the middle of a change asks its successors to make it.
    @Test(arguments: (1...4).map { UInt64($0) })
    func whoLosesItsSeatInMidChangeGoesOnAsOneWithoutASeat(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 4, depth: 0)
        for peer in network.peers {
            network.exceptions.withLock { $0[peer.id] = { $0.rowGuard = Self.rowGuard(0) } }
        }
        for index in 0..<4 { network.start(index) }
        #expect(try network.converge(forPeers: 4) == [])
        let members = try network.perform(on: 0) { tables in
            _ = try await tables.read(Self.key)
            let partition = await tables.partition(holding: Self.key.position)
            return try #require(await tables.knownCertificate(partition)).view.peers
        }
        #expect(members.count == 3)
        let index = try #require(network.peers.firstIndex { $0.id == members[0] })
        network.world.links.change { $0.latency = .milliseconds(20) }
        network.directory.drain(members[0])
        var made: UInt8 = 0
        while made < 250, try network.perform(on: index, { await $0.health() }).held > 0 {
            let next = made + 1
            #expect(try change(network, on: index) { _ in .set([0, next]) } == [0, next])
            made = next
        }
        // It had a seat at first, and none in the end.
        #expect(made > 1 && made < 250)
        #expect(try network.perform(on: index) { try await $0.read(Self.key) }.value == [0, made])
    }
}
