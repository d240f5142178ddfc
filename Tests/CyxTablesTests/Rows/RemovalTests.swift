import CyxCore
import SimulationHarness
import Testing

@testable import CyxTables

/// Registers that were deleted long ago are forgotten by all members, and nothing old comes back (A6).
@Suite struct RemovalTests {
    private static let key = TestNetwork.key(TestNetwork.registers, 1)
    /// The age, and what the walk and the comparisons after it take.
    private static let patience = Duration.seconds(40)

    private func network(seed: UInt64, peers: Int = 5) throws -> TestNetwork {
        let network = TestNetwork(seed: seed, peers: peers, depth: 0)
        for index in 0..<peers { network.start(index) }
        #expect(try network.converge(forPeers: peers) == [])
        return network
    }

    private func set(_ value: UInt8?, _ network: TestNetwork, _ key: RowKey = key) throws {
        try network.perform(on: 0) { tables in
            _ = try await tables.update(key) { _ in value.map { .set([$0]) } ?? .delete }
        }
    }

    /// What each peer's disk has of a row.
    private func records(_ network: TestNetwork, _ key: RowKey = key) throws -> [RegisterRecord?] {
        try network.peers.map { peer in
            let bytes = peer.machine.disk.value(of: StorageKey.row(key), in: "tables")
            guard let bytes,
                case .register(let record) = try StoredRow(table: key.table, bytes: bytes).content
            else { return nil }
            return record
        }
    }

    private func floors(_ network: TestNetwork) throws -> [RegisterVersion] {
        try network.peers.indices.map { index in
            try network.perform(on: index) { await $0.knownFloor(try await $0.whole()) }
        }
    }

    private func digests(_ network: TestNetwork) throws -> Set<Digest> {
        Set(
            try network.peers.indices.map { index in
                try network.perform(on: index) { try await $0.rowsDigest(around: .zero) }
            })
    }

    @Test func aDeletedRegisterGoesAwayAtAllMembers() throws {
        let network = try network(seed: 41)
        try set(1, network)
        try set(nil, network)
        network.world.run(for: .seconds(5))
        let tombstones = try records(network)
        #expect(tombstones.allSatisfy { $0?.isTombstone == true })
        network.world.run(for: Self.patience)
        #expect(try records(network).allSatisfy { $0 == nil })
        #expect(try network.perform(on: 3) { try await $0.read(Self.key) }.value == nil)
        let removed = network.peers.map { peer in
            peer.machine.environment.metrics.counter(
                "cyxcloud_table_tombstones_removed_total"
            ).value
        }
        #expect(removed == [1, 1, 1, 1, 1])
        // It may be written again, above all that was.
        try set(2, network)
        let version = try network.perform(on: 4) { try await $0.read(Self.key) }.version
        #expect(try version > #require(tombstones[0]).accepted)
    }

    @Test func whatWasAcceptedBeforeADeletionDoesNotComeBack() throws {
        let network = try network(seed: 42)
        try set(1, network)
        let old = try #require(try records(network)[0])
        try set(nil, network)
        network.world.run(for: Self.patience)
        for operation in [RowOperation.accept, .mend] {
            let statuses = try network.perform(on: 1) { tables in
                try await tables.offer(old, of: Self.key, operation)
            }
            #expect(statuses == [.refused, .refused, .refused, .refused, .refused])
        }
        // The floor outlives the process.
        for index in 0..<5 { network.crash(index) }
        network.restart(0, 1, 2, 3, 4)
        let statuses = try network.perform(on: 1) { try await $0.offer(old, of: Self.key, .accept) }
        #expect(statuses.allSatisfy { $0 == .refused })
        #expect(try network.perform(on: 2) { try await $0.read(Self.key) }.value == nil)
    }

