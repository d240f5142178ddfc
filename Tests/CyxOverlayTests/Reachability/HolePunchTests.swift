import CyxCore
import CyxOverlay
import CyxTransport
import Testing

@Suite struct HolePunchTests {
    private let now = Instant(nanoseconds: 0)

    private func address(_ number: UInt8, port: UInt16 = 700) -> SocketAddress {
        SocketAddress(ipv4: (9, 1, 1, number), port: port)
    }

    @Test func openersGoToEveryCandidateAndAreRepeatedSoManyTimes() {
        var punch = HolePunch(dials: false, now: now)
        punch.begin((1...9).map { address($0) }, now: now)
        var sent: [SocketAddress] = []
        var ended = false
        for _ in 0..<100 {
            for action in punch.takeActions() {
                switch action {
                case .open(let address): sent.append(address)
                case .dial: Issue.record("only who asked dials")
                case .ended: ended = true
                }
            }
            guard let next = punch.nextTimeout else { break }
            punch.handleTimeout(now: next)
        }
        #expect(ended)
        #expect(punch.nextTimeout == nil)
        #expect(Set(sent) == Set((1...4).map { address($0) }))
        #expect(sent.count == HolePunch.candidatesMax * HolePunch.schedule.count)
    }

    @Test func anUnknownAddressIsAnsweredAtOnceButNotAnyNumberOfThem() {
        var punch = HolePunch(dials: false, now: now)
        punch.begin([address(1)], now: now)
        _ = punch.takeActions()
        punch.handleOpener(from: address(1, port: 9), now: now)
        #expect(punch.takeActions() == [.open(address(1, port: 9))])
        punch.handleOpener(from: address(1, port: 9), now: now)
        #expect(punch.takeActions() == [])
        for port in 10...90 { punch.handleOpener(from: address(2, port: UInt16(port)), now: now) }
        #expect(punch.takeActions().count == HolePunch.learnedMax - 1)
    }

    @Test func whoAskedDialsWhereAnOpenerCameFromAndOnlyThere() {
        var punch = HolePunch(dials: true, now: now)
        // It may come before the other side's answer.
        punch.handleOpener(from: address(3), now: now)
        #expect(punch.takeActions() == [.dial(address(3))])
        punch.begin([address(1)], now: now)
        #expect(punch.takeActions() == [.open(address(3)), .open(address(1))])
        punch.handleOpener(from: address(1), now: now)
        #expect(punch.takeActions() == [])
        // The next one only when the first handshake has had its time.
        punch.handleTimeout(now: now + HolePunch.dialPatience)
        #expect(punch.takeActions().contains(.dial(address(1))))
        punch.succeeded()
        #expect(punch.nextTimeout == nil)
        punch.handleTimeout(now: now + HolePunch.patience)
        #expect(punch.takeActions() == [])
    }

    @Test func onlySoManyAddressesAreDialed() {
        var punch = HolePunch(dials: true, now: now)
        for number in 1...9 { punch.handleOpener(from: address(UInt8(number)), now: now) }
        var dials = 0
        while let next = punch.nextTimeout {
            punch.handleTimeout(now: next)
            for case .dial in punch.takeActions() { dials += 1 }
        }
        #expect(dials == HolePunch.dialsMax)
    }
}

@Suite struct PathSearchTests {
    private let now = Instant(nanoseconds: 0)

    private func relay(_ number: UInt8) -> PeerContact {
        PeerContact(
            peer: PeerID(Digest(UInt64(number), 0, 0, 0)),
            address: SocketAddress(ipv4: (9, 1, 1, number), port: 7))
    }

    @Test func aRelayIsAskedOnlyWhenAMeetingTakesLong() {
        var search = PathSearch(relays: [relay(1), relay(2)], now: now)
        #expect(search.takeActions() == [.meet(through: relay(1))])
        #expect(search.nextTimeout == now + PathSearch.relayAfter)
        search.handleTimeout(now: now + PathSearch.relayAfter)
        #expect(search.takeActions() == [.relay(through: relay(1))])
        search.relayFailed(now: now + PathSearch.relayAfter)
        #expect(search.takeActions() == [.relay(through: relay(2))])
        search.opened(direct: false, now: now + .seconds(1))
        #expect(search.standing == .relayed)
        // The openers led to nothing: they are tried again later, with pauses that grow.
        search.punchEnded(now: now + .seconds(4))
        var times: [Instant] = []
        while let next = search.nextTimeout {
            search.handleTimeout(now: next)
            times.append(next)
            #expect(search.takeActions().count == 1)
        }
        #expect(times.count == PathSearch.retries.count)
        search.opened(direct: true, now: now + .seconds(2000))
        #expect(search.standing == .direct)
        // A relayed connection that follows does not matter.
        search.opened(direct: false, now: now + .seconds(2001))
        #expect(search.standing == .direct)
        search.fellBack(now: now + .seconds(3000))
        #expect(search.standing == .relayed)
        #expect(search.nextTimeout == now + .seconds(3000) + PathSearch.retries[0])
    }

    @Test func whenNothingLeadsThereItIsGivenUpAtOnce() {
        var search = PathSearch(relays: [relay(1)], now: now)
        _ = search.takeActions()
        search.meetingFailed(now: now)
        #expect(search.takeActions() == [.relay(through: relay(1))])
        search.relayFailed(now: now)
        #expect(search.takeActions() == [.giveUp])
        var nobody = PathSearch(relays: [], now: now)
        #expect(nobody.takeActions() == [.giveUp])
    }

    @Test func aSearchEndsSomeTime() {
        var search = PathSearch(relays: [relay(1)], now: now)
        var actions: [PathSearch.Action] = []
        while let next = search.nextTimeout {
            search.handleTimeout(now: next)
            actions += search.takeActions()
        }
        #expect(actions.last == .giveUp)
        #expect(search.standing == .failed)
    }
}
