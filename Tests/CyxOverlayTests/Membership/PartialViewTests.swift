import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

private let start = Instant(nanoseconds: 0)

/// 300 members, numbered; the first is the one whose view is looked at.
private let keys = (0..<300).map { number in
    SigningKey(seed: [UInt8](repeating: UInt8(number & 255), count: 31) + [UInt8(number >> 8)])
}

private func statement(_ number: Int, isLeaving: Bool = false) -> MemberStatement {
    let info = MemberInfo(
        contact: PeerContact(
            peer: keys[number].verifyingKey.peerID,
            address: SocketAddress(
                ipv4: (20, 1, UInt8(number >> 8), UInt8(number & 255)), port: 7700)),
        roles: .storage, zone: "", store: nil, allocatedBytes: 0, freeBytes: 0)
    return .sign(
        info, incarnation: isLeaving ? 8 : 7, isLeaving: isLeaving, key: keys[number],
        network: NetworkID(.zero))
}

private let statements = (0..<300).map { statement($0) }

private func limits() -> ViewLimits {
    var limits = ViewLimits()
    limits.full = 100
    limits.neighbours = 10
    limits.sample = 30
    limits.shown = 4
    return limits
}

/// Member 0 after it has heard of the others in the order given.
private func machine(_ order: [Int]) -> MembershipMachine {
    var machine = MembershipMachine(
        own: statements[0], timings: .devnet, limits: limits(), seed: 5, now: start)
    for number in order { machine.handle(statements[number], now: start) }
    _ = machine.takeActions()
    return machine
}

private func closest(_ count: Int, to peer: PeerID) -> [PeerID] {
    Array(
        statements.map(\.peer).filter { $0 != peer }
            .sorted { ($0.digest ^ peer.digest) < ($1.digest ^ peer.digest) }.prefix(count))
}

@Suite struct PartialViewTests {
    @Test func everybodyIsKnownUpToTheThreshold() {
        let all = machine(Array(1...100))
        #expect(!all.isPartial && all.reachableCount == 100 && all.watchedPeers.count == 100)
    }

    @Test func beyondItThereAreNeighboursAndASampleWhateverTheOrder() {
        let upwards = machine(Array(1..<300))
        let downwards = machine(Array((1..<300).reversed()))
        #expect(upwards.isPartial)
        #expect(upwards.watchedPeers == closest(10, to: upwards.localPeer))
        #expect(upwards.watchedPeers == downwards.watchedPeers)
        #expect(upwards.reachableCount == 40)
        #expect(upwards.members(since: start).count == 41)
        // Hearing of somebody again and again does not get it in.
        var again = upwards
        for _ in 0..<3 { for number in 1..<300 { again.handle(statements[number], now: start) } }
        #expect(again.reachablePeers == upwards.reachablePeers)
        #expect((100...900).contains(upwards.estimatedMembers))
    }

    @Test func neighboursAreProbedAndTalkedAboutAndTheSampleIsProbedSeldom() {
        var machine = machine(Array(1..<300))
        let watched = Set(machine.watchedPeers)
        var probed: [PeerID] = []
        var told: Set<PeerID> = []
        for tick in 1...1000 {
            let now = Instant(nanoseconds: Int64(tick) * 10_000_000)
            machine.handleTimeout(now: now)
            for action in machine.takeActions() {
                switch action {
                case .probe(let id, let target, _):
                    probed.append(target)
                    machine.handleProbeAnswer(id: id, now: now)
                case .gossip(let peer): told.insert(peer)
                default: break
                }
            }
        }
        let seldom = probed.filter { !watched.contains($0) }
        #expect(Set(probed).isSuperset(of: watched))
        #expect(seldom.count == probed.count / 10 && Set(seldom).count == seldom.count)
        #expect(told.isSubset(of: watched))
        // What is said of a member of the sample is not passed on.
        while !machine.takeGossip().isEmpty {}
        let others = machine.reachablePeers.filter { !watched.contains($0) }
        for (peer, expected) in [(others[0], 0), (machine.watchedPeers[0], 1)] {
            machine.handle(
                Accusation(
                    peer: peer, incarnation: 7, kind: .suspect, accuser: others[1],
                    statedMilliseconds: 1, signature: [1]),
                now: Instant(nanoseconds: 10_000_000_000))
            #expect(machine.takeGossip().accusations.count == expected)
        }
    }

    @Test func aNeighbourThatLeavesGivesItsPlaceToTheNextKnown() throws {
        var machine = machine(Array(1..<300))
        let before = machine.watchedPeers
        let number = try #require(statements.firstIndex { $0.peer == before[0] })
        machine.handle(statement(number, isLeaving: true), now: start)
        let after = machine.watchedPeers
        #expect(after.count == 10 && Array(after.prefix(9)) == Array(before.dropFirst()))
        #expect(machine.state(of: before[0]) == .left)
    }

    @Test func aComparisonShowsWhoIsCloseToTheOther() {
        var machine = machine(Array(1..<300))
        let other = statements[7]
        for peer in machine.reachablePeers {
            machine.handleSync(GossipContent(), from: peer, now: start)
        }
        let (news, wanted) = machine.compare([], of: other.peer, isPartial: true, now: start)
        #expect(wanted.isEmpty)
        // This peer itself, ten close to the other, four at random.
        #expect(news.statements.count == 15)
        let known = machine.reachablePeers.filter { $0 != other.peer }
            .sorted { ($0.digest ^ other.peer.digest) < ($1.digest ^ other.peer.digest) }
        #expect(Set(known.prefix(10)).isSubset(of: news.statements.map(\.peer)))
        #expect(machine.versions().count == 11)
    }

