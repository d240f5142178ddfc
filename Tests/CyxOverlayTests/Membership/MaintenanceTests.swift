import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

private let keys = (0..<6).map { SigningKey(seed: [UInt8](repeating: UInt8($0), count: 32)) }

private func id(_ number: Int) -> PeerID { keys[number].verifyingKey.peerID }

/// What member `number` says of itself; the wall clock shows 1,000 s at `Instant` 0.
private func statement(
    _ number: Int, _ incarnation: UInt64, awayUntil seconds: UInt64? = nil, isLeaving: Bool = false
) -> MemberStatement {
    let info = MemberInfo(
        contact: PeerContact(
            peer: id(number), address: SocketAddress(ipv4: (20, 0, UInt8(number), 1), port: 7700)),
        roles: .storage, zone: "", store: nil, allocatedBytes: 0, freeBytes: 0)
    return .sign(
        info, incarnation: incarnation, isLeaving: isLeaving,
        awayUntilMilliseconds: seconds.map { (1000 + $0) * 1000 } ?? 0, key: keys[number],
        network: NetworkID(.zero))
}

@Suite struct MaintenanceTests {
    private func machine() -> MembershipMachine {
        var machine = MembershipMachine(
            own: statement(0, 7), timings: .devnet, seed: 1, now: at(0))
        machine.setWallClock(milliseconds: 1_000_000, now: at(0))
        for number in 1...5 { machine.handle(statement(number, 7), now: at(0)) }
        _ = machine.takeActions()
        return machine
    }

    /// Lets time pass, all but the first member answering; how often that one was probed.
    private func run(_ machine: inout MembershipMachine, from: Int64, to: Int64) -> Int {
        var probes = 0
        for tick in from * 100...to * 100 {
            let now = Instant(nanoseconds: tick * 10_000_000)
            machine.handleTimeout(now: now)
            for case .probe(let probe, let target, _) in machine.takeActions() {
                if target == id(1) {
                    probes += 1
                } else {
                    machine.handleProbeAnswer(id: probe, now: now)
                }
            }
        }
        return probes
    }

    @Test func whoIsAwayIsNeitherProbedNorAccusedUntilItIsMissed() {
        var machine = machine()
        machine.handle(statement(1, 8, awayUntil: 60), now: at(0))
        #expect(machine.state(of: id(1)) == .away)
        #expect(!machine.isReachable(id(1)))
        for accuser in 2...5 {
            machine.handle(
                Accusation(
                    peer: id(1), incarnation: 8, kind: .dead, accuser: id(accuser),
                    statedMilliseconds: 1, signature: [1]), now: at(1))
        }
        #expect(run(&machine, from: 1, to: 61) == 0)
        #expect(machine.state(of: id(1)) == .away)
        // The announced end and the grace after it are over.
        #expect(run(&machine, from: 62, to: 65) > 0)
        #expect(machine.state(of: id(1)) == .suspect)
    }

    @Test func whoComesBackEarlierIsAliveAtOnce() {
        var machine = machine()
        machine.handle(statement(1, 8, awayUntil: 3600), now: at(0))
        machine.handle(statement(1, 9), now: at(10))
        #expect(machine.state(of: id(1)) == .alive)
        #expect(run(&machine, from: 11, to: 20) > 0)
    }

    @Test func nobodyIsWaitedForLongerThanADayAndThePastIsNoMaintenance() {
        var machine = machine()
        machine.handle(statement(1, 8, awayUntil: 30 * 86_400), now: at(0))
        machine.handleTimeout(now: at(86_400))
        #expect(machine.state(of: id(1)) == .away)
        machine.handleTimeout(now: at(86_400 + 3))
        #expect(machine.state(of: id(1)) == .alive)
        machine.handle(statement(2, 8, awayUntil: 86_000), now: at(86_410))
        #expect(machine.state(of: id(2)) == .alive)
    }

    @Test func whoLeavesIsNotProbedAgain() {
        var machine = machine()
        machine.handle(statement(1, 8, isLeaving: true), now: at(0))
        #expect(machine.state(of: id(1)) == .left)
        #expect(run(&machine, from: 1, to: 20) == 0)
    }

    @Test func anAnnouncementReachesAllAndIsNoDeath() throws {
        let fixture = OverlayFixture(seed: 31, timings: .devnet)
        let peers = fixture.start(8)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[3]))
        try fixture.world.perform(on: peers[3]) {
            await overlay.announceMaintenance(for: .seconds(60))
        }
        peers[3].crash()
        let others = peers.filter(\.isRunning)
        #expect(fixture.settle(.seconds(2)) { fixture.all(others, see: [peers[3]], as: .away) })
        fixture.world.run(for: .seconds(55))
        #expect(fixture.all(others, see: [peers[3]], as: .away))
        #expect(fixture.changes(to: .suspect) == 0)
        let snapshot = try #require(fixture.overlay(peers[0])).snapshot
        #expect(snapshot.awayStorers.map(\.peer) == [OverlayFixture.id(peers[3])])
        #expect(!snapshot.reachable.contains { $0.peer == OverlayFixture.id(peers[3]) })
        peers[3].restart()
        #expect(fixture.settle(.seconds(10)) { fixture.all(peers, see: peers, as: .alive) })
        // This time it does not come back.
        let again = try #require(fixture.overlay(peers[3]))
        try fixture.world.perform(on: peers[3]) {
            await again.announceMaintenance(for: .seconds(10))
        }
        peers[3].crash()
        fixture.world.run(for: .seconds(11))
        #expect(fixture.all(others, see: [peers[3]], as: .away))
        #expect(fixture.settle(.seconds(15)) { fixture.all(others, see: [peers[3]], as: .dead) })
    }

    @Test func aDevnetWaitsFiveSecondsForAPeerThatWasToldToEnd() throws {
        let fixture = OverlayFixture(seed: 32, timings: .devnet)
        let peers = fixture.start(8)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[3]))
        try fixture.world.perform(on: peers[3]) { await overlay.announceRestart() }
        peers[3].crash()
        let others = peers.filter(\.isRunning)
        fixture.world.run(for: .milliseconds(4500))
        #expect(fixture.all(others, see: [peers[3]], as: .away))
        // Then it is probed, suspected and accused like one that was killed.
        let detection =
            MembershipTimings.devnet.probeTimeout * 2
            + MembershipTimings.devnet.suspicionMaximum
        fixture.world.run(for: .milliseconds(500) + detection)
        #expect(fixture.all(others, see: [peers[3]], as: .dead))
    }
}
