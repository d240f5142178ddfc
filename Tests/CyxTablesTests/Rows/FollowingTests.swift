import CyxCore
import CyxTables
import SimulationHarness
import Testing

/// What somebody made of a table's rows by following them.
private struct Follower {
    var rows: [RowKey: [UInt8]] = [:]
    var cursor: ScanCursor?
    /// Rows of the last reading, and how many pages of a walk it took.
    var told: Set<RowKey> = []
    var walked = 0

    /// Reads on until all that was acknowledged before is known.
    func reading(_ tables: TableService) async throws(TableError) -> Follower {
        var next = self
        (next.told, next.walked) = ([], 0)
        while true {
            let page = try await tables.changes(
                TestNetwork.registers, position: FollowingTests.bucket, since: next.cursor)
            next.take(page)
            if page.isComplete { return next }
        }
    }

    private mutating func take(_ page: ChangePage) {
        if let stretch = page.stretch {
            walked += 1
            rows = rows.filter { key, _ in
                let isAfter = stretch.after.map { StorageKey.precedes($0, key) } ?? true
                let isBeyond = stretch.through.map { StorageKey.precedes($0, key) } ?? false
                return !isAfter || isBeyond
            }
        }
        for row in page.rows {
            told.insert(row.key)
            rows[row.key] = row.state.value
        }
        // Whoever keeps a cursor keeps its bytes.
        do { cursor = try ScanCursor(bytes: page.cursor.bytes) } catch { Issue.record(error) }
    }
}

@Suite struct FollowingTests {
    fileprivate static let bucket = Digest(0xABCD_EF01 << 32, 0, 0, 0)

    private static func key(_ number: Int) -> RowKey {
        var random = SeededGenerator(seed: UInt64(number))
        let position = Digest(bucket.word0 | random.next() >> 32, random.next(), 0, 0)
        return RowKey(table: TestNetwork.registers, position: position, suffix: [UInt8(number)])
    }

