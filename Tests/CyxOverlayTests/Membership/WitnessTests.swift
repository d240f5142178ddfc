import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import Testing

private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

private func key(_ number: UInt8) -> SigningKey {
    SigningKey(seed: [UInt8](repeating: number, count: 32))
}

private let ids = (0..<32).map { key(UInt8($0)).verifyingKey.peerID }

private func statement(_ number: UInt8, network: UInt8, incarnation: UInt64) -> MemberStatement {
    let info = MemberInfo(
        contact: PeerContact(
            peer: ids[Int(number)],
            address: SocketAddress(ipv4: (20, 0, network, number), port: 7700)),
        roles: .storage, zone: "", store: nil, allocatedBytes: 0, freeBytes: 0)
    return .sign(info, incarnation: incarnation, key: key(number), network: NetworkID(.zero))
}

/// What signs in place of a real signature, which a machine never looks at.
private func claim(
    _ kind: Accusation.Kind, _ number: Int, by accuser: Int, incarnation: UInt64 = 7,
    stated: UInt64 = 100
) -> Accusation {
    Accusation(
        peer: ids[number], incarnation: incarnation, kind: kind, accuser: ids[accuser],
        statedMilliseconds: stated, signature: [1])
}

/// Member 0 of a network, whose probes of some members are answered at once and others' never.
private struct Watcher {
    var machine: MembershipMachine
    var silent: Set<PeerID> = []
    /// Accusations that the machine wanted to have signed.
    var accused: [Accusation.Kind] = []
    var time: Int64 = 0

    /// Members 1 to `others`; `network` tells which /24 each is in.
    init(
        others: UInt8, defences: MembershipDefences = .all, network: (UInt8) -> UInt8 = { $0 }
    ) {
        machine = MembershipMachine(
            own: statement(0, network: network(0), incarnation: 7), timings: .devnet,
            defences: defences, seed: 3, now: at(0))
        for number in 1...others {
            machine.handle(
                statement(number, network: network(number), incarnation: 7), now: at(0))
        }
        _ = machine.takeActions()
    }

    mutating func hear(_ accusations: [Accusation]) {
        for accusation in accusations { machine.handle(accusation, now: at(time)) }
    }

    /// Lets time pass until `subject` is in `state`; how long that took, nil if longer than `limit`.
    mutating func wait(for state: MemberState, of subject: Int, limit: Int64 = 20_000) -> Int64? {
        let start = time
        while machine.state(of: ids[subject]) != state {
            guard time - start < limit else { return nil }
            time += 10
            machine.handleTimeout(now: at(time))
            for action in machine.takeActions() {
                switch action {
                case .probe(let id, let target, _) where !silent.contains(target):
                    machine.handleProbeAnswer(id: id, now: at(time))
                case .accuse(_, _, let kind): accused.append(kind)
                default: break
                }
            }
        }
        return time - start
    }
}

@Suite struct WitnessTests {
    @Test func whoeverAnswersIsNotDeadHoweverManySayItIs() {
        func isEverDead(_ defences: MembershipDefences) -> Bool {
            var watcher = Watcher(others: 20, defences: defences)
            for kind in [Accusation.Kind.suspect, .dead] {
                watcher.hear((2...12).map { claim(kind, 1, by: $0) })
            }
            return watcher.wait(for: .dead, of: 1) != nil
        }
        #expect(!isEverDead(.all))
        #expect(isEverDead(MembershipDefences.all.subtracting(.witnesses)))
    }

    @Test func whoeverIsSilentHereAloneIsNotDead() {
        var watcher = Watcher(others: 20)
        watcher.silent = [ids[1]]
        #expect(watcher.wait(for: .suspect, of: 1) != nil)
        #expect(watcher.wait(for: .dead, of: 1) == nil)
        // Two that agree are still too few; with a third it is dead without delay.
        watcher.hear([claim(.suspect, 1, by: 2)])
        #expect(watcher.wait(for: .dead, of: 1) == nil)
        watcher.hear([claim(.suspect, 1, by: 3)])
        #expect((watcher.wait(for: .dead, of: 1) ?? .max) <= 2000)
        // It said so when it suspected, and when it was sure.
        #expect(watcher.accused == [.suspect, .dead])
    }

    @Test func accusersOfOneNetworkCountAsFewWhereThereAreOthers() {
        func isDead(accusers: ClosedRange<Int>) -> Bool {
            // Members 0 and 2 to 9 share a /24.
            var watcher = Watcher(others: 20) { $0 < 10 && $0 != 1 ? 0 : $0 }
            watcher.silent = [ids[1]]
            watcher.hear(accusers.map { claim(.dead, 1, by: $0) })
            return watcher.wait(for: .dead, of: 1) != nil
        }
        #expect(!isDead(accusers: 2...9))
        #expect(isDead(accusers: 8...11))
        // Where all members are of one network, its word is all there is.
        var alone = Watcher(others: 9) { _ in 0 }
        alone.silent = [ids[1]]
        alone.hear((2...5).map { claim(.suspect, 1, by: $0) })
        #expect((alone.wait(for: .dead, of: 1) ?? .max) <= 2500)
    }

    @Test func aSharedSuspicionIsADeathAfterItsMinimum() {
        var watcher = Watcher(others: 20)
        watcher.silent = [ids[1]]
        watcher.hear((2...5).map { claim(.suspect, 1, by: $0) })
        #expect(watcher.wait(for: .dead, of: 1) == 1500)
        // What others have found out to the end needs only this peer's own look.
        var late = Watcher(others: 20)
        late.silent = [ids[1]]
        late.hear((2...5).map { claim(.dead, 1, by: $0) })
        #expect((500...600).contains(late.wait(for: .dead, of: 1) ?? .max))
    }

