import CyxCore
import CyxTables
import Testing

/// The consensus on a view's successor, member by member.
@Suite struct ViewVoteTests {
    private static let partition = Partition(holding: .zero, depth: 0)

    private static func view(epoch: UInt32, _ numbers: [UInt64]) -> View {
        View(
            id: ViewID(partition: partition, generation: 0, epoch: epoch),
            members: numbers.map { number in
                let digest = Digest(number, 0, 0, 0)
                return ViewMember(peer: PeerID(digest), store: StoreID(digest))
            }, quorum: numbers.count / 2 + 1)
    }

    private static let a = view(epoch: 1, [1, 2, 4])
    private static let b = view(epoch: 1, [1, 2, 5])

    @Test func aMemberVotesOncePerRoundAndNeverInAnEarlierOne() {
        var vote = ViewVote()
        #expect(vote.prevote(Self.a, round: 3, validRound: nil, objection: nil) == .agreed)
        #expect(vote.prevote(Self.a, round: 3, validRound: nil, objection: nil) == .agreed)
        #expect(
            vote.prevote(Self.b, round: 3, validRound: nil, objection: nil)
                == .outvoted(round: 3, lock: nil))
        #expect(vote.precommit(Self.a, round: 2) == .outvoted(round: 3, lock: nil))
        #expect(vote.precommit(Self.b, round: 3) == .outvoted(round: 3, lock: nil))
        #expect(!vote.isSealed)
    }

    @Test func precommittingSealsAndLocks() {
        var vote = ViewVote()
        #expect(vote.precommit(Self.a, round: 1) == .agreed)
        #expect(vote.isSealed)
        guard
            case .outvoted(1, let lock?) = vote.prevote(
                Self.b, round: 2, validRound: nil, objection: nil)
        else {
            Issue.record("a lock stands in the way")
            return
        }
        #expect(lock.successor == Self.a)
        // A newer quorum's prevotes unlock; an older one's do not.
        #expect(vote.prevote(Self.b, round: 6, validRound: 1, objection: nil) != .agreed)
        #expect(vote.prevote(Self.b, round: 6, validRound: 4, objection: nil) == .agreed)
        #expect(vote.isSealed, "for good")
    }

    @Test func withoutCauseOnlyAQuorumsPrevotesPersuade() {
        var vote = ViewVote()
        #expect(
            vote.prevote(Self.a, round: 1, validRound: nil, objection: "no") == .refused("no"))
        #expect(vote.prevote(Self.a, round: 5, validRound: 2, objection: "no") == .agreed)
    }

    @Test func roundsBelongToOneProposerEach() {
        let old = Self.view(epoch: 0, [1, 2, 3])
        for seen in 0..<10 as Range<UInt32> {
            for rank in 0..<3 {
                let round = ViewVote.nextRound(after: seen, rank: rank, in: old)
                #expect(round > seen && round <= seen + 3)
                #expect(ViewVote.proposer(of: round, in: old) == rank)
            }
        }
    }
}
