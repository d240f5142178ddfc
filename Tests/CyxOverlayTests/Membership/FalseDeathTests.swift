import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

/// Members that collude to have a live one held dead (decisions §C, "false deaths").
@Suite struct FalseDeathTests {
    /// Eight of twenty members sign accusations of a ninth, for whatever incarnation it has, and have
    /// them delivered to everybody else for ten seconds. Returns how often anybody held it dead.
    private func deaths(_ defences: MembershipDefences) throws -> UInt64 {
        let fixture = OverlayFixture(seed: 21, timings: .devnet, defences: defences)
        let peers = fixture.start(20)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let stranger = fixture.world.addPeer()
        let messaging = DirectMessaging(
            world: fixture.world, peer: stranger, id: OverlayFixture.id(stranger))
        for peer in peers {
            messaging.learn(PeerContact(peer: OverlayFixture.id(peer), address: peer.address))
        }
        let other = try #require(fixture.overlay(peers[1]))
        let id = OverlayFixture.id(peers[0])
        var incarnation: UInt64 = 0
        for _ in 0..<100 {
            // Nil while that one holds it dead.
            let record = try fixture.world.perform(on: peers[1]) { await other.find(id) }
            incarnation = record?.incarnation ?? incarnation
            let claims = peers[12...].flatMap { liar in
                [1, 2].map { kind in
                    accusation(of: id, incarnation, kind, by: OverlayFixture.key(liar), fixture)
                }
            }
            let batch = GossipBatch(claims: claims).protobufBytes()
            try fixture.world.perform(on: stranger) {
                for peer in peers[1..<12] {
                    _ = try await messaging.call(
                        OverlayFixture.id(peer), .overlayGossip, batch, timeout: .seconds(1))
                }
            }
            fixture.world.run(for: .milliseconds(100))
        }
        #expect(fixture.changes(to: .suspect) > 0)
        return fixture.changes(to: .dead)
    }

    private func accusation(
        of peer: PeerID, _ incarnation: UInt64, _ kind: UInt32, by key: SigningKey,
        _ fixture: OverlayFixture
    ) -> MemberClaim {
        let stated = UInt64(
            fixture.world.peers[0].environment.wallTime().milliseconds)
        let signed = Accusation.sign(
            peer, incarnation: incarnation, kind: kind == 1 ? .suspect : .dead,
            statedMilliseconds: stated, key: key, network: NetworkID(.zero))
        return MemberClaim(
            peer: peer.bytes, incarnation: incarnation, kind: kind,
            accuser: key.verifyingKey.peerID.bytes, statedMilliseconds: stated,
            signature: signed.signature)
    }

    @Test func nobodyActsOnTheWordOfLiars() throws {
        #expect(try deaths(.all) == 0)
        #expect(try deaths(MembershipDefences.all.subtracting(.witnesses)) > 0)
    }

    @Test func whatNobodySignedIsRefusedAndChangesNothing() throws {
        let fixture = OverlayFixture(seed: 22, timings: .devnet)
        let peers = fixture.start(6)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let (liar, victim) = (peers[5], peers[1])
        let overlay = try #require(fixture.overlay(peers[0]))
        let id = OverlayFixture.id(victim)
        let record = try fixture.world.perform(on: peers[0]) { await overlay.find(id) }
        let incarnation = try #require(record).incarnation
        let stranger = fixture.world.addPeer()
        let messaging = DirectMessaging(
            world: fixture.world, peer: stranger, id: OverlayFixture.id(stranger))
        messaging.learn(
            PeerContact(peer: OverlayFixture.id(peers[0]), address: peers[0].address))
        let good = accusation(of: id, incarnation, 1, by: OverlayFixture.key(liar), fixture)
        var forged = good
        forged.accuser = OverlayFixture.id(peers[3]).bytes
        var unsigned = good
        unsigned.signature = []
        var old = good
        old.statedMilliseconds = 1
        /// Whether a batch was refused.
        func isRefused(_ claim: MemberClaim) throws -> Bool {
            let batch = GossipBatch(claims: [claim]).protobufBytes()
            return try fixture.world.perform(on: stranger) {
                do throws(RPCError) {
                    _ = try await messaging.call(
                        OverlayFixture.id(peers[0]), .overlayGossip, batch, timeout: .seconds(1))
                    return false
                } catch {
                    return true
                }
            }
        }
        #expect(try isRefused(forged))
        #expect(try !isRefused(unsigned))
        #expect(try !isRefused(old))
        fixture.world.run(for: .seconds(2))
        #expect(fixture.changes(to: .suspect) == 0)
        #expect(try !isRefused(good))
        #expect(fixture.changes(to: .suspect) > 0)
    }
}
