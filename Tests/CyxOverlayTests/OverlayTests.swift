import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

@Suite struct OverlayTests {
    @Test func sixtyPeersFindEachOtherAndADeadOneIsNoticedByAll() {
        let fixture = OverlayFixture(seed: 1, timings: .devnet)
        let peers = fixture.start(60)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let converged = fixture.world.now
        fixture.world.run(for: .seconds(5))
        peers[17].crash()
        let crashed = fixture.world.now
        let others = peers.filter(\.isRunning)
        let dead = fixture.settle(.seconds(10)) {
            fixture.all(others, see: [peers[17]], as: .dead)
        }
        #expect(dead)
        let took = fixture.world.now - crashed
        print("60 peers converged after \(converged), a death was known everywhere after \(took)")
        #expect(took < .seconds(4))
        #expect(fixture.changes(to: .dead) == 59)
    }

    @Test func fivePercentLossMakesNobodyDead() {
        var options = WorldOptions()
        options.links.loss = 0.05
        options.links.latency = .milliseconds(20)
        options.links.jitter = .milliseconds(20)
        let fixture = OverlayFixture(seed: 2, timings: .production, options: options)
        let peers = fixture.start(30)
        #expect(
            fixture.settle(.seconds(60)) { fixture.all(peers, see: peers, as: .alive) })
        fixture.world.run(for: .seconds(600))
        #expect(fixture.changes(to: .dead) == 0)
        #expect(fixture.all(peers, see: peers, as: .alive))
        print(
            "5 % loss, 10 min: \(fixture.changes(to: .suspect)) suspicions; \(fixture.world.summary)"
        )
    }

    @Test func bothSidesOfAPartitionFindEachOtherAgain() {
        let fixture = OverlayFixture(seed: 3, timings: .devnet)
        let peers = fixture.start(16)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let left = Array(peers[..<8])
        let right = Array(peers[8...])
        fixture.world.links.partition([left])
        #expect(
            fixture.settle(.seconds(30)) {
                fixture.all(left, see: right, as: .dead) && fixture.all(right, see: left, as: .dead)
            })
        #expect(fixture.all(left, see: left, as: .alive))
        fixture.world.links.heal()
        let healed = fixture.world.now
        #expect(
            fixture.settle(.seconds(60)) { fixture.all(peers, see: peers, as: .alive) })
        print("partition healed after \(fixture.world.now - healed)")
    }

    @Test func aRestartedPeerIsTheSameMemberAgain() {
        let fixture = OverlayFixture(seed: 4, timings: .devnet)
        let peers = fixture.start(8)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        peers[3].crash()
        fixture.world.run(for: .seconds(10))
        #expect(fixture.all(peers.filter(\.isRunning), see: [peers[3]], as: .dead))
        peers[3].restart()
        #expect(
            fixture.settle(.seconds(10)) { fixture.all(peers, see: peers, as: .alive) })
        // Peer 1 has nobody to join through: the others come back to it.
        peers[0].crash()
        fixture.world.run(for: .seconds(10))
        peers[0].restart()
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        // Restarted before anybody noticed.
        peers[5].restart()
        fixture.world.run(for: .seconds(20))
        #expect(fixture.all(peers, see: peers, as: .alive))
    }

    @Test func aLeavingPeerIsNeverSuspected() throws {
        let fixture = OverlayFixture(seed: 5, timings: .devnet)
        let peers = fixture.start(8)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[2]))
        try fixture.world.perform(on: peers[2]) { await overlay.leave() }
        peers[2].stop()
        #expect(fixture.settle(.seconds(5)) { peers[2].processResult != nil })
        peers[2].crash()
        fixture.world.run(for: .seconds(20))
        #expect(fixture.all(peers.filter(\.isRunning), see: [peers[2]], as: .left))
        #expect(fixture.changes(to: .suspect) == 0)
    }

    @Test func whatAPeerSaysOfItselfReachesAllButSmallChangesDoNot() throws {
        let fixture = OverlayFixture(seed: 6, timings: .devnet)
        let peers = fixture.start(8)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[4]))
        let id = OverlayFixture.id(peers[4])
        func free(at viewer: SimulatedPeer) -> UInt64? {
            fixture.overlay(viewer)?.snapshot.members[id]?.info.freeBytes
        }
        func isNews(_ bytes: UInt64) -> Bool {
            overlay.announce { $0.freeBytes = bytes }
            return fixture.settle(.seconds(5)) { free(at: peers[1]) == bytes }
        }
        let all: UInt64 = 1 << 30
        #expect(!isNews(all - (200 << 10)))
        // The first megabyte that it uses, half as much again, and everything between.
        #expect(isNews(all - (1000 << 10)))
        #expect(!isNews(all - (1400 << 10)))
        #expect(isNews(all - (1600 << 10)))
        overlay.announce { $0.freeBytes = 1 << 29 }
        #expect(
            fixture.settle(.seconds(5)) { peers.allSatisfy { free(at: $0) == 1 << 29 } })
    }

    @Test func anUnansweredBootstrapSaysSoAndIsTriedAgain() throws {
        let fixture = OverlayFixture(seed: 7, timings: .devnet)
        let peers = fixture.start(2)
        peers[0].crash()
        fixture.world.run(for: .seconds(20))
        let lines = peers[1].log.lastLines.map(\.text)
        #expect(
            lines.contains { $0.contains("warning overlay: no answer from 10.0.0.1:7700. A wrong") }
        )
        peers[0].restart()
        #expect(
            fixture.settle(.seconds(20)) { fixture.all(peers, see: peers, as: .alive) })
    }

    @Test func garbageIsRefusedAndChangesNothing() throws {
        let fixture = OverlayFixture(seed: 8, timings: .devnet)
        let peers = fixture.start(4)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let stranger = fixture.world.addPeer()
        let messaging = DirectMessaging(
            world: fixture.world, peer: stranger, id: OverlayFixture.id(stranger))
        let target = OverlayFixture.id(peers[0])
        messaging.learn(PeerContact(peer: target, address: peers[0].address))
        var generator = fixture.world.generator()
        let record = forged(peers[2], by: stranger)
        var requests: [[UInt8]] = [GossipBatch(members: [record]).protobufBytes()]
        for _ in 0..<300 {
            let count = Int.random(in: 0...200, using: &generator)
            requests.append((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        let methods: [RPCMethod] = [
            .overlayProbe, .overlayGossip, .overlaySync, .overlayFindNode,
        ]
        try fixture.world.perform(on: stranger) { [requests] in
            for request in requests {
                for method in methods {
                    do throws(RPCError) {
                        _ = try await messaging.call(
                            target, method, request, timeout: .seconds(5))
                    } catch {
                        guard case .refused(let failure) = error else { throw error }
                        #expect(failure.code == OverlayRefusal.malformed)
                    }
                }
            }
        }
        fixture.world.run(for: .seconds(5))
        #expect(fixture.all(peers, see: peers, as: .alive))
        let info = fixture.overlay(peers[0])?.snapshot.members[OverlayFixture.id(peers[2])]?.info
        #expect(info?.zone == "zone2")
    }

    /// A record of `victim` in another zone that `attacker` signed.
    private func forged(_ victim: SimulatedPeer, by attacker: SimulatedPeer) -> SignedMemberRecord {
        let key = OverlayFixture.key(victim).verifyingKey.bytes
        let record = MemberRecord(publicKey: key, port: 7, zone: "evil", incarnation: 1 << 60)
        let bytes = record.protobufBytes()
        return SignedMemberRecord(
            record: bytes, signature: OverlayFixture.key(attacker).sign(bytes))
    }

    @Test func lookupsBeginAtTheClosestMemberAlthoughNoTableHasRoomForAll() throws {
        let fixture = OverlayFixture(seed: 12, timings: .devnet)
        let peers = fixture.start(64)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[0]))
        for peer in peers.dropFirst() {
            let target = OverlayFixture.id(peer).digest
            let found = try fixture.world.perform(on: peers[0]) { await overlay.lookup(target) }
            #expect(found.first?.peer == OverlayFixture.id(peer))
        }
        #expect(peers[0].metrics.counter("cyxcloud_lookup_hops_total").value == 0)
    }

    @Test func lookupsFindTheClosestPeers() throws {
        let fixture = OverlayFixture(seed: 9, timings: .devnet)
        let peers = fixture.start(40)
        #expect(
            fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let overlay = try #require(fixture.overlay(peers[11]))
        var generator = fixture.world.generator()
        let target = Digest(generator.next(), generator.next(), generator.next(), generator.next())
        let found = try fixture.world.perform(on: peers[11]) { await overlay.lookup(target) }
        let expected = peers.filter { $0.index != peers[11].index }.map(OverlayFixture.id)
            .sorted { ($0.digest ^ target) < ($1.digest ^ target) }.prefix(20)
        #expect(found.map(\.peer) == Array(expected))
    }

    @Test func overTheRealTransportADeathIsNoticedAndARestartSeen() {
        var options = WorldOptions()
        options.links.loss = 0.02
        let fixture = OverlayFixture(
            seed: 11, timings: .devnet, options: options, usesTransport: true)
        let peers = fixture.start(20)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        print("20 peers over the transport converged after \(fixture.world.now)")
        fixture.world.run(for: .seconds(20))
        #expect(fixture.changes(to: .dead) == 0)
        peers[7].crash()
        let crashed = fixture.world.now
        let others = peers.filter(\.isRunning)
        #expect(fixture.settle(.seconds(10)) { fixture.all(others, see: [peers[7]], as: .dead) })
        print("death known everywhere after \(fixture.world.now - crashed)")
        #expect(fixture.world.now - crashed < .seconds(4))
        peers[7].restart()
        #expect(fixture.settle(.seconds(15)) { fixture.all(peers, see: peers, as: .alive) })
        print("\(fixture.world.summary)")
    }

    @Test func oneSeedTwiceGivesOneTrace() {
        func run() -> TraceHash {
            let fixture = OverlayFixture(seed: 10, timings: .devnet)
            let peers = fixture.start(12)
            fixture.world.run(for: .seconds(10))
            peers[4].crash()
            fixture.world.run(for: .seconds(10))
            peers[4].restart()
            fixture.world.run(for: .seconds(10))
            return fixture.world.trace
        }
        #expect(run() == run())
    }
}
