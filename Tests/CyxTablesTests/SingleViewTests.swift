import CyxCore
import CyxTables
import SimulationHarness
import Testing

@Suite struct SingleViewTests {
    private func network(clients: Int = 2) -> TestNetwork {
        let network = TestNetwork(seed: 1, peers: 1 + clients)
        network.start(0)
        for index in 1..<1 + clients { network.start(index, storing: false) }
        return network
    }

    @Test func aRegisterIsReadByPeersThatAreNoCustodians() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.registers, 7)
        let empty = try network.perform(on: 1) { try await $0.read(key) }
        #expect(empty.value == nil)
        let written = try network.perform(on: 1) { try await $0.update(key) { _ in .set([1, 2]) } }
        #expect(written.value == [1, 2])
        let read = try network.perform(on: 2) { try await $0.read(key) }
        #expect(read == written)
    }

    /// Whichever of two peers has the higher ballots: a register that was looked at before, or deleted.
    @Test(arguments: [(1, 2), (2, 1)])
    func aFreshNameIsWrittenThoughSomebodyElseHasComeUponIt(creator: Int, other: Int) throws {
        let network = network()
        for number in 20..<40 as Range<UInt64> {
            let key = TestNetwork.key(TestNetwork.registers, number)
            if number.isMultiple(of: 3) {
                _ = try network.perform(on: other) { try await $0.update(key) { _ in .delete } }
            } else if number.isMultiple(of: 2) {
                _ = try network.perform(on: other) { try await $0.update(key) { _ in .abandon } }
            }
            let value = [UInt8(number)]
            try network.perform(on: creator) { try await $0.create(key, value) }
            #expect(try network.perform(on: other) { try await $0.read(key) }.value == value)
            // What others made of it stays.
            _ = try network.perform(on: other) { try await $0.update(key) { _ in .set([1]) } }
            #expect(try network.perform(on: creator) { try await $0.read(key) }.value == [1])
        }
    }

    @Test func changesSeeWhatTheyReplace() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.registers, 8)
        for step in 0..<10 as Range<UInt8> {
            let state = try network.perform(on: Int(step) % 3) { tables in
                try await tables.update(key) { .set(($0.value ?? []) + [step]) }
            }
            #expect(state.value == Array(0...step))
        }
        let gone = try network.perform(on: 1) { try await $0.update(key) { _ in .delete } }
        #expect(gone.value == nil)
        #expect(try network.perform(on: 2) { try await $0.read(key) } == gone)
    }

    @Test func aRegisterSurvivesTheRestartOfItsOnlyCustodian() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.registers, 9)
        let state = try network.perform(on: 1) { try await $0.update(key) { _ in .set([5]) } }
        network.crash(0)
        network.restart(0)
        #expect(try network.perform(on: 2) { try await $0.read(key) } == state)
    }

    @Test func withoutItsCustodianAPartitionIsUnavailable() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.registers, 10)
        _ = try network.perform(on: 1) { try await $0.update(key) { _ in .set([5]) } }
        network.crash(0)
        #expect(throws: TableError.self) {
            _ = try network.perform(on: 1) { try await $0.read(key) }
        }
    }

    @Test func mergeRowsKeepWhatDifferentWritersAdd() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.merges, 11)
        for index in 0..<3 {
            try network.perform(on: index) { tables in
                try await tables.merge(
                    key, [MergeElement(element: [UInt8(index)], value: [UInt8(index), 9])])
            }
        }
        try network.perform(on: 2) { tables in
            try await tables.merge(key, [MergeElement(element: [1], value: nil)])
        }
        let elements = try network.perform(on: 1) { try await $0.readMerge(key) }
        #expect(
            elements == [
                MergeElement(element: [0], value: [0, 9]),
                MergeElement(element: [2], value: [2, 9]),
            ])
    }

    @Test func inATwoPhaseTableARemovedElementStaysRemoved() throws {
        let network = network()
        let key = TestNetwork.key(TestNetwork.twoPhase, 12)
        for value in [[1], nil, [2]] as [[UInt8]?] {
            try network.perform(on: 1) { tables in
                try await tables.merge(key, [MergeElement(element: [7], value: value)])
            }
        }
        #expect(try network.perform(on: 1) { try await $0.readMerge(key) }.isEmpty)
    }

    /// What it wrote would lose against what is there, and must not be acknowledged.
    @Test func aWriterWhoseClockIsFarBehindIsToldSo() throws {
        let network = TestNetwork(seed: 6, peers: 2)
        for index in 0..<2 { network.start(index) }
        let key = TestNetwork.key(TestNetwork.merges, 3)
        try network.perform(on: 0) { tables in
            try await tables.merge(key, [MergeElement(element: [7], value: [1])])
        }
        network.peers[1].machine.clock.step(byMilliseconds: -3_600_000)
        #expect(throws: TableError.self) {
            try network.perform(on: 1) { tables in
                try await tables.merge(key, [MergeElement(element: [7], value: [2])])
            }
        }
    }

    @Test func aValidatorRefusesRows() throws {
        let network = TestNetwork(seed: 2, peers: 1) { configuration in
            configuration.validate = { _, _, value in value == [13] ? "unlucky" : nil }
        }
        network.start(0)
        let key = TestNetwork.key(TestNetwork.registers, 13)
        #expect(throws: TableError.rejected("unlucky")) {
            _ = try network.perform(on: 0) { try await $0.update(key) { _ in .set([13]) } }
        }
    }
}
