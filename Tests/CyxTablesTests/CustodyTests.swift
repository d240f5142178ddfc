import CyxCore
import CyxTables
import SimulationHarness
import Testing

/// What custodians take from others, and what from each other alone.
@Suite struct CustodyTests {
    private func network(
        _ change: (inout TablesConfiguration) -> Void
    ) -> TestNetwork {
        let network = TestNetwork(seed: 3, peers: 2, change)
        network.start(0)
        network.start(1, storing: false)
        return network
    }

    @Test func onlyCustodiansWriteTheTablesThatAreTheirs() throws {
        let network = network { $0.custodianTables = [TestNetwork.registers] }
        let key = TestNetwork.key(TestNetwork.registers, 5)
        #expect(throws: TableError.self) {
            _ = try network.perform(on: 1) { try await $0.update(key) { _ in .set([1]) } }
        }
        _ = try network.perform(on: 0) { try await $0.update(key) { _ in .set([2]) } }
        #expect(throws: TableError.self) {
            _ = try network.perform(on: 1) { try await $0.update(key) { _ in .delete } }
        }
        // Anybody may read it.
        #expect(try network.perform(on: 1) { try await $0.read(key) }.value == [2])
    }

    @Test func othersCannotFillARowAndCustodiansCan() throws {
        let network = network { $0.openRowBytes = [TestNetwork.merges: 1000] }
        let key = TestNetwork.key(TestNetwork.merges, 6)
        let long = [UInt8](repeating: 7, count: 700)
        try network.perform(on: 1) { tables in
            try await tables.merge(key, [MergeElement(element: [1], value: long)])
        }
        #expect(throws: TableError.tooLarge) {
            try network.perform(on: 1) { tables in
                try await tables.merge(key, [MergeElement(element: [2], value: long)])
            }
        }
        try network.perform(on: 0) { tables in
            try await tables.merge(key, [MergeElement(element: [3], value: long)])
        }
        // What makes a full row smaller is taken from anybody.
        try network.perform(on: 1) { tables in
            try await tables.merge(key, [MergeElement(element: [1], value: nil)])
        }
        let left = try network.perform(on: 1) { try await $0.readMerge(key) }.map(\.element)
        #expect(left == [[3]])
    }
}
