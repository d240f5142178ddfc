import CyxCore
import CyxCrypto
import SimulationHarness
import Synchronization
import Testing

@testable import CyxTables

/// A quorum is lost for good: unavailable until the admin says so, then all that is left (A5).
@Suite struct RecoveryTests {
    private static let admin = SigningKey(seed: [UInt8](repeating: 0xad, count: 32))
    private static let stranger = SigningKey(seed: [UInt8](repeating: 0xae, count: 32))
    private static let keys = (0..<6).map { TestNetwork.key(TestNetwork.registers, UInt64($0)) }

    /// Nine peers, all of them in every view, of which five decide; a tenth, without a store, asks.
    private static let asker = 9

    private func network(seed: UInt64, adminKey: VerifyingKey? = admin.verifyingKey) throws
        -> TestNetwork
    {
        let network = TestNetwork(seed: seed, peers: 10, depth: 1) {
            $0.adminKey = adminKey
            // Nobody but custodians changes anything.
            $0.rowGuard = RowGuard(
                tables: [TestNetwork.registers, TestNetwork.merges], permit: { _, _ in nil },
                authorities: { _, _, _ in [] }, refusal: { _ in "no permit" })
        }
        for index in 0..<9 { network.start(index) }
        network.start(Self.asker, storing: false)
        #expect(try network.converge(forPeers: 9) == [])
        try network.write([1], to: Self.keys, on: 0)
        return network
    }

