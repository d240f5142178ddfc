import CyxCore
import CyxOverlay
import Testing

/// Members outside a partial view that are asked after, and what is made of their answers.
@Suite struct WatchListTests {
    private let start = Instant(nanoseconds: 0)
    private let interval = WatchList.Interest.custodians.interval

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
            list.handleWord(info(number), .alive, now: start)
        }
        #expect(list.takeDue(20, now: start + interval - .seconds(1)).isEmpty)
        #expect(list.takeDue(20, now: start + interval).count == 10)
        #expect(list.members.count == 10)
    }

    @Test func whoIsSilentIsSuspectedThenDeadThenAliveWhenItAnswers() {
        var list = list(1...1)
        let peer = info(1).peer
        _ = list.takeDue(1, now: start)
        list.handleWord(info(1), .alive, now: start)
        var now = start + interval
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
        list.handleWord(info(1), .alive, now: now)
        #expect(list.member(peer)?.state == .alive && list.member(peer)?.since == now)
        #expect(list.member(peer)?.joined == start)
    }

    @Test func ofOneThatNeverAnsweredNothingIsKnown() {
        var list = list(1...1)
        for failures in 1...5 {
            #expect(list.silent.isEmpty == (failures <= WatchList.failures))
            list.handleFailure(of: info(1).peer, now: start)
        }
        #expect(list.members.isEmpty)
        #expect(list.silent == [info(1).peer])
    }

    @Test func whoIsOffForMaintenanceIsNotDead() {
        var list = list(1...1)
        list.handleWord(info(1), .alive, now: start)
        for _ in 0..<2 { list.handleFailure(of: info(1).peer, now: start) }
        list.handleWord(info(1), .away, now: start)
        list.handleFailure(of: info(1).peer, now: start)
        #expect(list.member(info(1).peer)?.state == .suspect)
    }

    @Test func changesAreToldAndSamenessIsNot() {
        var list = list(1...1)
        var steps: [Bool] = []
        for _ in 0..<2 {
            list.handleWord(info(1), .alive, now: start)
            steps.append(list.takeChanged())
        }
        for _ in 0..<4 {
            list.handleFailure(of: info(1).peer, now: start)
            steps.append(list.takeChanged())
        }
        #expect(steps == [true, false, true, false, true, false])
    }

    /// Custodians are few, and operations wait for them.
    @Test func custodiansComeBeforeHoldersAndAreAskedMoreOften() {
        var list = WatchList(limit: 40, questions: 10)
        let members = (1...41).map { info($0) }.sorted { $0.peer < $1.peer }
        list.want(Set(members.prefix(40).map(\.peer)), for: .holders, now: start)
        list.want([members[40].peer], for: .custodians, now: start)
        let due = Set(list.takeDue(100, now: start))
        #expect(due == Set(members.map(\.peer)).subtracting([members[39].peer]))
        for info in members { list.handleWord(info, .alive, now: start) }
        // Four times as many as can be asked in an interval.
        for (interest, count) in [(WatchList.Interest.custodians, 1), (.holders, 39)] {
            let next = start + interest.interval * 4
            #expect(list.takeDue(100, now: next - .seconds(1)).isEmpty)
            #expect(list.takeDue(100, now: next).count == count)
        }
    }

    @Test func whoIsOfNoInterestAnyMoreIsForgotten() {
        var list = list(1...3)
        list.want([info(3).peer, info(4).peer], for: .holders, now: start)
        list.handleWord(info(3), .alive, now: start)
        list.want([], for: .custodians, now: start)
        #expect(Set(list.takeDue(9, now: start)) == [info(4).peer])
        #expect(list.members.keys.map { $0 } == [info(3).peer])
    }
}
