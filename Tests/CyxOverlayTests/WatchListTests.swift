import CyxCore
import CyxOverlay
import Testing

/// Members outside a partial view that are asked after, and what is made of their answers.
@Suite struct WatchListTests {
    private let start = Instant(nanoseconds: 0)

    private func info(_ number: UInt64) -> MemberInfo { makeMember(number).info }

    private func list(_ numbers: ClosedRange<UInt64>) -> WatchList {
        var list = WatchList()
        list.want(Set(numbers.map { info($0).peer }), for: .custodians, now: start)
        return list
    }

    @Test func everybodyIsAskedOnceAndAgainMinutesLater() {
        var list = list(1...10)
        let first = list.takeDue(4, now: start)
        let rest = list.takeDue(20, now: start)
        #expect(first.count == 4 && Set(first + rest).count == 10)
        #expect(list.takeDue(20, now: start).isEmpty)
        for number in 1...10 as ClosedRange<UInt64> {
            list.handleAnswer(info(number), isLeaving: false, now: start)
        }
        #expect(list.takeDue(20, now: start + WatchList.interval - .seconds(1)).isEmpty)
        #expect(list.takeDue(20, now: start + WatchList.interval).count == 10)
        #expect(list.members.count == 10)
    }

    @Test func whoIsSilentIsSuspectedThenDeadThenAliveWhenItAnswers() {
        var list = list(1...1)
        let peer = info(1).peer
        _ = list.takeDue(1, now: start)
        list.handleAnswer(info(1), isLeaving: false, now: start)
        var now = start + WatchList.interval
        var states: [MemberState?] = []
        for _ in 0..<WatchList.failures {
            #expect(list.takeDue(1, now: now) == [peer])
            list.handleFailure(of: peer, now: now)
            states.append(list.member(peer)?.state)
            now = now + WatchList.retry
        }
        #expect(states == [.suspect, .suspect, .dead])
        #expect(list.member(peer)?.since == now - WatchList.retry)
        // A dead one is not asked more often than any other.
        #expect(list.takeDue(1, now: now).isEmpty)
        list.handleAnswer(info(1), isLeaving: false, now: now)
        #expect(list.member(peer)?.state == .alive && list.member(peer)?.since == now)
        #expect(list.member(peer)?.joined == start)
    }

    @Test func ofOneThatNeverAnsweredNothingIsKnown() {
        var list = list(1...1)
        for _ in 0..<5 { list.handleFailure(of: info(1).peer, now: start) }
        #expect(list.members.isEmpty)
    }

    @Test func whoIsOfNoInterestAnyMoreIsForgotten() {
        var list = list(1...3)
        list.want([info(3).peer, info(4).peer], for: .holders, now: start)
        list.handleAnswer(info(3), isLeaving: false, now: start)
        list.want([], for: .custodians, now: start)
        #expect(Set(list.takeDue(9, now: start)) == [info(4).peer])
        #expect(list.members.keys.map { $0 } == [info(3).peer])
    }
}
