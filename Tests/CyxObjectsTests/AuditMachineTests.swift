import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables
import Testing

@Suite struct AuditMachineTests {
    private static func key(_ number: UInt8) -> SigningKey {
        SigningKey(seed: [UInt8](repeating: number, count: 32))
    }

    private let shard = ShardID(segment: SegmentID(BLAKE3.hash([1])), index: 3)

    // MARK: Beacon

    private func sealed(_ revealers: [UInt8]) throws -> BeaconMachine {
        var machine = BeaconMachine(period: 9, row: nil)
        for number in [5, 1, 3] as [UInt8] {
            let taken5 = machine.commit(Self.key(number))
            #expect(taken5)
            let refused1 = machine.commit(Self.key(number))
            #expect(!refused1)
        }
        let refused2 = machine.seal()
        #expect(!refused2)
        for number in revealers {
            let isRevealed = machine.reveal(Self.key(number))
            #expect(isRevealed)
        }
        #expect(machine.beacon == nil)
        let taken6 = machine.seal()
        #expect(taken6)
        return machine
    }

    @Test func aBeaconIsMadeOfWhatWasRevealedAndIsFinal() throws {
        var machine = try sealed([1, 3, 5])
        let beacon = try #require(machine.beacon)
        #expect(try sealed([5, 3, 1]).beacon == beacon)
        #expect(try sealed([1, 3]).beacon != beacon)
        let refused3 = machine.reveal(Self.key(1))
        #expect(!refused3)
        let refused4 = machine.commit(Self.key(7))
        #expect(!refused4)
        let row = try BeaconRow(protobuf: machine.row.protobufBytes())
        #expect(BeaconMachine(period: 9, row: row).beacon == beacon)
        #expect(BeaconMachine.objection(to: row, period: 9) == nil)
        // Another period's, another secret, another's share: none of it is stored.
        #expect(BeaconMachine.objection(to: row, period: 10) != nil)
        var bent = row
        bent.shares[0].secret[0] ^= 1
        #expect(BeaconMachine.objection(to: bent, period: 9) != nil)
        bent = row
        bent.shares[1].peerKey = Self.key(8).verifyingKey.bytes
        #expect(BeaconMachine.objection(to: bent, period: 9) != nil)
    }

    // MARK: Answers