    @Test func smallNetworksNoticeDeathsWithTheWitnessesThatTheyHave() {
        var pair = Watcher(others: 1)
        pair.silent = [ids[1]]
        #expect((pair.wait(for: .dead, of: 1) ?? .max) < 4000)
        var three = Watcher(others: 2)
        three.silent = [ids[1]]
        #expect(three.wait(for: .suspect, of: 1) != nil)
        three.hear([claim(.suspect, 1, by: 2)])
        #expect((three.wait(for: .dead, of: 1) ?? .max) < 4000)
        // Both others go at once: nobody is left to ask.
        var last = Watcher(others: 2)
        last.silent = [ids[1], ids[2]]
        #expect((last.wait(for: .dead, of: 1) ?? .max) < 10_000)
        #expect((last.wait(for: .dead, of: 2) ?? .max) < 5000)
    }

    @Test func whoWasWrongIsNotBelievedAgainSoon() {
        var watcher = Watcher(others: 20)
        watcher.hear([claim(.suspect, 1, by: 2)])
        #expect(watcher.machine.state(of: ids[1]) == .suspect)
        #expect(watcher.wait(for: .alive, of: 1) != nil)
        watcher.hear([claim(.dead, 1, by: 2, stated: 101)])
        #expect(watcher.machine.state(of: ids[1]) == .alive)
        watcher.hear([claim(.suspect, 1, by: 3)])
        #expect(watcher.machine.state(of: ids[1]) == .suspect)
        // After a while a new word of it counts again, the old one never.
        #expect(watcher.wait(for: .alive, of: 1) != nil)
        watcher.time += 10_000
        watcher.hear([claim(.suspect, 1, by: 3)])
        #expect(watcher.machine.state(of: ids[1]) == .alive)
        watcher.hear([claim(.suspect, 1, by: 3, stated: 200)])
        #expect(watcher.machine.state(of: ids[1]) == .suspect)
    }

    @Test func whoMissedADeathIsShownTheEvidenceForIt() {
        var watcher = Watcher(others: 20)
        watcher.silent = [ids[1]]
        watcher.hear((2...5).map { claim(.suspect, 1, by: $0) })
        #expect(watcher.wait(for: .dead, of: 1) != nil)
        var late = Watcher(others: 20)
        late.silent = [ids[1]]
        let (news, _) = watcher.machine.compare(
            late.machine.versions(), of: ids[9], now: at(watcher.time))
        late.machine.handleSync(news, from: ids[20], now: at(0))
        #expect((late.wait(for: .dead, of: 1) ?? .max) <= 2500)
        // The word of those it compares views with counts too, though nobody signed it.
        var absent = Watcher(others: 20)
        absent.silent = [ids[1]]
        for partner in 2...4 {
            #expect(absent.wait(for: .dead, of: 1, limit: 3000) == nil)
            let versions = watcher.machine.versions()
            _ = absent.machine.compare(versions, of: ids[partner], now: at(absent.time))
        }
        #expect(absent.wait(for: .dead, of: 1) != nil)
        #expect(absent.machine.takeGossip().accusations.allSatisfy { !$0.isHint })
    }

    @Test func onlyMembersThatAreThereTestify() {
        var watcher = Watcher(others: 5)
        watcher.hear([claim(.suspect, 1, by: 20), claim(.suspect, 1, by: 1, incarnation: 6)])
        #expect(watcher.machine.state(of: ids[1]) == .alive)
        watcher.machine.handle(
            .sign(
                statement(2, network: 2, incarnation: 7).info, incarnation: 8, isLeaving: true,
                key: key(2), network: NetworkID(.zero)), now: at(0))
        watcher.hear([claim(.suspect, 1, by: 2)])
        #expect(watcher.machine.state(of: ids[1]) == .alive)
    }

    @Test func manyAccusersAreNeitherKeptNorPassedOn() {
        var watcher = Watcher(others: 30) { $0 / 4 }
        while !watcher.machine.takeGossip().isEmpty {}
        watcher.hear((2...30).map { claim(.suspect, 1, by: $0) })
        #expect(watcher.machine.takeGossip().accusations.count == MembershipLimits.accusers)
        #expect(!watcher.machine.counts(claim(.suspect, 1, by: 30), now: at(0)))
    }

    @Test func aSignatureIsOfOneSubjectIncarnationKindTimeAndNetwork() throws {
        let network = NetworkID(.zero)
        let good = Accusation.sign(
            ids[1], incarnation: 7, kind: .suspect, statedMilliseconds: 5000, key: key(2),
            network: network)
        let verifying = key(2).verifyingKey
        #expect(good.isSigned(by: verifying, network: network))
        #expect(!good.isSigned(by: verifying, network: NetworkID(Digest(1, 0, 0, 0))))
        #expect(!good.isSigned(by: key(3).verifyingKey, network: network))
        var forgeries = [good, good, good, good, good]
        forgeries[0].peer = ids[3]
        forgeries[1].incarnation = 8
        forgeries[2].kind = .dead
        forgeries[3].statedMilliseconds += 1
        forgeries[4].accuser = ids[4]
        for forged in forgeries { #expect(!forged.isSigned(by: verifying, network: network)) }
        let twoHours: UInt64 = 2 * 3600 * 1000
        #expect(good.isRecent(wallMilliseconds: 5000 + twoHours))
        #expect(!good.isRecent(wallMilliseconds: 5001 + twoHours))
        #expect(good.isRecent(wallMilliseconds: 0))
    }
}
