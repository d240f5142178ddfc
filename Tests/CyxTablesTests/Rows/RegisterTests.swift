import CyxCore
import CyxTables
import Testing

/// The acceptor and proposer of one register, without any network.
@Suite struct RegisterTests {
    private static let partition = Partition(holding: .zero, depth: 0)
    private static let first = ViewID(partition: partition, generation: 0, epoch: 1)
    private static let second = ViewID(partition: partition, generation: 0, epoch: 2)

    private static func ballot(
        _ counter: UInt64, epoch: UInt32 = 1, nonce: UInt64? = nil
    ) -> RegisterVersion {
        RegisterVersion(
            generation: 0, epoch: epoch, counter: counter, proposer: PeerID(.zero),
            nonce: nonce ?? counter)
    }

    private static func written(_ value: UInt8, _ ballot: RegisterVersion) -> RegisterRecord {
        RegisterRecord().successor(value: [value], ballot: ballot)
    }

    @Test func anAcceptorKeepsItsPromises() {
        var record = RegisterRecord()
        guard case .promised(_, let wasClean) = record.prepare(Self.ballot(5)) else {
            Issue.record("the first ballot is promised")
            return
        }
        #expect(wasClean)
        #expect(record.prepare(Self.ballot(4)) == .refused(promised: Self.ballot(5)))
        #expect(record.accept(Self.written(1, Self.ballot(4))) == Self.ballot(5))
        #expect(record.value == nil)
        #expect(record.accept(Self.written(2, Self.ballot(5))) == nil)
        #expect(record.value == [2])
        #expect(record.isClean)
    }

    @Test func aRegisterIsCreatedWithoutPromises() {
        var proposer = RegisterProposer(proposer: PeerID(.zero))
        let ballot = proposer.nextBallot(in: Self.first, nonce: 1)
        let record = proposer.create([7], ballot: ballot)
        var fresh = RegisterRecord()
        #expect(fresh.accept(record) == nil)
        #expect(fresh.value == [7] && fresh.isClean)
        var promised = RegisterRecord()
        _ = promised.prepare(Self.ballot(5))
        #expect(promised.accept(record) == Self.ballot(5))
    }

    @Test func aCreationThatFailedHalfWayIsFoundAndNotRepeated() {
        var proposer = RegisterProposer(proposer: PeerID(.zero))
        let ballot = proposer.nextBallot(in: Self.first, nonce: 1)
        let record = proposer.create([7], ballot: ballot)
        let next = proposer.nextBallot(in: Self.first, nonce: 2)
        // Somebody has changed what a member had accepted of it.
        let changed = record.successor(value: [8], ballot: Self.ballot(9))
        let promises = [changed, RegisterRecord()].map {
            RegisterPromise(record: $0, wasClean: true)
        }
        let step = proposer.step(promises, ballot: next, in: Self.first, quorum: 2) { _ in
            Issue.record("the change is made a second time")
            return .set([7])
        }
        guard case .accept(let proposal, call: 0) = step else {
            Issue.record("\(step)")
            return
        }
        #expect(proposal.value == [8])
    }

    @Test func aNewMemberTakesTheHighestAcceptedAndTheHighestPromiseEachOnItsOwn() {
        var old = Self.written(1, Self.ballot(3))
        _ = old.prepare(Self.ballot(9))
        let newer = Self.written(2, Self.ballot(7))
        var merged = old
        merged.absorb(newer)
        #expect(merged.value == [2])
        #expect(merged.promised == Self.ballot(9))
        #expect(!merged.isClean)
        var reversed = newer
        reversed.absorb(old)
        #expect(reversed == merged)
    }

    @Test func aValueCarriedOverUnderANewerPromiseIsNotReadInOneRound() {
        var carried = Self.written(1, Self.ballot(3))
        _ = carried.prepare(Self.ballot(9))
        let replies = [carried, carried]
        // In its own view a quorum that accepted it chose it.
        #expect(RegisterProposer.settledState(replies, in: Self.first, quorum: 2) != nil)
        #expect(RegisterProposer.settledState(replies, in: Self.second, quorum: 2) == nil)
        let clean = Self.written(1, Self.ballot(3))
        #expect(RegisterProposer.settledState([clean, clean], in: Self.second, quorum: 2) != nil)
    }