    /// Whoever is away may have missed the deletion, and would bring the row back.
    @Test func nothingIsForgottenWhileAMemberIsAway() throws {
        let network = try network(seed: 43)
        try set(1, network)
        network.crash(3)
        try set(nil, network)
        network.world.run(for: Self.patience)
        #expect(try records(network)[0]?.isTombstone == true)
        network.restart(3)
        network.world.run(for: Self.patience)
        #expect(try records(network).allSatisfy { $0 == nil })
    }

    /// A member to which the removal did not come offers its tombstone to the others, who refuse it.
    @Test func aMemberThatMissedTheRemovalEndsLikeTheOthers() throws {
        let network = try network(seed: 44)
        try set(1, network)
        try set(nil, network)
        network.world.run(for: .seconds(5))
        let tombstone = try #require(try records(network)[2])
        network.world.run(for: Self.patience)
        try network.perform(on: 2) { try await $0.keepAgain(tombstone, of: Self.key) }
        #expect(try digests(network).count == 2)
        network.world.run(for: Self.patience)
        #expect(try digests(network).count == 1)
        #expect(try records(network).allSatisfy { $0 == nil })
    }

    /// What a member missed lies below a floor that another row has raised: it gets it all the same.
    @Test func aRowBelowTheFloorReachesAMemberThatMissedIt() throws {
        let network = try network(seed: 45)
        let other = TestNetwork.key(TestNetwork.registers, 2)
        try set(7, network, other)
        for value in 1...9 { try set(UInt8(value), network) }
        try set(nil, network)
        network.world.run(for: Self.patience)
        let ballot = try #require(try records(network, other)[0]).accepted
        #expect(try floors(network).allSatisfy { $0 > ballot })
        try network.perform(on: 3) { try await $0.lose(other) }
        #expect(try digests(network).count == 2)
        network.world.run(for: .seconds(15))
        #expect(try digests(network).count == 1)
        #expect(try records(network, other).allSatisfy { $0?.value == [7] })
    }