    @Test func ofTheSampleWhoDoesNotAnswerIsForgottenAndOfNeighboursWatched() {
        var machine = machine(Array(1..<300))
        let watched = machine.watchedPeers
        let other = machine.reachablePeers.first { !watched.contains($0) }
        guard let other else { return }
        machine.handleSyncFailure(with: other)
        #expect(machine.state(of: other) == nil && machine.reachableCount == 39)
        machine.handleSyncFailure(with: watched[0])
        #expect(machine.state(of: watched[0]) == .alive)
    }

    @Test func whoOfTheSampleDoesNotAnswerAProbeIsForgottenWithoutAccusations() throws {
        var machine = machine(Array(1..<300))
        let watched = Set(machine.watchedPeers)
        var silent: PeerID?
        for tick in 1...1000 {
            let now = Instant(nanoseconds: Int64(tick) * 10_000_000)
            machine.handleTimeout(now: now)
            for action in machine.takeActions() {
                switch action {
                case .probe(let id, let target, _):
                    if silent == nil, !watched.contains(target) { silent = target }
                    if target != silent { machine.handleProbeAnswer(id: id, now: now) }
                case .probeThrough, .accuse: Issue.record("\(action)")
                default: break
                }
            }
        }
        #expect(machine.state(of: try #require(silent)) == nil && machine.reachableCount == 39)
        #expect(machine.health == 0)
    }

    @Test func ofTheSampleOthersAreShownOnlyWhoWasHeardFromLately() throws {
        var machine = machine(Array(1..<300))
        let watched = Set(machine.watchedPeers)
        let heard = try #require(machine.reachablePeers.first { !watched.contains($0) })
        func shown(_ machine: inout MembershipMachine, at now: Instant) -> Set<PeerID> {
            let (news, _) = machine.compare([], of: statements[7].peer, isPartial: true, now: now)
            return Set(news.statements.map(\.peer)).subtracting(watched + [machine.localPeer])
        }
        #expect(shown(&machine, at: start).isEmpty)
        machine.handleSync(GossipContent(), from: heard, now: start)
        #expect(shown(&machine, at: start) == [heard])
        #expect(shown(&machine, at: start + MembershipLimits.hearsay).isEmpty)
    }

    /// Sixty whole overlays of which none may know more than thirty others.
    @Test func watchersNoticeADeathAmongPeersThatDoNotKnowEachOtherAll() {
        var view = ViewLimits()
        view.full = 30
        view.neighbours = 12
        view.sample = 10
        let fixture = OverlayFixture(seed: 41, timings: .devnet, view: view)
        let peers = fixture.start(60)
        let ids = peers.map(OverlayFixture.id)
        let truth = ids.map { id in
            ids.filter { $0 != id }.sorted { ($0.digest ^ id.digest) < ($1.digest ^ id.digest) }
        }
        /// How many of all peers have their six closest in view.
        func settled() -> Int {
            peers.indices.count { index in
                let seen = fixture.overlay(peers[index])?.snapshot.members ?? [:]
                return truth[index].prefix(6).allSatisfy { seen[$0]?.state == .alive }
            }
        }
        #expect(fixture.settle(.seconds(120)) { settled() == 60 })
        fixture.world.run(for: .seconds(20))
        #expect(fixture.changes(to: .dead) == 0)
        for peer in peers {
            #expect((fixture.overlay(peer)?.snapshot.reachable.count ?? 99) <= 31)
        }
        seeWhomItAsksAfter(fixture, peers)
        peers[17].crash()
        let watchers = truth[17].prefix(6).compactMap { ids.firstIndex(of: $0) }.map { peers[$0] }
        #expect(fixture.settle(.seconds(10)) { fixture.all(watchers, see: [peers[17]], as: .dead) })
        fixture.world.run(for: .seconds(20))
        for peer in peers where peer.isRunning {
            let dead = fixture.overlay(peer)?.snapshot.members.values.filter { $0.state == .dead }
            #expect(dead?.allSatisfy { $0.peer == ids[17] } == true)
        }
    }

    /// One peer is to know of all others how they are, also of those that its view does not hold; and
    /// all find the same peers for a position.
    private func seeWhomItAsksAfter(_ fixture: OverlayFixture, _ peers: [SimulatedPeer]) {
        guard let overlay = fixture.overlay(peers[3]) else { return }
        let others = peers.filter { $0.index != peers[3].index }
        let ids = Set(others.map(OverlayFixture.id))
        #expect(overlay.snapshot.reachable.count < 40)
        overlay.watch(ids, for: .holders)
        #expect(fixture.settle(.seconds(60)) { overlay.snapshot.reachable.count == peers.count })
        let view = Set(overlay.snapshot.members.keys)
        overlay.watch(Set(ids.sorted().prefix(50)), for: .holders)
        #expect(view.count == peers.count)
        let position = Digest(1 << 63, 0, 0, 0)
        let closest = peers.map(OverlayFixture.id).sorted {
            ($0.digest ^ position) < ($1.digest ^ position)
        }
        for peer in [peers[3], peers[30], peers[59]] {
            guard let overlay = fixture.overlay(peer) else { continue }
            let found = try? fixture.world.perform(on: peer) {
                await overlay.keepers(of: position, count: 8)
            }
            let own = OverlayFixture.id(peer)
            #expect(found == Array(closest.filter { $0 != own }.prefix(8)))
        }
    }
}
