import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

@Suite struct PeerRecordTests {
    private let now = Instant(nanoseconds: 0)
    private let address = SocketAddress(ipv4: (9, 1, 2, 3), port: 7)

    @Test func aTokenHoldsForItsAskerItsAddressAndAWhile() {
        let (peer, other) = (makeMember(1).peer, makeMember(2).peer)
        var secret: UInt64 = 0
        func fresh() -> Digest {
            secret += 1
            return Digest(secret, 0, 0, 0)
        }
        var tokens = StoreTokens(secret: fresh(), now: now)
        let token = tokens.issue(to: peer, at: address)
        #expect(token.count == StoreTokens.byteCount)
        #expect(tokens.isValid(token, of: peer, at: address))
        #expect(tokens.isValid(token, of: peer, at: SocketAddress(ip: address.ip, port: 8)))
        #expect(!tokens.isValid(token, of: other, at: address))
        let elsewhere = SocketAddress(ipv4: (9, 1, 2, 4), port: 7)
        #expect(!tokens.isValid(token, of: peer, at: elsewhere))
        #expect(!tokens.isValid([], of: peer, at: address))
        tokens.rotate(now: now + StoreTokens.rotation, fresh: fresh)
        #expect(tokens.isValid(token, of: peer, at: address))
        #expect(tokens.issue(to: peer, at: address) != token)
        tokens.rotate(now: now + StoreTokens.rotation * 2, fresh: fresh)
        #expect(!tokens.isValid(token, of: peer, at: address))
        let latest = tokens.issue(to: peer, at: address)
        tokens.rotate(now: now + StoreTokens.rotation * 5, fresh: fresh)
        #expect(!tokens.isValid(latest, of: peer, at: address))
    }

    @Test func theHigherSequenceNumberCountsAndTimeEndsIt() {
        var records = PeerRecords(local: makeMember(9).peer)
        let isKept = [5, 4, 6, 5].map { records.store(statement(1, incarnation: $0), now: now) }
        #expect(isKept == [true, false, true, false])
        let peer = statement(1, incarnation: 1).peer
        #expect(records.incarnation(of: peer) == 6)
        let kept = records.record(of: peer, now: now)
        #expect(kept?.incarnation == 6)
        #expect(records.record(of: peer, now: now + PeerRecords.lifetime) == nil)
    }

    @Test func whatIsFarthestGoesWhenThereIsNoRoom() throws {
        let local = makeMember(99).peer
        var records = PeerRecords(local: local, limit: 8)
        let statements = (0..<12).map { statement($0, incarnation: 1) }
        for statement in statements { records.store(statement, now: now) }
        #expect(records.count <= 8)
        let closest = try #require(
            statements.map(\.peer)
                .min { ($0.digest ^ local.digest) < ($1.digest ^ local.digest) })
        let kept = records.record(of: closest, now: now)
        #expect(kept != nil)
    }

    private func statement(_ number: UInt8, incarnation: UInt64) -> MemberStatement {
        let key = SigningKey(seed: [UInt8](repeating: number, count: 32))
        var info = makeMember(1).info
        info.contact.peer = key.verifyingKey.peerID
        return MemberStatement.sign(
            info, incarnation: incarnation, key: key, network: NetworkID(.zero))
    }

    @Test func nobodyStoresWithoutATokenOrForAnother() throws {
        let fixture = OverlayFixture(seed: 13, timings: .devnet)
        let peers = fixture.start(3)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let stranger = fixture.world.addPeer()
        let messaging = DirectMessaging(
            world: fixture.world, peer: stranger, id: OverlayFixture.id(stranger))
        let target = OverlayFixture.id(peers[0])
        messaging.learn(PeerContact(peer: target, address: peers[0].address))
        var info = makeMember(1).info
        info.contact = PeerContact(peer: OverlayFixture.id(stranger), address: stranger.address)
        let own = MemberStatement.sign(
            info, incarnation: 7, key: OverlayFixture.key(stranger), network: NetworkID(.zero))
        let foreign = statement(5, incarnation: 7)
        let codes = try fixture.world.perform(on: stranger) {
            let ask = FindNodeRequest(target: target.bytes)
            let answer = try await messaging.call(
                target, .overlayFindNode, ask.protobufBytes(), timeout: .seconds(5))
            let token = try FindNodeResponse(protobuf: answer).token
            var codes: [UInt16] = []
            for (token, statement) in [([], own), (token, foreign), (token, own)] {
                let store = StoreRecordRequest(token: token, record: statement.record)
                do throws(RPCError) {
                    _ = try await messaging.call(
                        target, .overlayStoreRecord, store.protobufBytes(), timeout: .seconds(5))
                    codes.append(0)
                } catch {
                    guard case .refused(let failure) = error else { throw error }
                    codes.append(failure.code)
                }
            }
            return codes
        }
        #expect(codes == [OverlayRefusal.token, OverlayRefusal.foreign, 0])
    }

    @Test func aPublishedRecordIsFoundByOthers() throws {
        let fixture = OverlayFixture(seed: 12, timings: .devnet)
        let peers = fixture.start(30)
        #expect(fixture.settle(.seconds(30)) { fixture.all(peers, see: peers, as: .alive) })
        let publisher = try #require(fixture.overlay(peers[3]))
        let kept = try fixture.world.perform(on: peers[3]) { await publisher.publish() }
        #expect(kept >= 18)
        let seeker = try #require(fixture.overlay(peers[20]))
        let peer = OverlayFixture.id(peers[3])
        let found = try fixture.world.perform(on: peers[20]) {
            await seeker.find(peer, isThorough: true)
        }
        #expect(found?.info.contact.address == peers[3].address)
        // It is kept by others, not only told by itself.
        peers[3].crash()
        let after = try fixture.world.perform(on: peers[20]) {
            await seeker.find(peer, isThorough: true)
        }
        #expect(after?.peer == peer)
        let nobody = try fixture.world.perform(on: peers[20]) {
            await seeker.find(PeerID(BLAKE3.hash([1, 2, 3])))
        }
        #expect(nobody == nil)
    }
}