    /// Each member of a later view has the floor, whatever it was taught before the removal.
    @Test func aNewMemberForgetsWhatItLearntOfARowThatIsGone() throws {
        let network = try network(seed: 46, peers: 6)
        let members = try network.perform(on: 0) { try await $0.custodians(of: .zero) }
        let outside = try #require(
            (0..<6).first { !members.contains(network.peers[$0].id) })
        let leaver = try #require((1..<6).first { $0 != outside })
        try set(1, network)
        let holder = try #require((0..<6).first { $0 != outside })
        let old = try #require(try records(network)[holder])
        try set(nil, network)
        network.world.run(for: Self.patience)
        let view = try network.perform(on: holder) { try await $0.wholeView() }
        try network.perform(on: outside) { try await $0.haveLearnt(old, of: Self.key, in: view) }
        network.crash(leaver)
        #expect(try network.converge(forPeers: 5) == [])
        #expect(
            try network.perform(on: outside) { try await $0.custodians(of: .zero) }
                .contains(network.peers[outside].id))
        #expect(try records(network)[outside] == nil)
        let floor = try network.perform(on: outside) { await $0.knownFloor(try await $0.whole()) }
        #expect(floor > old.accepted)
        let statuses = try network.perform(on: outside) {
            try await $0.offer(old, of: Self.key, .mend)
        }
        #expect(statuses.allSatisfy { $0 == .refused })
    }

    /// After a lost quorum somebody may come back with rows that only he has.
    @Test func aGenerationAfterALostQuorumForgetsNothing() throws {
        let network = try network(seed: 47)
        let view = try network.perform(on: 0) { try await $0.wholeView() }
        var recovered = view
        recovered.id.generation = 1
        let later = recovered
        #expect(try network.perform(on: 0) { await $0.mayForget(in: view) })
        #expect(try !network.perform(on: 0) { await $0.mayForget(in: later) })
    }

    /// Else a pull would take for written what is in memory alone.
    @Test func whatWasDeletedBeforeARestartGoesAwayToo() throws {
        let network = try network(seed: 51)
        try set(1, network)
        try set(nil, network)
        for index in 0..<5 { network.crash(index) }
        network.restart(0, 1, 2, 3, 4)
        #expect(try records(network).contains { $0?.isTombstone == true })
        network.world.run(for: Self.patience)
        #expect(try records(network).allSatisfy { $0 == nil })
    }

    @Test func rowsThatAreClearedAreNotKeptInMemory() throws {
        let network = try network(seed: 50, peers: 1)
        try set(1, network)
        #expect(
            try network.perform(on: 0) { try await $0.isInMemoryAfterClearing(Self.key) } == false)
        #expect(try records(network)[0] == nil)
    }

    @Test func removedElementsOfATwoPhaseRowGoAwayAtAllMembers() throws {
        let network = try network(seed: 48)
        let (partial, whole) = (
            TestNetwork.key(TestNetwork.twoPhase, 3), TestNetwork.key(TestNetwork.twoPhase, 4)
        )
        let other = TestNetwork.key(TestNetwork.merges, 5)
        try network.perform(on: 0) { tables in
            for key in [partial, whole, other] {
                try await tables.merge(
                    key, [1, 2].map { MergeElement(element: [$0], value: [7]) })
                try await tables.merge(key, [MergeElement(element: [1], value: nil)])
            }
            try await tables.merge(whole, [MergeElement(element: [2], value: nil)])
        }
        network.world.run(for: Self.patience)
        for index in 0..<5 {
            #expect(try row(partial, network, index)?.items.map(\.element) == [[2]])
            #expect(try row(whole, network, index) == nil)
            #expect(try row(other, network, index)?.items.count == 2)
        }
        #expect(try digests(network).count == 1)
        let elements = try network.perform(on: 3) { try await $0.readMerge(partial) }
        #expect(elements == [MergeElement(element: [2], value: [7])])
    }

    @Test func aRowThatForgetsWhatWasRemovedIsAsIfThatHadNeverBeen() {
        let stamp = HybridStamp(value: 9)
        var (row, kept) = (MergeRow(), MergeRow())
        for element in 0..<6 as Range<UInt8> {
            let value = element.isMultiple(of: 2) ? [element] : nil
            let entry = MergeEntry(value: value, stamp: stamp, writer: PeerID(.zero))
            row.put([element], entry, twoPhase: true)
            if value != nil { kept.put([element], entry, twoPhase: true) }
        }
        #expect(row.dropTombstones() == 3)
        // Its length among the rest.
        #expect(row == kept && row.byteCount == row.bytes.count)
    }

    /// Nor are elements forgotten while one who may have the element is away.
    @Test func noElementIsForgottenWhileAMemberIsAway() throws {
        let network = try network(seed: 49)
        let key = TestNetwork.key(TestNetwork.twoPhase, 3)
        try network.perform(on: 0) { tables in
            try await tables.merge(key, [MergeElement(element: [1], value: [7])])
        }
        network.crash(3)
        try network.perform(on: 0) { tables in
            try await tables.merge(key, [MergeElement(element: [1], value: nil)])
        }
        network.world.run(for: Self.patience)
        #expect(try row(key, network, 0)?.items.count == 1)
        network.restart(3)
        network.world.run(for: Self.patience)
        for index in 0..<5 { #expect(try row(key, network, index) == nil) }
        #expect(try network.perform(on: 3) { try await $0.readMerge(key) } == [])
    }

    private func row(_ key: RowKey, _ network: TestNetwork, _ index: Int) throws -> MergeRow? {
        let disk = network.peers[index].machine.disk
        guard let bytes = disk.value(of: StorageKey.row(key), in: "tables"),
            case .merge(let row) = try StoredRow(table: key.table, bytes: bytes).content
        else { return nil }
        return row
    }

    /// A change of what was never written, in doubt, cannot tell whether it was deleted and forgotten.
    @Test func aChangeInDoubtDoesNotTakeAForgottenRowForOneItNeverTouched() throws {
        let whole = try #require(Partition(depth: 0, index: 0))
        let view = ViewID(partition: whole, generation: 0, epoch: 1)
        for floor in [RegisterVersion.none, ballot(2)] {
            var proposer = RegisterProposer(proposer: PeerID(.zero))
            let empty = RegisterPromise(record: RegisterRecord(), wasClean: true)
            let first = proposer.nextBallot(in: view, nonce: 77)
            _ = proposer.step([empty], ballot: first, in: view, quorum: 1) { _ in .set([1]) }
            let found = RegisterPromise(record: RegisterRecord(), wasClean: true, floor: floor)
            let second = proposer.nextBallot(in: view, nonce: 78)
            let step = proposer.step([found], ballot: second, in: view, quorum: 1) { _ in .set([1])
            }
            let isUnknowable = if case .unknowable = step { true } else { false }
            #expect(isUnknowable == (floor != .none))
        }
    }

    /// Else its first value would be refused, and nobody could tell what became of it.
    @Test func aFreshNameIsWrittenByWhoWasNotToldOfWhatTheOthersForgot() throws {
        let network = try network(seed: 53, peers: 6)
        let outsiders = try network.peers.indices.filter { index in
            try network.perform(on: index) { await $0.replicas.isEmpty }
        }
        let outsider = try #require(outsiders.last)
        for value in 1...5 as ClosedRange<UInt8> { try set(value, network) }
        try set(nil, network)
        network.world.run(for: Self.patience)
        #expect(try records(network).allSatisfy { $0 == nil })
        let fresh = TestNetwork.key(TestNetwork.registers, 2)
        try network.perform(on: outsider) { try await $0.create(fresh, [7]) }
        #expect(try network.perform(on: outsider) { try await $0.read(fresh) }.value == [7])
    }

    private func ballot(_ counter: UInt64) -> RegisterVersion {
        RegisterVersion(
            generation: 0, epoch: 1, counter: counter, proposer: PeerID(.zero), nonce: 5)
    }
}

