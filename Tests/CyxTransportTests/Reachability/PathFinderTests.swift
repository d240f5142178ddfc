import CyxCore
import Testing

@testable import CyxTransport

@Suite struct PathFinderTests {
    /// Two nodes, the first of which asks for paths.
    private func pair() -> Pair {
        var pair = Pair()
        pair.nodes[0].machine.findsPaths = true
        return pair
    }

    @Test func whoeverHasNoAddressAsksForAPathAndTakesIt() throws {
        var pair = pair()
        let peer = pair.peer(1)
        let call = pair.call(0, 1, [1])
        #expect(pair.nodes[0].paths == [.wanted(peer)])
        // Asking once is enough, however many wait.
        let other = pair.call(0, 1, [2])
        #expect(pair.nodes[0].paths.count == 1)
        pair.nodes[0].machine.dial(
            peer, at: Pair.address(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(try pair.result(0, call)?.get() == [1])
        #expect(try pair.result(0, other)?.get() == [2])
        #expect(pair.nodes[0].paths.last == .opened(peer, Pair.address(1)))
    }

    @Test func aHiddenPeerIsNotDialedAndGivingUpFailsItsCalls() {
        var pair = pair()
        pair.introduce()
        pair.nodes[0].machine.hide(pair.peer(1), true)
        let call = pair.call(0, 1, [1])
        pair.run(.milliseconds(200))
        #expect(pair.nodes[1].datagramsReceived == 0)
        pair.nodes[0].machine.giveUp(pair.peer(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(pair.result(0, call) == .failure(.unreachable))
        // A later call asks again.
        _ = pair.call(0, 1, [1])
        #expect(pair.nodes[0].paths == [.wanted(pair.peer(1)), .wanted(pair.peer(1))])
    }

    @Test func anAddressThatDoesNotAnswerIsReasonToAsk() {
        var pair = pair()
        pair.introduce()
        pair.nodes[1].isDown = true
        _ = pair.call(0, 1, [1])
        let hasAsked = pair.run(.seconds(5)) { $0.nodes[0].paths == [.wanted($0.peer(1))] }
        #expect(hasAsked)
    }

    /// The relayed one is the newer one, and in the second case that which both sides would settle
    /// on if they had dialed at once.
    @Test(arguments: [0, 1]) func aDirectConnectionIsUsedBeforeARelayedOne(_ dialer: Int) throws {
        var pair = pair()
        let other = 1 - dialer
        pair.nodes[1].machine.findsPaths = true
        let first = pair.call(0, 1, [1])
        pair.nodes[0].machine.dial(
            pair.peer(1), at: Pair.address(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(try pair.result(0, first)?.get() == [1])
        pair.nodes[dialer].machine.dial(
            pair.peer(other), at: SocketAddress(virtual: UInt64(other)), wall: pair.wall,
            now: pair.now)
        pair.settle(dialer)
        pair.run(.milliseconds(300))
        #expect(
            pair.nodes[0].paths.suffix(2) == [
                .opened(pair.peer(1), Pair.address(1)),
                .opened(pair.peer(1), SocketAddress(virtual: 1)),
            ])
        pair.relayed = 0
        let second = pair.call(0, 1, [2])
        #expect(try pair.result(0, second)?.get() == [2])
        #expect(pair.relayed == 0)
        // When the direct path dies, the relayed one serves.
        pair.filter = { $0.to.isVirtual }
        let lost = pair.call(0, 1, [3])
        #expect(pair.result(0, lost) == .failure(.connectionLost))
        #expect(pair.nodes[0].paths.last == .closed(pair.peer(1), Pair.address(1)))
        let third = pair.call(0, 1, [4])
        #expect(try pair.result(0, third)?.get() == [4])
        #expect(pair.relayed > 0)
    }

    /// Connected over a relay; the first of two knows a direct way.
    private func relayedPair() throws -> Pair {
        var pair = Pair(timings: .production, key: Pair.privateKey)
        for node in 0...1 { pair.nodes[node].machine.findsPaths = true }
        let call = pair.call(0, 1, [1])
        pair.nodes[0].machine.reach(
            pair.peer(1), at: SocketAddress(virtual: 1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(try pair.result(0, call)?.get() == [1])
        pair.run(.milliseconds(200))
        return pair
    }

    @Test func aRelayedConnectionMovesToADirectPath() throws {
        var pair = try relayedPair()
        let body = pattern(300_000)
        let call = pair.call(0, 1, body)
        pair.run(.milliseconds(20))
        pair.nodes[0].machine.reach(
            pair.peer(1), at: Pair.address(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(pair.result(0, call) == .success(body))
        for node in 0...1 {
            let relayed = SocketAddress(virtual: UInt64(1 - node))
            let direct = Pair.address(1 - node)
            #expect(
                pair.nodes[node].paths.last
                    == .moved(pair.peer(1 - node), from: relayed, to: direct))
            #expect(pair.nodes[node].machine.endpoint.connectionCount == 1)
        }
        // What works is not left for a relay.
        pair.relayed = 0
        pair.nodes[0].machine.reach(
            pair.peer(1), at: SocketAddress(virtual: 1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(pair.result(0, pair.call(0, 1, [2])) == .success([2]))
        #expect(pair.relayed == 0)
        #expect(pair.nodes[0].machine.endpoint.connectionCount == 1)
    }

    @Test func callsUnderWaySurviveTheDeathOfADirectPath() throws {
        var pair = try relayedPair()
        pair.nodes[0].machine.reach(
            pair.peer(1), at: Pair.address(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        pair.run(.milliseconds(500))
        let body = pattern(300_000)
        let call = pair.call(0, 1, body, timeout: .seconds(30))
        pair.run(.milliseconds(20))
        #expect(pair.nodes[0].completed[call] == nil)
        // From now on only the relay carries anything.
        pair.filter = { $0.to.isVirtual }
        let doubt = PathEvent.doubted(pair.peer(1), Pair.address(1))
        let isDoubted = pair.run(.seconds(3)) { $0.nodes[0].paths.contains(doubt) }
        #expect(isDoubted)
        pair.nodes[0].machine.reach(
            pair.peer(1), at: SocketAddress(virtual: 1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        #expect(pair.result(0, call) == .success(body))
        #expect(pair.nodes.allSatisfy { $0.closed.isEmpty })
        #expect(pair.nodes.allSatisfy { $0.machine.endpoint.connectionCount == 1 })
        #expect(
            pair.nodes[0].paths.last
                == .moved(
                    pair.peer(1), from: Pair.address(1), to: SocketAddress(virtual: 1)))
    }

    @Test func openersAreToldApartFromEverythingElse() throws {
        var pair = pair()
        let token = Opener.Token(random: SeededSource(seed: 1))
        let bytes = Opener(token: token).bytes
        #expect(bytes.count == Opener.byteCount)
        pair.inject(bytes, to: 0, from: Pair.address(5))
        #expect(pair.nodes[0].paths == [.opener(Opener(token: token), from: Pair.address(5))])
        for length in 0..<bytes.count {
            pair.inject(Array(bytes.prefix(length)), to: 0, from: Pair.address(5))
        }
        pair.inject(bytes + [0], to: 0, from: Pair.address(5))
        pair.inject([0x21] + bytes.dropFirst(), to: 0, from: Pair.address(5))
        #expect(pair.nodes[0].paths.count == 1)
        #expect(Opener.Token(bytes: token.bytes) == token)
    }
}
