import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import Testing

private let network = NetworkID(.zero)

private func key(_ number: UInt8) -> SigningKey {
    SigningKey(seed: [UInt8](repeating: number, count: 32))
}

private func statement(
    _ number: UInt8, _ incarnation: UInt64, isLeaving: Bool = false
) -> MemberStatement {
    let key = key(number)
    let info = MemberInfo(
        contact: PeerContact(
            peer: key.verifyingKey.peerID,
            address: SocketAddress(ipv4: (10, 0, 0, number), port: 7700)),
        roles: [.storage, .gateway], zone: "rack\(number)", store: StoreID(Digest(1, 2, 3, 4)),
        allocatedBytes: 100, freeBytes: 50)
    return MemberStatement.sign(
        info, incarnation: incarnation, isLeaving: isLeaving, key: key, network: network)
}

private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

/// Peer 0 among others, at time 0.
private func machine(
    others: UInt8, defences: MembershipDefences = .all
) -> MembershipMachine {
    var machine = MembershipMachine(
        own: statement(0, 1000), timings: .devnet, defences: defences, seed: 1, now: at(0))
    for number in 1...others { machine.handle(statement(number, 1000), now: at(0)) }
    _ = machine.takeActions()
    return machine
}

private func id(_ number: UInt8) -> PeerID { key(number).verifyingKey.peerID }

private func claim(
    _ kind: Accusation.Kind, _ number: UInt8, _ incarnation: UInt64 = 1000, by accuser: UInt8
) -> Accusation {
    Accusation(
        peer: id(number), incarnation: incarnation, kind: kind, accuser: id(accuser),
        signature: [1])
}

@Suite struct MembershipMachineTests {
    @Test func aLoneSuspicionLastsLongAndASharedOneIsShort() {
        func deadAfter(witnesses: [UInt8]) -> Int64 {
            var machine = machine(others: 9, defences: .lifeguard)
            for witness in witnesses { machine.handle(claim(.suspect, 1, by: witness), now: at(0)) }
            // The same witness again adds nothing.
            machine.handle(claim(.suspect, 1, by: 2), now: at(1))
            #expect(machine.state(of: id(1)) == .suspect)
            var time: Int64 = 0
            while machine.state(of: id(1)) == .suspect {
                time += 10
                machine.handleTimeout(now: at(time))
                // Probes of the others are answered.
                for case .probe(let probe, let target, _) in machine.takeActions()
                where target != id(1) {
                    machine.handleProbeAnswer(id: probe, now: at(time))
                }
                if time > 10_000 { break }
            }
            return time
        }
        #expect(deadAfter(witnesses: [2, 3, 4, 5]) == 1500)
        #expect((1500...4500).contains(deadAfter(witnesses: [2])))
        #expect(deadAfter(witnesses: [2, 3]) > 1500)
    }

    @Test func aProbeWithoutAnswerGoesThroughOthersAndThenSuspects() {
        var machine = machine(others: 6)
        var time: Int64 = 0
        var target: PeerID?
        var probe: UInt64 = 0
        var helpers: [PeerID] = []
        while time < 2000, target.map({ machine.state(of: $0) == .alive }) ?? true {
            time += 10
            machine.handleTimeout(now: at(time))
            for action in machine.takeActions() {
                switch action {
                case .probe(let id, let peer, let timeout) where target == nil:
                    (probe, target) = (id, peer)
                    #expect(timeout == .milliseconds(500))
                case .probeThrough(let id, let peer, let through, _):
                    #expect(id == probe && peer == target)
                    helpers = through
                default: break
                }
            }
        }
        #expect(helpers.count == 3)
        #expect(target.map { !helpers.contains($0) } == true)
        #expect(target.flatMap { machine.state(of: $0) } == .suspect)
        // No helper said "no": perhaps it is this peer that is cut off.
        #expect(machine.health == 3)
    }

    @Test func helpersThatSayNoLeaveTheHealthAlone() {
        var machine = machine(others: 6)
        var time: Int64 = 0
        while machine.members(since: at(0)).values.allSatisfy({ $0.state == .alive }), time < 3000 {
            time += 10
            machine.handleTimeout(now: at(time))
            for case .probeThrough(let id, _, let helpers, _) in machine.takeActions() {
                for _ in helpers { machine.handleHelperMiss(id: id) }
            }
        }
        #expect(machine.health == 0)
        #expect(time < 1000)
    }

    @Test func aSuspectedMemberIsToldSoByWhoeverTalksToIt() {
        func words(_ defences: MembershipDefences) -> [PeerID] {
            var machine = MembershipMachine(
                own: statement(0, 1000), timings: .devnet, defences: defences, seed: 1, now: at(0))
            for number in 1...5 as ClosedRange<UInt8> {
                machine.handle(statement(number, 1000), now: at(0))
            }
            machine.handle(claim(.suspect, 1, by: 2), now: at(0))
            while !machine.takeGossip(for: id(3)).isEmpty {}
            #expect(machine.takeGossip(for: id(4)).isEmpty)
            return machine.takeGossip(for: id(1)).accusations.map(\.peer)
        }
        #expect(words(.all) == [id(1)])
        #expect(words(.plainSWIM) == [])
    }