extension TableService {
    fileprivate func isInMemoryAfterClearing(_ key: RowKey) async throws -> Bool {
        try await rows.load([StorageKey.row(key)])
        try await delete(StorageKey.rows(of: try whole())) { true }
        return (rows.cached(StorageKey.row(key)) ?? nil) != nil
    }

    fileprivate func whole() throws -> Partition { try #require(replicas.keys.first) }

    fileprivate func wholeView() throws -> View { try #require(replicas.values.first?.view) }

    /// How each member answers a late request with an old record.
    fileprivate func offer(
        _ record: RegisterRecord, of key: RowKey, _ operation: RowOperation
    ) async throws -> [RowStatus] {
        let view = try wholeView()
        // An acceptance of the view that is served.
        var record = record
        if operation == .accept {
            record.accepted.epoch = view.id.epoch
            record.promised = record.accepted
        }
        let request = RowRequest(
            view: ViewReference(view.id), operation: operation, key: StorageKey.row(key),
            row: record.bytes)
        var statuses: [RowStatus] = []
        for peer in view.peers {
            if let reply = await exchange(request, with: peer) { statuses.append(reply.status) }
        }
        return statuses
    }

    fileprivate func keepAgain(_ record: RegisterRecord, of key: RowKey) async throws {
        stage(StorageKey.row(key), .register(record), in: try wholeView().id)
        try await rows.settle()
    }

    fileprivate func lose(_ key: RowKey) async throws {
        dropRow(StorageKey.row(key), in: try whole())
        try await rows.settle()
    }

    /// As if a member had taught the row before it was deleted.
    fileprivate func haveLearnt(
        _ record: RegisterRecord, of key: RowKey, in view: View
    ) async throws {
        rows.stage(
            StorageKey.row(key),
            StoredRow(generation: 0, epoch: view.id.epoch, content: .register(record)))
        try await rows.settle()
        changes.gathered[view.partition] = view.id
    }
}