    @Test func whatAnySurvivorHasIsReadableAfterRecovery() throws {
        let network = try network(seed: 1)
        let merge = RowKey(table: TestNetwork.merges, position: Self.keys[0].position)
        // Acknowledged by five that go and by peer 0, which is the only one left that has it.
        for other in 1...3 { network.cut(0, from: other) }
        try network.perform(on: 0) { tables in
            _ = try await tables.update(Self.keys[0]) { _ in .set([2]) }
            try await tables.merge(merge, [MergeElement(element: [1], value: [3])])
        }
        for index in 4..<9 { network.crash(index) }
        network.world.links.heal()
        network.world.run(for: .seconds(60))
        try network.expectUnavailable(Self.keys[0], on: Self.asker)

        let report = try network.perform(on: Self.asker) { try await $0.assessRecovery() }
        #expect(report.whole == 0 && report.waiting == [] && report.underWay == [])
        #expect(
            report.lost.map { Set($0.missing.map(\.peer)) } == [
                network.ids(4..<9), network.ids(4..<9),
            ])
        #expect(report.lost.allSatisfy { Set($0.plan.survivors.map(\.peer)) == network.ids(0..<4) })
        #expect(try network.recover(report, on: Self.asker) == 2)
        #expect(try network.converge(forPeers: 4) == [])
        for index in [0, 1, 2, 3, Self.asker] {
            for key in Self.keys {
                let value = try network.perform(on: index) { try await $0.read(key) }.value
                #expect(value == (key == Self.keys[0] ? [2] : [1]))
            }
            let elements = try network.perform(on: index) { try await $0.readMerge(merge) }
            #expect(elements == [MergeElement(element: [1], value: [3])])
        }
        let after = try network.perform(on: 1) { try await $0.assessRecovery() }
        #expect(after.whole == 2 && after.lost == [])
    }

    /// Peers that were given up come back: what they know of the past does not count any more, except
    /// for rows that nobody else has.
    @Test func aLateReturnerServesNothingOldAndHandsOverWhatOnlyItHas() throws {
        let network = try network(seed: 2)
        let (changed, forgotten) = (Self.keys[0], Self.keys[1])
        let merge = RowKey(table: TestNetwork.merges, position: forgotten.position)
        // Acknowledged by just those who go.
        for other in 0...3 { network.cut(8, from: other) }
        try network.write([2], to: [changed, forgotten], on: 8)
        try network.perform(on: 8) {
            try await $0.merge(merge, [MergeElement(element: [1], value: [3])])
        }
        for index in 4..<9 { network.crash(index) }
        network.world.links.heal()
        network.world.run(for: .seconds(3))
        #expect(try network.recover(on: 0) == 2)
        #expect(try network.converge(forPeers: 4) == [])
        #expect(try network.perform(on: 0) { try await $0.read(forgotten) }.value == [1])
        try network.write([9], to: [changed], on: 0)

        network.restart(8)
        #expect(try network.perform(on: 8) { try await $0.read(changed) }.value == [9])
        network.world.run(for: .seconds(20))
        for index in [0, 3, 8, Self.asker] {
            #expect(try network.perform(on: index) { try await $0.read(changed) }.value == [9])
            #expect(try network.perform(on: index) { try await $0.read(forgotten) }.value == [2])
            let elements = try network.perform(on: index) { try await $0.readMerge(merge) }
            #expect(elements == [MergeElement(element: [1], value: [3])])
        }
        // Enough for views that it has a seat in again.
        for index in 4..<8 { network.restart(index) }
        #expect(try network.converge(forPeers: 9) == [])
        for index in 0..<9 {
            #expect(try network.perform(on: index) { try await $0.read(changed) }.value == [9])
            #expect(try network.perform(on: index) { try await $0.read(forgotten) }.value == [2])
        }
    }

    /// Rows of the past come from who had them, and are of the past.
    @Test func onlyFormerMembersHandRowsOver() throws {
        let network = try network(seed: 2)
        let key = Self.keys[0]
        let lost = try network.perform(on: 0) { try #require(await $0.certificate(of: key)) }
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(3))
        #expect(try network.recover(on: 0) == 2)
        #expect(try network.converge(forPeers: 4) == [])
        let present = try network.perform(on: 0) { try #require(await $0.certificate(of: key)) }
        // It has no seat again yet.
        network.restart(8)
        func mend(
            on index: Int, with certificate: ViewCertificate?, generation: UInt32 = 0
        ) throws -> RowStatus? {
            let peer = network.peers[0].id
            return try network.perform(on: index) {
                try await $0.mend(
                    key, [8], generation: generation, in: present.view, at: peer,
                    with: certificate?.bytes ?? [])
            }
        }
        #expect(try mend(on: Self.asker, with: lost) == .rejected)
        #expect(try mend(on: 8, with: nil) == .rejected)
        #expect(try mend(on: 8, with: present) == .rejected)
        var forged = lost
        forged.signatures[0].signature[0] ^= 1
        #expect(try mend(on: 8, with: forged) == .rejected)
        let generation = present.view.id.generation
        #expect(try mend(on: 8, with: lost, generation: generation) == .rejected)
        #expect(try network.perform(on: 0) { try await $0.read(key) }.value == [1])
        #expect(try mend(on: 8, with: lost) == .done)
    }

    /// So many come back at once that they would be a quorum of the lost view: the first who asks them
    /// hears from the others too that it is lost.
    @Test(arguments: [11, 12, 13] as [UInt64])
    func aLostQuorumThatReturnsServesNothingOld(seed: UInt64) throws {
        let network = try network(seed: seed)
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(3))
        #expect(try network.recover(on: 0) == 2)
        #expect(try network.converge(forPeers: 4) == [])
        try network.write([9], to: Self.keys, on: 0)
        network.restart(4, 5, 6, 7, 8)
        let read = (4..<9).map { index in
            let peer = network.peers[index]
            return network.world.spawn(peer.machine) {
                var values: [[UInt8]?] = []
                for key in Self.keys { values.append(try await peer.tables.read(key).value) }
                return values
            }
        }
        for task in read {
            #expect(try network.world.wait(task) == Self.keys.map { _ in [9] })
        }
    }

    @Test func onlyTheNetworksOwnAdminCanRecover() throws {
        for adminKey in [Self.admin.verifyingKey, nil] {
            let network = try network(seed: 3, adminKey: adminKey)
            for index in 4..<9 { network.crash(index) }
            network.world.run(for: .seconds(3))
            let report = try network.perform(on: 0) { try await $0.assessRecovery() }
            #expect(report.adminKey == adminKey && report.lost.count == 2)
            let signer = adminKey == nil ? Self.admin : Self.stranger
            #expect(try network.recover(report, on: 0, signer: signer) == 0)
            // A member's own word, put into the form of a decision, is none either.
            let forged = report.lost.map { lost in
                var view = lost.plan.view
                view.members = [lost.plan.survivors[0]]
                view.quorum = 1
                return ViewCertificate.genesis(view, key: network.peers[0].key).bytes
            }
            #expect(try network.perform(on: 0) { await $0.recover(forged) } == 0)
            network.world.run(for: .seconds(5))
            for index in 0..<4 { try network.expectUnavailable(Self.keys[0], on: index) }
        }
    }

    /// It would stay in the lost view, and the others would wait for its rows.
    @Test(arguments: [stranger.verifyingKey, nil])
    func nothingIsSignedThatAPeerWouldRefuse(otherKey: VerifyingKey?) throws {
        let network = try network(seed: 9)
        network.exceptions.withLock { $0[network.peers[3].id] = { $0.adminKey = otherKey } }
        network.crash(3)
        network.restart(3)
        network.world.run(for: .seconds(1))
        #expect(throws: RecoveryError.otherAdminKey([network.peers[3].id])) {
            try network.perform(on: 0) { try await $0.assessRecovery() }
        }
    }

    @Test func anotherPeerEndsWhatTheFirstBegan() throws {
        let network = try network(seed: 4)
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(3))
        let report = try network.perform(on: Self.asker) { try await $0.assessRecovery() }
        // Only peer 3 hears of it, and cannot tell before both are cut off.
        for other in 0...2 {
            network.cut(Self.asker, from: other)
            network.cut(3, from: other)
        }
        #expect(try network.recover(report, on: Self.asker) == 2)
        network.world.run(for: .milliseconds(100))
        network.crash(Self.asker)
        network.world.run(for: .seconds(2))
        try network.expectUnavailable(Self.keys[0], on: 0)
        network.world.links.heal()
        #expect(try network.recover(report, on: 1) == 2)
        #expect(try network.converge(forPeers: 4) == [])
        for index in 0..<4 {
            for key in Self.keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            }
        }
    }

    /// Two recoveries of one loss, because the first one's news did not get about: the later wins, also
    /// where the first one is known.
    @Test func theLaterOfTwoRecoveriesWins() throws {
        let network = try network(seed: 5)
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(3))
        let first = try network.perform(on: Self.asker) { try await $0.assessRecovery() }
        for other in 0...2 {
            network.cut(Self.asker, from: other)
            network.cut(3, from: other)
        }
        #expect(try network.recover(first, on: Self.asker) == 2)
        network.world.run(for: .milliseconds(100))
        network.crash(3)
        network.crash(Self.asker)
        network.world.run(for: .seconds(3))
        #expect(try network.recover(on: 0) == 2)
        network.world.links.heal()
        #expect(try network.converge(forPeers: 3) == [])
        try network.write([7], to: Self.keys, on: 1)
        network.restart(3)
        #expect(try network.converge(forPeers: 4) == [])
        network.world.run(for: .seconds(5))
        for index in 0..<4 {
            for key in Self.keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [7])
            }
        }
    }

    /// A survivor dies before it has given its rows: the recovery cannot end, and is made again.
    @Test func aLossDuringRecoveryIsRecoveredToo() throws {
        let network = try network(seed: 6)
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(3))
        for other in 0...2 { network.cut(3, from: other) }
        #expect(try network.recover(on: Self.asker) == 2)
        network.world.run(for: .seconds(1))
        network.crash(3)
        network.world.run(for: .seconds(1))
        let early = try network.perform(on: 0) { try await $0.assessRecovery() }
        #expect(early.lost == [] && early.waiting.count == 2)
        network.world.run(for: .seconds(3))
        #expect(try network.recover(on: 0) == 2)
        #expect(try network.converge(forPeers: 3) == [])
        for key in Self.keys {
            #expect(try network.perform(on: 2) { try await $0.read(key) }.value == [1])
        }
    }

    /// A member is being replaced when the majority goes: some of the rows then lie with members of
    /// the view before, some with members of the next that have not got all of it.
    @Test(arguments: (1...6).map { UInt64($0) })
    func aMajorityLostInMidChangeIsRecovered(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 10, depth: 1) {
            $0.adminKey = Self.admin.verifyingKey
        }
        for index in 0..<10 { network.start(index) }
        #expect(try network.converge(forPeers: 10) == [])
        try network.write([1], to: Self.keys, on: 0)
        var random = SeededGenerator(seed: seed)
        network.crash(9)
        // The others decide on its replacement about then, and the members of the new view have pulled
        // all of it some 4 ms later.
        let moment = Int64.random(in: 2_730_000...2_740_500, using: &random)
        network.world.run(for: .microseconds(moment))
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(4))
        let report = try network.perform(on: 0) { try await $0.assessRecovery() }
        #expect(report.waiting == [])
        #expect(try network.recover(report, on: 0) == report.lost.count)
        #expect(try network.converge(forPeers: 4) == [])
        for index in 0..<4 {
            for key in Self.keys {
                #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            }
        }
    }

    @Test func nobodyIsGivenUpWhoMayComeBackSoon() throws {
        let network = try network(seed: 7)
        let whole = try network.perform(on: 0) { try await $0.assessRecovery() }
        #expect(whole.whole == 2 && whole.waiting == [] && whole.lost == [])
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(1))
        let soon = try network.perform(on: 0) { try await $0.assessRecovery() }
        #expect(soon.lost == [] && soon.whole == 0)
        let missing = try #require(soon.waiting.first).missing
        #expect(Set(missing.map(\.peer)) == network.ids(4..<9))
        for member in missing {
            guard case .gone(let duration) = member.reason else {
                Issue.record("\(member)")
                continue
            }
            #expect(duration > .milliseconds(900) && duration < .milliseconds(1100))
        }
        // One of them only: its rows may be the newest.
        network.world.run(for: .seconds(2))
        network.restart(4)
        network.crash(4)
        #expect(try network.perform(on: 0) { try await $0.assessRecovery() }.waiting.count == 2)
    }

    /// Nobody is left who has a row of the partition, or who knows who had.
    @Test func aPartitionWithoutSurvivorsBeginsAnewAndTakesWhatComesBack() throws {
        let network = TestNetwork(seed: 8, peers: 4, depth: 3) {
            $0.adminKey = Self.admin.verifyingKey
        }
        for index in 0..<4 { network.start(index) }
        #expect(try network.converge(forPeers: 4) == [])
        let key = Self.keys[0]
        try network.write([1], to: Self.keys, on: 0)
        let custodians = try network.perform(on: 0) { try await $0.custodians(of: key.position) }
        let held = network.peers.indices.filter { custodians.contains(network.peers[$0].id) }
        let left = try #require(network.peers.indices.first { !held.contains($0) })
        for index in held { network.crash(index) }
        network.crash(left)
        network.restart(left)
        network.world.run(for: .seconds(3))
        let report = try network.perform(on: left) { try await $0.assessRecovery() }
        #expect(report.lost.count == 8)
        #expect(report.lost.contains { $0.plan.survivors.isEmpty })
        #expect(try network.recover(report, on: left) == 8)
        network.world.run(for: .seconds(5))
        #expect(try network.perform(on: left) { try await $0.read(key) }.value == nil)
        try network.write([5], to: [Self.keys[1]], on: left)
        network.restart(held[1])
        network.world.run(for: .seconds(20))
        for index in [left, held[1]] {
            #expect(try network.perform(on: index) { try await $0.read(key) }.value == [1])
            let value = try network.perform(on: index) { try await $0.read(Self.keys[1]) }.value
            #expect(value == [5])
        }
    }
}