    private static func network(
        _ seed: UInt64, peers: Int, loss: Double = 0,
        _ configure: (inout TablesConfiguration) -> Void = { _ in }
    ) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: peers, depth: 2, loss: loss, configure)
        for index in 0..<min(peers, 5) { network.start(index) }
        #expect(try network.converge(forPeers: min(peers, 5)) == [])
        return network
    }

    private static func write(
        _ numbers: some Sequence<Int> & Sendable, _ value: UInt8?, at index: Int,
        _ network: TestNetwork
    ) throws {
        try network.perform(on: index) { tables in
            for number in numbers {
                _ = try await tables.update(key(number)) { _ in
                    value.map { .set([$0]) } ?? .delete
                }
            }
        }
    }

    @Test func whoHasReadAllIsToldOfChangesAlone() throws {
        let network = try Self.network(4, peers: 5)
        try Self.write(0..<60, 1, at: 1, network)
        // Rows of other buckets and tables are none of it.
        try network.perform(on: 1) { tables in
            let other = TestNetwork.key(TestNetwork.registers, 1)
            _ = try await tables.update(other) { _ in .set([9]) }
        }
        let first = try network.perform(on: 2) { try await Follower().reading($0) }
        #expect(first.rows.count == 60 && first.walked > 0)
        try Self.write([3, 5], 2, at: 3, network)
        try Self.write([7], nil, at: 4, network)
        let second = try network.perform(on: 2) { try await first.reading($0) }
        #expect(second.told == Set([3, 5, 7].map(Self.key)) && second.walked == 0)
        #expect(second.rows[Self.key(3)] == [2] && second.rows[Self.key(7)] == nil)
        #expect(second.rows.count == 59)
        let third = try network.perform(on: 2) { try await second.reading($0) }
        #expect(third.told.isEmpty && third.walked == 0)
        // One entry for each row, however often that changed.
        for peer in network.peers {
            let entries = peer.machine.disk.entries(in: "tables", ([7], [8]))
            #expect((1...61).contains(entries.count))
        }
    }

    /// The view of the bucket's partition, as the disk of one of its members has it.
    private static func replica(at index: Int, _ network: TestNetwork) throws -> Replica? {
        let key = StorageKey.replica(Partition(holding: bucket, depth: 2))
        let bytes = network.peers[index].machine.disk.value(of: key, in: "tables")
        return try bytes.map { try Replica(bytes: $0) }
    }

    /// What became of a row while a member was away, it cannot tell.
    @Test func whoComesBackToAViewTellsOfNothingBefore() throws {
        let network = try Self.network(7, peers: 6)
        network.start(5)
        #expect(try network.converge(forPeers: 6) == [])
        try Self.write(0..<10, 1, at: 1, network)
        let first = try network.perform(on: 2) { try await Follower().reading($0) }
        let cursor = try #require(first.cursor)
        let members = try (1..<6).filter { index in
            guard let replica = try Self.replica(at: index, network) else { return false }
            return replica.view.contains(network.peers[index].id) && replica.isServing
        }
        // The first gives way to the one who was none, and comes back in the place of the next.
        for index in members.prefix(2) {
            network.crash(index)
            #expect(try network.converge(forPeers: 5) == [])
            network.restart(index)
            #expect(try network.converge(forPeers: 6) == [])
        }
        var floors: [Bool] = []
        for index in members {
            let peer = network.peers[index]
            guard let replica = try Self.replica(at: index, network), replica.isServing else {
                continue
            }
            let told = try #require(cursor.logs[ViewMember(peer: peer.id, store: peer.store)])
            #expect((replica.changesFloor > told) == (index == members[0]))
            floors.append(replica.changesFloor > told)
        }
        #expect(floors.contains(true) && floors.contains(false))
    }

    @Test func logsGoOnAfterARestart() throws {
        let network = try Self.network(5, peers: 3)
        try Self.write(0..<10, 1, at: 1, network)
        let first = try network.perform(on: 2) { try await Follower().reading($0) }
        for index in 0..<3 { network.crash(index) }
        network.restart(0, 1, 2)
        network.world.run(for: .seconds(1))
        try Self.write([20], 1, at: 1, network)
        let second = try network.perform(on: 2) { try await first.reading($0) }
        #expect(second.told == [Self.key(20)] && second.walked == 0)
    }

    @Test func whoMissedATombstoneBeginsAnew() throws {
        let network = try Self.network(6, peers: 3)
        try Self.write(0..<10, 1, at: 1, network)
        let first = try network.perform(on: 2) { try await Follower().reading($0) }
        try Self.write(0..<5, nil, at: 1, network)
        let fresh = try network.perform(on: 2) { try await first.reading($0) }
        network.world.run(for: network.configuration.timings.tombstoneAge * 3)
        let key = StorageKey.row(Self.key(0))
        #expect(network.peers.allSatisfy { $0.machine.disk.value(of: key, in: "tables") == nil })
        let late = try network.perform(on: 2) { try await first.reading($0) }
        #expect(late.walked > 0 && late.rows == fresh.rows && late.rows.count == 5)
        // Who had read up to the tombstones goes on.
        let next = try network.perform(on: 2) { try await fresh.reading($0) }
        #expect(next.walked == 0 && next.told.isEmpty)
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func followersSeeWhatIsThereWhileViewsChange(seed: UInt64) throws {
        let network = try Self.network(seed, peers: 9, loss: 0.02) { $0.splitRatio = 3 }
        let follower = network.world.spawn(network.peers[1].machine) {
            let tables = network.peers[1].tables
            var random = SeededGenerator(seed: seed)
            var expected: [RowKey: [UInt8]] = [:]
            var follower = Follower()
            for round in 0..<80 {
                let key = FollowingTests.key(Int.random(in: 0..<24, using: &random))
                let isRemoved = Int.random(in: 0..<3, using: &random) == 0
                _ = try await tables.update(key) { _ in isRemoved ? .delete : .set([UInt8(round)]) }
                expected[key] = isRemoved ? nil : [UInt8(round)]
                if Int.random(in: 0..<3, using: &random) == 0 {
                    follower = try await follower.reading(tables)
                    guard follower.rows == expected else { return round }
                }
                // Long enough that tombstones go.
                try await network.peers[1].machine.environment.sleep(for: .milliseconds(900))
            }
            return -1
        }
        for index in 5..<9 {
            network.world.run(for: .seconds(3))
            network.start(index)
        }
        network.world.run(for: .seconds(4))
        network.crash(0)
        network.world.run(for: .seconds(12))
        network.restart(0)
        network.world.run(for: .seconds(5))
        network.crash(3)
        #expect(try network.world.wait(follower) == -1, "rows are wrong after that many")
    }

    @Test func cursorsComeBackFromTheirBytes() throws {
        var cursor = ScanCursor()
        #expect(try ScanCursor(bytes: cursor.bytes) == cursor)
        for number in 1...3 as ClosedRange<UInt64> {
            let member = ViewMember(
                peer: PeerID(Digest(number, 0, 0, 0)), store: StoreID(Digest(0, number, 0, 0)))
            cursor.logs[member] = number << 40
        }
        cursor.walk?.after = Self.key(7)
        #expect(try ScanCursor(bytes: cursor.bytes) == cursor)
        let bytes = cursor.bytes
        for end in 0..<bytes.count {
            #expect(throws: DecodingError.self) { _ = try ScanCursor(bytes: Array(bytes[..<end])) }
        }
        cursor.walk = nil
        #expect(try ScanCursor(bytes: cursor.bytes) == cursor)
        #expect(throws: DecodingError.self) { _ = try ScanCursor(bytes: cursor.bytes + [0]) }
    }
}