    @Test func plainSWIMNeitherWaitsForOthersNorDoubtsItself() {
        var machine = MembershipMachine(
            own: statement(0, 1000), timings: .devnet, defences: .plainSWIM, seed: 1, now: at(0))
        for number in 1...6 as ClosedRange<UInt8> {
            machine.handle(statement(number, 1000), now: at(0))
        }
        machine.handle(claim(.suspect, 1, by: 2), now: at(0))
        machine.handle(claim(.suspect, 0, by: 2), now: at(0))
        for time in stride(from: 10, through: 1490, by: 10) {
            machine.handleTimeout(now: at(Int64(time)))
        }
        #expect(machine.state(of: id(1)) == .suspect)
        machine.handleTimeout(now: at(1500))
        #expect(machine.state(of: id(1)) == .dead)
        #expect(machine.health == 0)
    }

    @Test func suspicionsAreRefutedByAHigherIncarnationOnly() {
        var machine = machine(others: 4)
        machine.handle(claim(.suspect, 1, by: 2), now: at(0))
        machine.handle(statement(1, 1000), now: at(1))
        #expect(machine.state(of: id(1)) == .suspect)
        machine.handle(statement(1, 1001), now: at(1))
        #expect(machine.state(of: id(1)) == .alive)
        // What was said of an earlier incarnation, or of one nobody signed, no longer counts.
        machine.handle(claim(.dead, 1, by: 2), now: at(2))
        machine.handle(claim(.dead, 1, 5000, by: 2), now: at(2))
        #expect(machine.state(of: id(1)) == .alive)
    }

    @Test func doubtsOfThisPeerAreAnsweredAndInventedOnesAreNot() {
        var machine = machine(others: 3)
        machine.handle(claim(.suspect, 0, 999, by: 1), now: at(0))
        machine.handle(claim(.suspect, 0, UInt64.max, by: 1), now: at(0))
        #expect(machine.takeActions().isEmpty)
        machine.handle(claim(.dead, 0, by: 1), now: at(0))
        #expect(machine.takeActions() == [.restate(incarnation: 1001)])
        #expect(machine.health == 1)
        // A former life whose clock was ahead.
        machine.handle(statement(0, 4000), now: at(0))
        #expect(machine.takeActions() == [.restate(incarnation: 4001)])
    }

    @Test func aStalledProcessWaitsForWhatItHasNotHeard() {
        var machine = machine(others: 9)
        for witness in 2...5 as ClosedRange<UInt8> {
            machine.handle(claim(.suspect, 1, by: witness), now: at(0))
        }
        // Nothing runs for 5 s: the refutation may be in the socket's buffer.
        machine.handleTimeout(now: at(5000))
        #expect(machine.state(of: id(1)) == .suspect)
        #expect(machine.stalls == 1 && machine.health == 1)
        machine.handle(statement(1, 1001), now: at(5001))
        #expect(machine.state(of: id(1)) == .alive)
    }

    @Test func theDeadAreForgottenInTimeAndInNumber() {
        var machine = machine(others: 3, defences: .lifeguard)
        machine.handle(claim(.dead, 1, by: 2), now: at(0))
        machine.handle(statement(2, 1001, isLeaving: true), now: at(0))
        #expect(machine.state(of: id(1)) == .dead && machine.state(of: id(2)) == .left)
        let day: Int64 = 24 * 3600 * 1000
        machine.handleTimeout(now: at(day - 60_000))
        #expect(machine.state(of: id(1)) == .dead)
        machine.handleTimeout(now: at(day + 60_000))
        #expect(machine.state(of: id(1)) == nil && machine.state(of: id(2)) == nil)
        #expect(machine.reachablePeers == [id(3)])
    }

    @Test func aComparisonTeachesBothSides() {
        var left = machine(others: 3, defences: .lifeguard)
        var right = MembershipMachine(
            own: statement(9, 1000), timings: .devnet, seed: 2, now: at(0))
        right.handle(statement(1, 2000), now: at(0))
        left.handle(claim(.dead, 2, by: 3), now: at(0))
        let (news, wanted) = left.compare(right.versions(), of: id(9), now: at(1))
        #expect(Set(wanted) == [id(9), id(1)])
        #expect(Set(news.statements.map(\.peer)) == [id(0), id(3)])
        right.handleSync(news, from: id(0), now: at(1))
        // Whom it never met and the other holds dead it need not know.
        #expect(right.state(of: id(2)) == nil)
        #expect(right.state(of: id(3)) == .alive)
        for peer in wanted {
            if let statement = right.statement(of: peer) { left.handle(statement, now: at(2)) }
        }
        #expect(left.incarnation(of: id(1)) == 2000)
        #expect(left.state(of: id(9)) == .alive)
        // What one side thinks dead and the other alive is only looked at by the other, which tells
        // the subject what is said of it.
        var third = machine(others: 3)
        _ = third.compare(left.versions(), of: id(9), now: at(3))
        #expect(third.state(of: id(2)) == .alive)
        third.handleTimeout(now: at(3))
        let probed = third.takeActions().contains { action in
            if case .probe(_, id(2), _) = action { true } else { false }
        }
        #expect(probed)
        #expect(third.takeGossip(for: id(2)).accusations.map(\.peer) == [id(2)])
    }

    @Test func anUpdateIsPassedOnABoundedNumberOfTimes() {
        var machine = machine(others: 9)
        var messages = 0
        while true {
            let content = machine.takeGossip()
            if content.statements.isEmpty && content.accusations.isEmpty { break }
            messages += 1
            #expect(messages < 100)
        }
        // λ · ⌈log10⌉ for 10 peers, all in one message each time.
        #expect(messages == 8)
    }
}
