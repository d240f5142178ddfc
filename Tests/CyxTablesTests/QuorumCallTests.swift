import CyxCore
import CyxTransport
import Testing

@testable import CyxTables

/// Whom a request to several peers is sent to, and when it is over.
@Suite struct QuorumCallTests {
    private final class Bench {
        let peers = (1...9 as ClosedRange<UInt64>).map { PeerID(Digest($0, 0, 0, 0)) }
        private(set) var asked: [PeerID] = []
        private(set) var graces = 0
        /// Five replies are enough if they are equal.
        private(set) lazy var call = QuorumCall<Int>(peers) { [unowned self] _, peer in
            asked.append(peer)
        } startGrace: { [unowned self] in
            graces += 1
        } judge: { answers in
            guard answers.count >= 5 else { return .goOn }
            return Set(answers.map(\.reply)).count == 1 ? .finish : .finishSoon
        }

        init() { call.ask(5) }

        func answer(_ index: Int, _ reply: Int = 1) {
            call.receive(.success(reply), from: peers[index])
        }
    }

    @Test func onlyAsManyAreAskedAsCanBeEnough() async {
        let bench = Bench()
        for index in 0..<5 {
            #expect(bench.asked == Array(bench.peers.prefix(5)))
            bench.answer(index)
        }
        await bench.call.wait()
        bench.call.widen()
        #expect(bench.asked.count == 5, "nobody is asked after the end")
        #expect(bench.call.answers.count == 5)
    }

    @Test func whereOneFailsTheOthersAreAskedAtOnce() async {
        let bench = Bench()
        bench.call.receive(.failure(.timedOut), from: bench.peers[0])
        #expect(bench.asked == bench.peers)
        for index in 1..<6 { bench.answer(index) }
        await bench.call.wait()
        #expect(bench.call.answers.count == 5)
    }

    @Test func whereAnswersDifferTheOthersAreAskedAndWaitedForALittle() async {
        let bench = Bench()
        bench.answer(0, 2)
        for index in 1..<5 { bench.answer(index) }
        #expect(bench.asked == bench.peers)
        #expect(bench.graces == 1)
        for index in 5..<8 { bench.answer(index) }
        #expect(bench.graces == 1)
        bench.call.finish()
        bench.answer(8)
        await bench.call.wait()
        #expect(bench.call.answers.count == 8, "late replies are dropped")
    }

    @Test func whoIsSlowMakesTheOthersBeAsked() async {
        let bench = Bench()
        for index in 0..<4 { bench.answer(index) }
        bench.call.widen()
        #expect(bench.asked == bench.peers)
        bench.answer(7)
        await bench.call.wait()
        #expect(bench.call.answers.count == 5)
    }

    @Test func itEndsWhenAllHaveFailed() async {
        let bench = Bench()
        for peer in bench.peers { bench.call.receive(.failure(.unreachable), from: peer) }
        await bench.call.wait()
        #expect(bench.call.failures.count == 9)
    }
}