    @Test func aMinorityOfANewerValueKeepsAReadFromSettling() {
        let old = Self.written(1, Self.ballot(3))
        let new = Self.written(2, Self.ballot(4))
        #expect(RegisterProposer.settledState([old, old, new], in: Self.first, quorum: 2) == nil)
        #expect(
            RegisterProposer.settledState([new, old, new], in: Self.first, quorum: 2)?.value == [2])
    }

    @Test func anUpdateThatTookEffectUnnoticedIsFinishedAndNotRepeated() {
        var proposer = RegisterProposer(proposer: PeerID(.zero))
        let empty = RegisterPromise(record: RegisterRecord(), wasClean: true)
        let first = proposer.nextBallot(in: Self.first, nonce: 77)
        let step = proposer.step([empty, empty], ballot: first, in: Self.first, quorum: 2) { _ in
            .set([1])
        }
        guard case .accept(let mine, _) = step else {
            Issue.record("an empty register is written")
            return
        }
        // Another proposer found it at a minority, adopted it and built on it.
        let other = mine.successor(value: [2], ballot: Self.ballot(9))
        let found = RegisterPromise(record: other, wasClean: false)
        let second = proposer.nextBallot(in: Self.first, nonce: 78)
        let again = proposer.step([found, found], ballot: second, in: Self.first, quorum: 2) { _ in
            Issue.record("the change must not run again")
            return .set([3])
        }
        guard case .settled(let state, 0) = again else {
            Issue.record("a quorum holds it")
            return
        }
        #expect(state.value == [2])
    }

    /// A round that failed is overtaken by one that fails too, and takes effect after all.
    @Test func theCallThatTookEffectIsToldAndNotTheLast() {
        var proposer = RegisterProposer(proposer: PeerID(.zero))
        let base = RegisterPromise(record: Self.written(1, Self.ballot(1)), wasClean: true)
        #expect(!proposer.isInDoubt)
        proposer.observe(base.record.accepted, in: Self.first)
        let first = proposer.nextBallot(in: Self.first, nonce: 77)
        let step = proposer.step([base, base], ballot: first, in: Self.first, quorum: 2) { _ in
            .set([2])
        }
        guard case .accept(let mine, call: 0) = step else {
            Issue.record("a change is proposed")
            return
        }
        #expect(proposer.isInDoubt)
        let foreign = RegisterPromise(
            record: base.record.successor(value: [7], ballot: Self.ballot(5)), wasClean: false)
        let second = proposer.nextBallot(in: Self.first, nonce: 78)
        let refused = proposer.step([base, foreign], ballot: second, in: Self.first, quorum: 2) {
            _ in .abandon
        }
        guard case .accept(_, call: 1) = refused else {
            Issue.record("what a minority holds is not settled")
            return
        }
        // Neither that nor the foreign change is at this quorum, but the first round is.
        let found = RegisterPromise(record: mine, wasClean: false)
        let third = proposer.nextBallot(in: Self.first, nonce: 79)
        let last = proposer.step([base, found], ballot: third, in: Self.first, quorum: 2) { _ in
            Issue.record("the change must not run again")
            return .abandon
        }
        guard case .accept(let record, call: 0) = last else {
            Issue.record("the first round is finished")
            return
        }
        #expect(record.value == [2])
    }

    @Test func anUpdateWhoseFateIsForgottenSaysSo() {
        var proposer = RegisterProposer(proposer: PeerID(.zero))
        let base = RegisterPromise(record: Self.written(1, Self.ballot(1)), wasClean: true)
        let first = proposer.nextBallot(in: Self.first, nonce: 77)
        _ = proposer.step([base], ballot: first, in: Self.first, quorum: 1) { _ in .set([2]) }
        var record = base.record
        for counter in 0..<UInt64(RegisterRecord.lineageLimit + 2) {
            record = record.successor(value: [9], ballot: Self.ballot(100 + counter))
        }
        let later = RegisterPromise(record: record, wasClean: true)
        let second = proposer.nextBallot(in: Self.first, nonce: 78)
        let step = proposer.step([later], ballot: second, in: Self.first, quorum: 1) { _ in
            .set([3])
        }
        guard case .unknowable = step else {
            Issue.record("nobody can know")
            return
        }
    }

    @Test func recordsComeBackFromTheirBytes() throws {
        var record = Self.written(1, Self.ballot(3)).successor(value: nil, ballot: Self.ballot(4))
        _ = record.prepare(Self.ballot(8, epoch: 2))
        #expect(try RegisterRecord(bytes: record.bytes) == record)
    }
}
