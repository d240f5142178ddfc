import CyxCore
import CyxTables
import SimulationHarness
import Testing

@Suite struct ScanTests {
    private static let table = TestNetwork.registers

    /// Keys of one hot prefix and of the whole space, in key order.
    private static func keys(_ count: Int) -> [RowKey] {
        var random = SeededGenerator(seed: 3)
        let keys = (0..<count).map { number in
            let word = number.isMultiple(of: 2) ? random.next() : 0xABCD << 48 | random.next() >> 16
            return RowKey(
                table: table, position: Digest(word, 0, 0, UInt64(number)), suffix: [UInt8(number)])
        }
        return keys.sorted { $0.position < $1.position }
    }

    private static func list(
        _ tables: TableService, _ position: Digest, _ bits: Int, page: Int
    ) async throws(TableError) -> [RowKey] {
        var found: [RowKey] = []
        while true {
            let rows = try await tables.scan(
                table, position: position, prefixBits: bits, after: found.last, limit: page)
            found += rows.map(\.key)
            if rows.count < page { return found }
        }
    }

    @Test func everyAcknowledgedRowIsListedInOrderByEveryPeer() throws {
        let network = TestNetwork(seed: 4, peers: 5, depth: 4)
        for index in 0..<5 { network.start(index) }
        #expect(try network.converge(forPeers: 5) == [])
        let keys = ScanTests.keys(120)
        try network.perform(on: 1) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set(key.suffix) } }
            // Rows of other tables lie in between.
            let other = TestNetwork.key(TestNetwork.merges, 1)
            try await tables.merge(other, [MergeElement(element: [1], value: [1])])
        }
        for page in [7, 1000] {
            let all = try network.perform(on: 2) {
                try await ScanTests.list($0, .zero, 0, page: page)
            }
            #expect(all == keys)
        }
        let hot = Digest(0xABCD << 48, 0, 0, 0)
        let listed = try network.perform(on: 3) { try await ScanTests.list($0, hot, 16, page: 9) }
        #expect(listed == keys.filter { $0.position.prefix(bits: 16) == 0xABCD })
        #expect(!listed.isEmpty)
    }

    @Test func deletedRowsAreNotListed() throws {
        let network = TestNetwork(seed: 5, peers: 3, depth: 2)
        for index in 0..<3 { network.start(index) }
        #expect(try network.converge(forPeers: 3) == [])
        let keys = ScanTests.keys(20)
        let kept = keys.filter { !$0.suffix[0].isMultiple(of: 3) }
        try network.perform(on: 0) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set([1]) } }
            for key in keys where !kept.contains(key) {
                _ = try await tables.update(key) { _ in .delete }
            }
        }
        let listed = try network.perform(on: 1) {
            try await ScanTests.list($0, .zero, 0, page: 5)
        }
        #expect(listed == kept)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func listingsSeeEveryAcknowledgedRowWhileViewsChange(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 9, depth: 2, loss: 0.02)
        for index in 0..<3 { network.start(index) }
        #expect(try network.converge(forPeers: 3) == [])
        let keys = ScanTests.keys(60)
        let lister = network.world.spawn(network.peers[1].machine) {
            let tables = network.peers[1].tables
            for count in 1...keys.count {
                _ = try await tables.update(keys[count - 1]) { _ in .set([1]) }
                let listed = try await ScanTests.list(tables, .zero, 0, page: 1000)
                guard listed == Array(keys.prefix(count)) else { return count }
                try await network.peers[1].machine.environment.sleep(for: .milliseconds(100))
            }
            return 0
        }
        for index in 3..<9 {
            network.world.run(for: .milliseconds(700))
            network.start(index)
        }
        network.world.run(for: .seconds(1))
        network.crash(0)
        #expect(try network.world.wait(lister) == 0, "rows are missing after that many")
    }

    @Test func custodiansKnowTheRowsTheyHold() throws {
        let network = TestNetwork(seed: 6, peers: 1, depth: 2)
        network.start(0)
        let keys = ScanTests.keys(30)
        try network.perform(on: 0) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set([1]) } }
        }
        let first = try network.perform(on: 0) {
            try await $0.localRows(ScanTests.table, after: nil, limit: 10)
        }
        let rest = try network.perform(on: 0) {
            try await $0.localRows(ScanTests.table, after: first.last, limit: 100)
        }
        #expect(first + rest == keys)
    }

    @Test func onlyCustodiansTellWhatTheirCopySays() throws {
        let network = TestNetwork(seed: 7, peers: 2, depth: 0)
        network.start(0)
        network.start(1, storing: false)
        let register = ScanTests.keys(1)[0]
        let merge = TestNetwork.key(TestNetwork.merges, 9)
        let element = MergeElement(element: [1], value: [2])
        let value = try network.perform(on: 1) { tables in
            try await tables.merge(merge, [element])
            return try await tables.update(register) { _ in .set([3]) }
        }
        // One that has not been asked for since it started has it from its disk.
        network.peers[0].machine.crash()
        network.restart(0)
        #expect(
            try network.perform(on: 0) { try await $0.localRow(register) } == .register(value))
        #expect(try network.perform(on: 0) { try await $0.localRow(merge) } == .merge([element]))
        let absent = TestNetwork.key(ScanTests.table, 1 << 20)
        let none = RegisterState(value: nil, version: .none)
        #expect(try network.perform(on: 0) { try await $0.localRow(absent) } == .register(none))
        #expect(try network.perform(on: 1) { try await $0.localRow(register) } == nil)
    }
}
