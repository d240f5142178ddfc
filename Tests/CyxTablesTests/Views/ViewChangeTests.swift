import CyxCore
import CyxTables
import SimulationHarness
import Testing

/// Changes that are interrupted where it hurts.
@Suite struct ViewChangeTests {
    /// A member dies, and while the others replace it, whoever drives that dies too, at some
    /// moment between its first message and the last seal, and comes back later.
    @Test(arguments: (1...8).map { UInt64($0) })
    func aChangeEndsAlthoughItsProposersDie(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 7, depth: 1)
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        let keys = (0..<6).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
        try network.perform(on: 0) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set([1]) } }
        }
        var random = SeededGenerator(seed: seed)
        let custodians = try network.perform(on: 0) {
            try await $0.custodians(of: keys[0].position)
        }
        let ranked = custodians.compactMap { id in network.peers.firstIndex { $0.id == id } }
        let victim = ranked[4]
        network.crash(victim)
        // Rank 0 sees cause two seconds later and needs a few milliseconds from there.
        let moment = Int64.random(in: 1_990_000...2_280_000, using: &random)
        network.world.run(for: .microseconds(moment))
        network.crash(ranked[0])
        network.world.run(for: .milliseconds(1200))
        network.restart(ranked[0])
        #expect(try network.converge(forPeers: 6) == [])
        for index in 0..<7 where index != victim {
            for key in keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            }
        }
    }

    /// Acknowledged by exactly a quorum, one of which then dies: whoever joins, and whoever missed
    /// the write, must pull from enough members to find it (SyncComplete).
    @Test(arguments: (1...4).map { UInt64($0) })
    func aWriteOfABareQuorumReachesEveryMemberOfTheNextView(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 7, depth: 1)
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        let key = TestNetwork.key(TestNetwork.registers, 5)
        let custodians = try network.perform(on: 0) { try await $0.custodians(of: key.position) }
        let ranked = custodians.compactMap { id in network.peers.firstIndex { $0.id == id } }
        let merge = RowKey(table: TestNetwork.merges, position: key.position)
        let writer = ranked[0]
        try network.perform(on: writer) { tables in
            _ = try await tables.update(key) { _ in .set([1]) }
        }
        for missed in ranked[3...] {
            network.world.links.block(
                from: network.peers[writer].machine, to: network.peers[missed].machine)
        }
        try network.perform(on: writer) { tables in
            _ = try await tables.update(key) { _ in .set([2]) }
            try await tables.merge(merge, [MergeElement(element: [1], value: [2])])
        }
        network.crash(ranked[2])
        network.world.run(for: .seconds(3))
        network.world.links.heal()
        #expect(try network.converge(forPeers: 6) == [])
        // Only those are left that never got the write from its writer.
        for index in ranked[..<2] { network.crash(index) }
        for index in ranked[3...] {
            #expect(try network.perform(on: index) { try await $0.read(key) }.value == [2])
            let elements = try network.perform(on: index) { try await $0.readMerge(merge) }
            #expect(elements == [MergeElement(element: [1], value: [2])])
        }
    }

    /// More than a page, of which members that were there already have most: what differs must
    /// travel, wherever it lies, and what is the same need not.
    @Test func whatMembersOfTheNextViewLackIsFoundAmongManyPages() throws {
        let network = TestNetwork(seed: 21, peers: 7, depth: 1)
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        let rows = (0..<700).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
        let custodians = try network.perform(on: 0) {
            try await $0.custodians(of: rows[0].position)
        }
        let ranked = custodians.compactMap { id in network.peers.firstIndex { $0.id == id } }
        let writer = ranked[0]
        try network.perform(on: writer) { tables in
            for row in rows {
                _ = try await tables.update(row) { _ in
                    .set([UInt8](repeating: 1, count: 2048))
                }
            }
        }
        // A few rows change where only a bare quorum sees it.
        for missed in ranked[3...] {
            network.world.links.block(
                from: network.peers[writer].machine, to: network.peers[missed].machine)
        }
        let changed = stride(from: 0, to: rows.count, by: 97).map { rows[$0] }
        try network.perform(on: writer) { tables in
            for row in changed { _ = try await tables.update(row) { _ in .set([2]) } }
        }
        network.crash(ranked[2])
        network.world.run(for: .seconds(3))
        network.world.links.heal()
        #expect(try network.converge(forPeers: 6) == [])
        for index in ranked[..<2] { network.crash(index) }
        let reader = ranked[3]
        for (number, row) in rows.enumerated() {
            let value = try network.perform(on: reader) { try await $0.read(row) }.value
            #expect(value == (number % 97 == 0 ? [2] : [UInt8](repeating: 1, count: 2048)))
        }
    }

    /// Slow, uneven links keep the old view's seal, the pulls and the writes of many clients
    /// overlapping (SealFinal).
    @Test(arguments: (1...4).map { UInt64($0) })
    func nothingIsAcknowledgedInAViewThatHasEnded(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 9, depth: 1)
        for index in 0..<3 { network.start(index) }
        #expect(try network.converge(forPeers: 3) == [])
        network.world.links.change { $0.jitter = .milliseconds(250) }
        let writers = Writers()
        let tasks = (0..<24).map { number in
            let peer = network.peers[number % 3]
            return network.world.spawn(peer.machine) {
                try await writers.run([UInt64(number)], peer.tables, peer.machine.environment)
            }
        }
        for index in 3..<9 {
            network.start(index)
            network.world.run(for: .seconds(index == 4 || index == 8 ? 6 : 0))
        }
        network.crash(5)
        network.world.run(for: .seconds(6))
        writers.stop()
        for task in tasks { try network.world.wait(task) }
        network.world.links.change { $0.jitter = .microseconds(500) }
        try network.perform(on: 8) { tables in
            for number in 0..<24 as Range<UInt64> { try await writers.check(number, tables) }
        }
        #expect(writers.violations == [])
        #expect(writers.acknowledged > 200)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func messagesHeldBackOverEpochsDoNoHarm(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 11, depth: 1)
        network.world.links.change { quality in
            quality.reordering = 0.05
            quality.reorderingDelay = .milliseconds(1200)
        }
        let writers = Writers()
        network.start(0)
        let machine = network.peers[0].machine
        let task = network.world.spawn(machine) {
            try await writers.run(Array(0..<6), network.peers[0].tables, machine.environment)
        }
        for index in 1..<11 {
            network.start(index)
            network.world.run(for: .milliseconds(1200))
        }
        for index in 4..<6 {
            network.crash(index)
            network.world.run(for: .seconds(4))
        }
        #expect(try network.converge(forPeers: 9) == [])
        writers.stop()
        try network.world.wait(task)
        try network.perform(on: 8) { tables in
            for number in 0..<6 as Range<UInt64> { try await writers.check(number, tables) }
        }
        #expect(writers.violations == [])
        #expect(writers.acknowledged > 100)
    }

    @Test func everyoneLosesPowerInMidChangeAndNothingIsLost() throws {
        let network = TestNetwork(seed: 9, peers: 9, depth: 2)
        for index in 0..<5 { network.start(index) }
        #expect(try network.converge(forPeers: 5) == [])
        let keys = (0..<8).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }
        let merge = TestNetwork.key(TestNetwork.twoPhase, 3)
        try network.perform(on: 0) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set([4]) } }
            try await tables.merge(merge, [MergeElement(element: [1], value: [1])])
            try await tables.merge(merge, [MergeElement(element: [1], value: nil)])
            try await tables.merge(merge, [MergeElement(element: [2], value: [2])])
        }
        for index in 5..<9 { network.start(index) }
        network.world.run(for: .milliseconds(1010))
        for index in 0..<9 { network.crash(index) }
        network.world.run(for: .seconds(30))
        for index in 0..<9 { network.restart(index) }
        #expect(try network.converge(forPeers: 9) == [])
        for index in [0, 4, 8] {
            for key in keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [4])
            }
            let elements = try network.perform(on: index) { try await $0.readMerge(merge) }
            #expect(elements == [MergeElement(element: [2], value: [2])])
        }
    }
}
