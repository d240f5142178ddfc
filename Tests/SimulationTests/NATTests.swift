import CyxCore
import ProtocolSimulation
import SimulationHarness
import Testing

@Suite struct NATBoxTests {
    private let now = Instant(nanoseconds: 0)
    private let inside = SocketAddress(ipv4: (192, 168, 0, 2), port: 7)

    private func outside(_ host: UInt8, _ port: UInt16 = 9) -> SocketAddress {
        SocketAddress(ipv4: (9, 9, 9, host), port: port)
    }

    /// Whether a NAT that has sent to host 1, port 9, lets in: the same; another port of it; another
    /// host.
    @Test(arguments: [
        (NATKind.fullCone, [true, true, true]), (.restrictedCone, [true, true, false]),
        (.portRestrictedCone, [true, false, false]), (.symmetric, [true, false, false]),
    ])
    func filtersAsItsKindSays(_ kind: NATKind, _ letsIn: [Bool]) throws {
        var box = NATBox(publicIP: 5, behaviour: kind.behaviour, seed: 1)
        let mapped = box.outbound(from: inside, to: outside(1), now: now)
        let seen = try #require(mapped)
        let sources = [outside(1), outside(1, 10), outside(2)]
        #expect(
            sources.map { box.inbound(to: seen.port, from: $0, now: now) == inside } == letsIn)
        #expect(box.inbound(to: seen.port ^ 1, from: outside(1), now: now) == nil)
    }

    @Test(arguments: NATKind.allCases)
    func mapsAsItsKindSays(_ kind: NATKind) {
        var box = NATBox(publicIP: 5, behaviour: kind.behaviour, seed: 1)
        let ports = [outside(1), outside(1), outside(1, 10), outside(2)].map {
            box.outbound(from: inside, to: $0, now: now)?.port
        }
        #expect(ports[0] == ports[1])
        #expect(Set(ports).count == (kind == .symmetric ? 3 : 1))
    }

    @Test func aMappingThatIsNotUsedIsForgotten() throws {
        var box = NATBox(publicIP: 5, behaviour: .fullCone, seed: 1)
        let mapped = box.outbound(from: inside, to: outside(1), now: now)
        let seen = try #require(mapped)
        let kept = now + .seconds(29)
        #expect(box.inbound(to: seen.port, from: outside(1), now: kept) == inside)
        // What comes in keeps nothing alive (RFC 4787 §4.3 leaves that open; the safe choice).
        let late = now + .seconds(31)
        #expect(box.inbound(to: seen.port, from: outside(1), now: late) == nil)
        #expect(box.outbound(from: inside, to: outside(1), now: late)?.port != seen.port)
    }
}

@Suite struct NATTraversalTests {
    private static let pairings = NATKind.allCases.flatMap { caller in
        NATKind.allCases.map { (caller, $0) }
    }

    @Test func thirteenOfSixteenPairingsCanBeOpened() {
        #expect(Self.pairings.count { $0.0.opens(to: $0.1) } == 13)
    }

    @Test(arguments: pairings)
    func everyPairingGetsThePathThatItsNATsAllow(_ caller: NATKind, _ target: NATKind) throws {
        let outcome = NATPairing.run(caller: caller, target: target, seed: 7)
        // A direct path stays the one in use: the relays carry nothing of what follows.
        #expect((outcome.direct != nil) == caller.opens(to: target))
        #expect((outcome.relayedBulkBytes == 0) == caller.opens(to: target))
        #expect(outcome.bulkAnswered)
        // A meeting and a handshake over links of 25 ms, or the wait before a relay is asked, too.
        #expect(try #require(outcome.firstAnswer) < 1000)
    }

    @Test func lossDelaysAPathButDoesNotPreventIt() {
        var options = NATRunOptions()
        options.loss = 0.1
        let outcome = NATPairing.run(
            caller: .portRestrictedCone, target: .portRestrictedCone, seed: 3, options: options)
        #expect(outcome.direct != nil)
        #expect(outcome.bulkAnswered)
    }

    @Test(arguments: [
        (NATKind.portRestrictedCone, NATKind.portRestrictedCone), (.symmetric, .fullCone),
    ])
    func aCallSurvivesTheDeathOfItsDirectPath(_ caller: NATKind, _ target: NATKind) throws {
        var options = NATRunOptions()
        options.directDies = true
        let outcome = NATPairing.run(caller: caller, target: target, seed: 7, options: options)
        #expect(outcome.direct != nil && outcome.bulkAnswered)
        // Seven round trips until the path is doubted, and the way over the relay.
        #expect(try #require(outcome.rescued) < 3000)
    }

    @Test func oneSeedGivesOneOutcome() {
        func run() -> NATOutcome {
            NATPairing.run(caller: .symmetric, target: .restrictedCone, seed: 5)
        }
        #expect(run() == run())
    }

    @Test func withoutARelayTwoSymmetricNATsStayApart() {
        var options = NATRunOptions()
        options.hasRelays = false
        let outcome = NATPairing.run(
            caller: .symmetric, target: .symmetric, seed: 2, options: options)
        #expect(outcome.firstAnswer == nil)
        #expect(outcome.relayedBytes == 0)
        let open = NATPairing.run(
            caller: .fullCone, target: .symmetric, seed: 2, options: options)
        #expect(open.direct != nil)
    }

    @Test func renewalsKeepAnIdlePeerWithinReach() {
        var options = NATRunOptions()
        options.idle = .seconds(305)
        let kept = NATPairing.run(
            caller: .portRestrictedCone, target: .portRestrictedCone, seed: 4, options: options)
        #expect(kept.direct != nil)
        // Renewed less often than the NAT forgets, it cannot be told that somebody wants to meet it.
        // Then B sends nothing from about 202 s to 252 s after the start; A calls at 237 s.
        options.renewInterval = .seconds(50)
        options.mappingTimeout = .seconds(20)
        options.idle = .seconds(229)
        let lost = NATPairing.run(
            caller: .portRestrictedCone, target: .portRestrictedCone, seed: 4, options: options)
        #expect(lost.firstAnswer == nil)
    }
}