    private let file = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 7) }

    private func receipt(_ key: SigningKey, _ store: StoreID) throws -> StoreReceipt {
        StoreReceipt.signed(
            shard, root: BLAKE3.hash(file), fileBytes: file.count, store: store,
            nonce: [UInt8](repeating: 1, count: StoreReceipt.nonceBytes), by: key)
    }

    @Test func onlyTheRightBlockPassesAndAWrongOneIsProof() throws {
        let (key, store) = (Self.key(1), StoreID(BLAKE3.hash([9])))
        let receipt = try receipt(key, store)
        let challenge = AuditChallenge(period: 4, beacon: BLAKE3.hash([2]), shard: shard)
        let tree = ShardTree(file)
        let block = challenge.block(fileBytes: UInt64(file.count))
        let span = ShardTree.bytes(ofBlock: block, fileLength: UInt64(file.count))
        let bytes = Array(file[Int(span.lowerBound)..<Int(span.upperBound)])
        func answer(
            _ bytes: [UInt8], _ status: AuditStatus = .found, store: StoreID = store,
            to challenge: AuditChallenge = challenge, by key: SigningKey = key
        ) -> AuditAnswer {
            AuditAnswer.signed(
                challenge, status, store: store, time: WallTime(milliseconds: 5), block: bytes,
                proof: tree.proof(ofBlock: block, group: file), by: key)
        }
        #expect(challenge.judge(answer(bytes), by: receipt) == .passed)
        var bent = bytes
        bent[0] ^= 1
        let wrong = answer(bent)
        #expect(challenge.judge(wrong, by: receipt) == .wrong)
        #expect(challenge.judge(answer([], .missing), by: receipt) == .missing)
        let proven = AuditEvidence(receipt, challenge, wrong).proven
        #expect(proven?.peer == key.verifyingKey.peerID)
        #expect(proven?.shard == shard)
        // What is nobody's word, of another store, or of another challenge, proves nothing.
        var unsigned = wrong
        unsigned.timeMs += 1
        #expect(challenge.judge(unsigned, by: receipt) == .unusable)
        #expect(challenge.judge(answer(bent, by: Self.key(2)), by: receipt) == .unusable)
        #expect(
            challenge.judge(answer(bent, store: StoreID(.zero)), by: receipt) == .unusable)
        var later = challenge
        later.period = 5
        #expect(challenge.judge(answer(bent, to: later), by: receipt) == .unusable)
        #expect(AuditEvidence(receipt, challenge, unsigned).proven == nil)
        #expect(AuditEvidence(receipt, challenge, answer(bytes)).proven == nil)
    }

    // MARK: Outcomes

    @Test(arguments: [
        ([AuditReply.judged(.passed)], AuditOutcome.passed),
        ([.silent, .unreachable, .judged(.passed)], .passed),
        ([.judged(.missing), .judged(.passed)], .passed),
        ([.judged(.missing), .judged(.deleted)], .void),
        ([.judged(.missing), .judged(.wrong), .judged(.missing)], .wrong),
        ([.unreachable, .judged(.missing), .unreachable], .wrong),
        ([.unreachable, .unreachable, .unreachable], .offline),
        ([.unreachable, .silent, .unreachable], .unknown),
        ([.judged(.unusable), .judged(.missing), .silent], .unknown),
    ])
    func anAuditEndsWithWhatItsAnswersShow(replies: [AuditReply], outcome: AuditOutcome) {
        var attempt = AuditAttempt(timings: .production)
        for reply in replies.dropLast() {
            let step = attempt.note(reply)
            #expect(step == .ask(after: AuditTimings.production.retry))
        }
        let step = attempt.note(replies[replies.count - 1])
        #expect(step == .finish(outcome))
    }

    // MARK: Standing

    private let peer = PeerID(BLAKE3.hash([4]))

    @Test func wrongAnswersWarnThenSuspendThenBan() {
        var standing = Standing(peer: peer)
        var verdicts: [Verdict] = []
        for window in 1...50 as ClosedRange<UInt64> {
            standing.close(window, WindowTally(wrong: 1))
            verdicts.append(standing.verdict.verdict)
        }
        #expect(verdicts.first == .warned)
        // 1 − 0.999^n passes 0.02 at the 21st and 0.04 at the 41st.
        #expect(verdicts.firstIndex(of: .suspended) == 20)
        #expect(verdicts.firstIndex(of: .banned) == 40)
        #expect(standing.verdict.reason == .wrong)
        for window in 51...400 as ClosedRange<UInt64> {
            standing.close(window, WindowTally(passed: 24))
        }
        #expect(standing.verdict.verdict == .banned)
    }

    @Test func silenceSuspendsAndABetterWeekLiftsIt() {
        var standing = Standing(peer: peer)
        standing.close(1, WindowTally(unknown: 9))
        #expect(standing.verdict.verdict == .warned)
        standing.close(2, WindowTally(unknown: 1))
        #expect(standing.verdict == (.suspended, .unknown))
        standing.close(3, WindowTally(passed: 24))
        #expect(standing.verdict.verdict < .suspended)
        for window in 4...18 as ClosedRange<UInt64> {
            standing.close(window, WindowTally(unknown: 12))
        }
        #expect(standing.verdict == (.banned, .unknown))
    }

    @Test func absenceCountsOnlyOnceAPeerIsKnownForAMonth() {
        var standing = Standing(peer: peer)
        for window in 1...59 as ClosedRange<UInt64> {
            standing.close(window, WindowTally(offline: 12))
            #expect(standing.verdict.verdict < .suspended)
        }
        standing.close(60, WindowTally(offline: 12))
        #expect(standing.verdict == (.suspended, .offline))
        for window in 61...133 as ClosedRange<UInt64> {
            standing.close(window, WindowTally(offline: 12))
        }
        #expect(standing.verdict.verdict == .suspended)
        standing.close(134, WindowTally(offline: 12))
        #expect(standing.verdict == (.banned, .offline))
    }

    @Test func aStandingSurvivesItsRow() throws {
        var standing = Standing(peer: peer)
        for window in 1...70 as ClosedRange<UInt64> {
            standing.close(
                window, WindowTally(passed: 10, wrong: window % 9 == 0 ? 1 : 0, offline: 3))
        }
        let row = try StandingRow(protobuf: standing.row.protobufBytes())
        #expect(Standing(row, of: peer) == standing)
        #expect(Standing(row, of: PeerID(.zero)) == nil)
        var broken = row
        broken.wrong?.alpha = -1
        #expect(Standing(broken, of: peer) == nil)
    }
}
