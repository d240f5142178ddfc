import CyxCore
import SimulationHarness
import Synchronization
import Testing

@testable import CyxTables

/// Who may change guarded rows, and how the others read them.
@Suite struct GuardTests {
    private static let account = AccountID(Digest(7, 7, 7, 7))
    private static let register = TestNetwork.key(TestNetwork.registers, 5)
    private static let merge = RowKey(table: TestNetwork.twoPhase, position: register.position)

    /// Peers of which the last two keep no rows, and only the last has a permit.
    private func network(_ storers: Int, seed: UInt64 = 3) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: storers + 2, depth: 0) {
            $0.rowGuard = Self.rowGuard(isPermitted: false)
        }
        for index in 0..<storers { network.start(index) }
        network.exceptions.withLock {
            $0[network.peers[storers + 1].id] = { $0.rowGuard = Self.rowGuard(isPermitted: true) }
        }
        network.start(storers, storing: false)
        network.start(storers + 1, storing: false)
        #expect(try network.converge(forPeers: storers) == [])
        return network
    }

    /// A permit is its peer's ID; of merge rows anybody removes elements that begin with 9.
    private static func rowGuard(isPermitted: Bool) -> RowGuard {
        RowGuard(
            tables: [TestNetwork.registers, TestNetwork.twoPhase],
            permit: { change, _ in isPermitted ? change.sender.bytes : nil },
            authorities: { permits, peer, _ in
                permits.contains(peer.bytes) ? [RowAuthority(account)] : []
            },
            refusal: { change in
                if change.authorities == [RowAuthority(account)] { return nil }
                if !change.removed.isEmpty, change.written.isEmpty,
                    change.removed.allSatisfy({ $0.first == 9 })
                {
                    return nil
                }
                return "no permit"
            })
    }

    @Test func onlyCustodiansAndWhoHasAPermitChangeARegister() throws {
        let network = try network(3)
        let (stranger, owner) = (3, 4)
        try network.write([1], at: Self.register, on: owner)
        #expect(throws: TableError.rejected("no permit")) {
            try network.write([2], at: Self.register, on: stranger)
        }
        #expect(throws: TableError.rejected("no permit")) {
            try network.write(nil, at: Self.register, on: stranger)
        }
        for index in 0...4 {
            #expect(
                try network.perform(on: index) { try await $0.read(Self.register) }.value == [1])
        }
        try network.write([3], at: Self.register, on: 1)
        try network.write(nil, at: Self.register, on: owner)
        #expect(
            try network.perform(on: stranger) { try await $0.read(Self.register) }.value == nil)
    }

    /// Of a merge row each element counts for itself, and what is there already changes nothing.
    @Test func elementsAreAddedAndRemovedByWhoMay() throws {
        let network = try network(3)
        let (stranger, owner) = (3, 4)
        try network.put([1], [5], on: owner)
        try network.put([9], [5], on: owner)
        for (element, value) in [([1], nil), ([2], [5]), ([2], nil)] as [([UInt8], [UInt8]?)] {
            #expect(throws: TableError.rejected("no permit")) {
                try network.put(element, value, on: stranger)
            }
        }
        try network.put([9], nil, on: stranger)
        // It is gone already.
        try network.put([9], nil, on: stranger)
        #expect(try network.elements(on: stranger) == [[1]])
        try network.put([1], nil, on: owner)
        #expect(try network.elements(on: 0) == [])
    }

    /// A proposer that died has left the copies of a register different: whoever may not propose has
    /// a custodian find out what holds.
    @Test func whoMayNotWriteHasACustodianReadWhatIsUnsettled() throws {
        let network = try network(3)
        let stranger = 3
        try network.write([1], at: Self.register, on: 0)
        network.world.run(for: .seconds(1))
        for counter in [1000, 2000] as [UInt64] {
            let custodians = network.peers.prefix(3).map(\.id)
            try network.perform(on: 0) {
                try await $0.leave([2], at: Self.register, counter: counter, with: custodians[0])
            }
            let value = try network.perform(on: stranger) { try await $0.read(Self.register) }.value
            // Which of the two is the custodian's to say; it holds from now on.
            #expect(value == [1] || value == [2])
            for index in 0..<3 {
                let read = try network.perform(on: index) { try await $0.read(Self.register) }
                #expect(read.value == value)
            }
        }
    }

    @Test func whoMayNotWriteHasACustodianMergeCopiesThatDiffer() throws {
        let network = try network(5)
        let stranger = 5
        // Only two of five have it, and nobody has been told that it was written.
        network.cut(0, from: [2, 3, 4])
        network.cut(1, from: [2, 3, 4])
        let write = network.world.spawn(network.peers[0].machine) {
            try await network.peers[0].tables.merge(
                Self.merge, [MergeElement(element: [1], value: [5])])
        }
        network.world.run(for: .milliseconds(500))
        #expect(write.result == nil)
        network.peers[0].machine.crash()
        network.world.links.heal()
        // Custodians 0 and 2 are gone: of the three left, one has it, and all are asked.
        network.peers[2].machine.crash()
        let elements = try network.elements(on: stranger)
        #expect(elements == [[1]])
        // So it is on a quorum now, without the one that had it.
        network.peers[1].machine.crash()
        network.restart(2)
        #expect(try network.elements(on: stranger) == [[1]])
    }
}

extension TestNetwork {
    fileprivate func write(_ value: [UInt8]?, at key: RowKey, on index: Int) throws {
        _ = try perform(on: index) { tables in
            try await tables.update(key) { _ in value.map { .set($0) } ?? .delete }
        }
    }

    fileprivate func put(_ element: [UInt8], _ value: [UInt8]?, on index: Int) throws {
        let key = RowKey(
            table: TestNetwork.twoPhase,
            position: TestNetwork.key(TestNetwork.registers, 5).position)
        try perform(on: index) {
            try await $0.merge(key, [MergeElement(element: element, value: value)])
        }
    }

    fileprivate func elements(on index: Int) throws -> [[UInt8]] {
        let key = RowKey(
            table: TestNetwork.twoPhase,
            position: TestNetwork.key(TestNetwork.registers, 5).position)
        return try perform(on: index) { try await $0.readMerge(key) }.map(\.element)
    }

    fileprivate func cut(_ one: Int, from others: [Int]) {
        for other in others {
            world.links.block(from: peers[one].machine, to: peers[other].machine)
            world.links.block(from: peers[other].machine, to: peers[one].machine)
        }
    }
}

extension TableService {
    /// Leaves what a proposer leaves that dies as soon as one custodian has taken its proposal.
    fileprivate func leave(
        _ value: [UInt8], at key: RowKey, counter: UInt64, with peer: PeerID
    ) async throws {
        let view = try #require(knownCertificate(partition(holding: key.position))).view
        let state = try await read(key)
        let ballot = RegisterVersion(
            generation: view.id.generation, epoch: view.id.epoch,
            counter: state.version.counter + counter, proposer: localPeer, nonce: counter)
        var record = RegisterRecord()
        record.value = state.value
        record.changed = state.version
        let accept = RowRequest(
            view: ViewReference(view.id), operation: .accept, key: StorageKey.row(key),
            row: record.successor(value: value, ballot: ballot).bytes)
        #expect(await exchange(accept, with: peer)?.status == .done)
    }
}