extension TestNetwork {
    fileprivate func ids(_ range: Range<Int>) -> Set<PeerID> { Set(peers[range].map(\.id)) }

    /// Neither hears the other.
    fileprivate func cut(_ one: Int, from other: Int) {
        world.links.block(from: peers[one].machine, to: peers[other].machine)
        world.links.block(from: peers[other].machine, to: peers[one].machine)
    }

    fileprivate func write(_ value: [UInt8], to keys: [RowKey], on index: Int) throws {
        try perform(on: index) { tables in
            for key in keys { _ = try await tables.update(key) { _ in .set(value) } }
        }
    }

    fileprivate func expectUnavailable(_ key: RowKey, on index: Int) throws {
        do {
            _ = try perform(on: index) { try await $0.read(key) }
            Issue.record("peer \(index) reads without a quorum")
        } catch TableError.unavailable(let reason) {
            #expect(reason.contains("are needed"))
        }
    }

    /// Signs all that is lost and has a peer install it; returns how many certificates it took.
    fileprivate func recover(
        _ report: RecoveryReport, on index: Int,
        signer: SigningKey = SigningKey(seed: [UInt8](repeating: 0xad, count: 32))
    ) throws -> Int {
        let certificates = report.lost.map { $0.plan.certificate(signedBy: signer).bytes }
        return try perform(on: index) { await $0.recover(certificates) }
    }

    fileprivate func recover(on index: Int) throws -> Int {
        try recover(try perform(on: index) { try await $0.assessRecovery() }, on: index)
    }
}

extension TableService {
    fileprivate func certificate(of key: RowKey) -> ViewCertificate? {
        knownCertificate(partition(holding: key.position))
    }

    /// Has one custodian take a value, as one that was accepted at the end of a generation.
    fileprivate func mend(
        _ key: RowKey, _ value: [UInt8], generation: UInt32, in view: View, at peer: PeerID,
        with certificate: [UInt8]
    ) async throws -> RowStatus? {
        let epoch = generation == view.id.generation ? view.id.epoch : .max
        let ballot = RegisterVersion(
            generation: generation, epoch: epoch, counter: 1 << 20, proposer: localPeer,
            nonce: 1)
        let request = RowRequest(
            view: ViewReference(view.id), operation: .mend, key: StorageKey.row(key),
            row: RegisterRecord().successor(value: value, ballot: ballot).bytes,
            certificate: certificate)
        return await exchange(request, with: peer)?.status
    }
}
