import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct MigrationTests {
    private static let rebound = SocketAddress(ipv4: (10, 0, 0, 1), port: 5555)
    private static let roamed = SocketAddress(ipv4: (172, 16, 0, 9), port: 7700)

    private func connected(
        _ timings: TransportTimings = .devnet,
        configure: (inout TransportConfiguration) -> Void = {
            _ in
        }
    ) -> Pair {
        var pair = Pair(timings: timings, key: Pair.privateKey, configure: configure)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(200))
        return pair
    }

    private func handle(_ pair: Pair, _ node: Int) throws -> ConnectionHandle {
        try #require(pair.nodes[node].machine.links.keys.first)
    }

    private func connection(_ pair: Pair, _ node: Int) throws -> Connection {
        let handle = try handle(pair, node)
        return try #require(pair.nodes[node].machine.endpoint[handle])
    }

    @Test(arguments: [rebound, roamed])
    func aPeerThatGotAnotherAddressIsFollowed(address: SocketAddress) throws {
        var pair = connected()
        pair.nodes[0].address = address
        #expect(pair.result(0, pair.call(0, 1, pattern(50_000))) == .success(pattern(50_000)))
        #expect(pair.nodes[1].moves == [pair.contact(0)])
        #expect(pair.result(0, pair.call(0, 1, [5])) == .success([5]))
        #expect(pair.nodes[1].requests.last?.remote == pair.contact(0))
        // The other way round the new address is used without a new handshake.
        #expect(pair.result(1, pair.call(1, 0, [6])) == .success([6]))
        pair.run(.seconds(1))
        let peer = try connection(pair, 1)
        #expect(peer.address == address && peer.path.isValidated)
        #expect(peer.otherPaths.isEmpty && peer.path.challenge == nil)
        #expect(pair.nodes[0].moves.isEmpty)
        #expect(pair.nodes.allSatisfy { $0.machine.endpoint.connectionCount == 1 })
    }

    @Test func anotherPortKeepsWhatIsKnownOfThePathAndAnotherHostDoesNot() throws {
        for (address, keeps) in [(MigrationTests.rebound, true), (MigrationTests.roamed, false)] {
            var pair = connected()
            #expect(
                pair.result(1, pair.call(1, 0, pattern(1 << 20))) == .success(pattern(1 << 20)))
            let before = try connection(pair, 1)
            #expect(before.congestion.window > 100_000)
            pair.nodes[0].address = address
            pair.nodes[0].echoes = false
            _ = pair.call(0, 1, [1])
            pair.run(.milliseconds(6))
            let after = try connection(pair, 1)
            #expect(after.address == address)
            #expect((after.congestion.window >= before.congestion.window) == keeps)
            #expect(after.roundTrip.hasSample == keeps)
        }
    }

    @Test func whatIsUnderWayElsewhereTakesNoRoomOnANewPath() throws {
        var pair = connected()
        let body = pattern(2 << 20)
        let transfer = pair.call(1, 0, body)
        pair.run(.milliseconds(40))
        #expect(try connection(pair, 1).sent.bytesInFlight > 50_000)
        pair.nodes[0].address = MigrationTests.roamed
        // It speaks first; the acknowledgments under way are lost with the old address.
        _ = pair.call(0, 1, [1])
        while try connection(pair, 1).address != MigrationTests.roamed {
            let hasStepped = pair.step(until: pair.now + 1_000_000_000)
            try #require(hasStepped)
        }
        let moved = try connection(pair, 1)
        #expect(moved.sent.bytesInFlight <= moved.path.bytesSent)
        #expect(pair.result(1, transfer) == .success(body))
    }

    @Test func aProbeOfThePathMTUThatWasUnderWayOnAPathThatWasLeftIsForgotten() {
        var mtu = PathMTU(maximum: 1452)
        mtu.packetWasFull()
        let first = mtu.nextProbe(now: 0)
        #expect(first == 1452)
        mtu.probeSent(1452)
        let second = mtu.nextProbe(now: 1)
        #expect(second == nil)
        mtu.leave()
        let third = mtu.nextProbe(now: 2)
        #expect(third == 1452)
    }

    @Test func withoutASpareIDNothingIsTried() throws {
        var pair = connected()
        let targets = (1...3).map { SocketAddress(ipv4: (203, 0, 113, $0), port: 1) }
        let isTried = targets.map {
            pair.nodes[0].machine.migrate(pair.peer(1), to: $0, wall: pair.wall, now: pair.now)
        }
        #expect(isTried == [true, true, false])
        pair.settle(0)
        pair.run(.seconds(6))
        #expect(pair.nodes[0].failedMoves.map(\.address) == Array(targets[..<2]).reversed())
        #expect(try connection(pair, 0).otherPaths.isEmpty)
        let again = pair.nodes[0].machine.migrate(
            pair.peer(1), to: targets[2], wall: pair.wall, now: pair.now)
        #expect(again)
    }

    @Test(arguments: 1...4)
    func aTransferSurvivesManyNewAddressesAndLoss(seed: UInt64) throws {
        var pair = Pair(seed: seed, timings: .production, key: Pair.privateKey)
        pair.faults = LinkFaults(loss: 30, duplication: 20, delay: 8_000_000, jitter: 3_000_000)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        let body = pattern(800_000, seed: seed)
        let first = pair.call(0, 1, body, timeout: .seconds(60))
        let second = pair.call(1, 0, body, timeout: .seconds(60))
        for step in 0..<8 {
            pair.run(.milliseconds(60))
            pair.nodes[0].address = SocketAddress(
                ipv4: (10, 0, UInt8(step / 3), 1), port: UInt16(6000 + step))
        }
        #expect(pair.result(0, first) == .success(body))
        #expect(pair.result(1, second) == .success(body))
        #expect(pair.nodes.allSatisfy { $0.closed.isEmpty })
        #expect(pair.nodes[1].moves.last == pair.contact(0))
    }

    @Test func anAddressThatDoesNotAnswerGetsThriceItsBytesAndIsGivenUp() throws {
        var pair = connected()
        pair.nodes[1].echoes = false
        let silent = SocketAddress(ipv4: (203, 0, 113, 5), port: 1)
        // Node 0's next packet arrives as if from elsewhere, and nothing comes back from there.
        nonisolated(unsafe) var copies: [[UInt8]] = []
        nonisolated(unsafe) var bytesSent = 0
        pair.filter = {
            if $0.from == Pair.address(0) {
                copies.append($0.bytes)
                return false
            }
            if $0.to == silent { bytesSent += $0.bytes.count }
            // The old address is down as well for now.
            return false
        }
        let id = pair.call(0, 1, [9])
        let copy = try #require(copies.first)
        pair.inject(copy, to: 1, from: silent)
        #expect(try connection(pair, 1).address == silent)
        // Plenty to send, but no leave to send it there.
        let request = try #require(pair.nodes[1].requests.last)
        pair.nodes[1].machine.respond(
            request.id, .success(pattern(500_000)), wall: pair.wall, now: pair.now)
        pair.settle(1)
        #expect(bytesSent <= 3 * copy.count)
        #expect(bytesSent > 0)
        pair.run(.milliseconds(50))
        #expect(bytesSent <= 3 * copy.count)
        pair.filter = nil
        #expect(pair.result(0, id) == .success(pattern(500_000)))
        #expect(try connection(pair, 1).address == Pair.address(0))
        // Nobody above had a part in it.
        #expect(pair.nodes[1].moves.isEmpty && pair.nodes[1].failedMoves.isEmpty)
    }

    @Test func aConnectionMovesFromARelayToADirectPathAndBack() throws {
        var pair = Pair(key: Pair.privateKey)
        // Each knows the other by an address of a relay.
        let relay = (0...1).map { SocketAddress(ipv4: (198, 51, 100, UInt8($0)), port: 1) }
        pair.relays[relay[1]] = (1, relay[0])
        pair.relays[relay[0]] = (0, relay[1])
        for node in 0...1 {
            pair.nodes[node].machine.learn(
                PeerContact(peer: pair.peer(1 - node), address: relay[1 - node]))
        }
        nonisolated(unsafe) var relayed = 0
        pair.filter = {
            if relay.contains($0.to) { relayed += 1 }
            return true
        }
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(200))
        #expect(relayed > 0)
        let body = pattern(1 << 20)
        let transfer = pair.call(0, 1, body, timeout: .seconds(60))
        pair.run(.milliseconds(20))
        let before = try connection(pair, 0).remoteID
        let isTried = pair.nodes[0].machine.migrate(
            pair.peer(1), to: Pair.address(1), wall: pair.wall, now: pair.now)
        #expect(isTried)
        pair.settle(0)
        pair.run(.milliseconds(200))
        #expect(pair.nodes[0].moves == [pair.contact(1)])
        #expect(pair.nodes[1].moves == [pair.contact(0)])
        #expect(try connection(pair, 0).remoteID != before)
        relayed = 0
        #expect(pair.result(0, transfer) == .success(body))
        #expect(pair.result(1, pair.call(1, 0, [2])) == .success([2]))
        #expect(relayed == 0)
        // And back, with yet another ID.
        let direct = try connection(pair, 0).remoteID
        _ = pair.nodes[0].machine.migrate(
            pair.peer(1), to: relay[1], wall: pair.wall, now: pair.now)
        pair.settle(0)
        pair.run(.milliseconds(200))
        #expect(pair.nodes[0].moves.last?.address == relay[1])
        #expect(pair.nodes[1].moves.last?.address == relay[0])
        #expect(pair.result(0, pair.call(0, 1, [3])) == .success([3]))
        let after = try connection(pair, 0)
        #expect(after.remoteID != before && after.remoteID != direct)
        #expect(after.otherPaths.isEmpty)
        #expect(pair.nodes.allSatisfy { $0.machine.endpoint.connectionCount == 1 })
    }

    @Test func bothEndsMayMoveAtTheSameTime() throws {
        var pair = Pair(key: Pair.privateKey)
        let relay = (0...1).map { SocketAddress(ipv4: (198, 51, 100, UInt8($0)), port: 1) }
        pair.relays[relay[1]] = (1, relay[0])
        pair.relays[relay[0]] = (0, relay[1])
        pair.nodes[0].machine.learn(PeerContact(peer: pair.peer(1), address: relay[1]))
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(200))
        for node in 0...1 {
            let isTried = pair.nodes[node].machine.migrate(
                pair.peer(1 - node), to: Pair.address(1 - node), wall: pair.wall, now: pair.now)
            #expect(isTried)
            pair.settle(node)
        }
        let transfer = pair.call(0, 1, pattern(500_000))
        #expect(pair.result(0, transfer) == .success(pattern(500_000)))
        pair.run(.seconds(1))
        for node in 0...1 {
            #expect(try connection(pair, node).address == Pair.address(1 - node))
            #expect(try connection(pair, node).otherPaths.isEmpty)
        }
    }

    @Test func anAddressThatIsTriedInVainChangesNothing() throws {
        var pair = connected()
        let silent = SocketAddress(ipv4: (203, 0, 113, 5), port: 1)
        nonisolated(unsafe) var bytesSent = 0
        pair.filter = {
            if $0.to == silent { bytesSent += $0.bytes.count }
            return true
        }
        let isTried = pair.nodes[0].machine.migrate(
            pair.peer(1), to: silent, wall: pair.wall, now: pair.now)
        #expect(isTried)
        pair.settle(0)
        #expect(pair.result(0, pair.call(0, 1, [4])) == .success([4]))
        pair.run(.seconds(1))
        #expect(bytesSent == 3 * 1200)
        #expect(pair.nodes[0].failedMoves == [PeerContact(peer: pair.peer(1), address: silent)])
        #expect(pair.nodes[0].moves.isEmpty)
        #expect(try connection(pair, 0).otherPaths.isEmpty)
        // The ID that was spent on it has been replaced.
        #expect(try connection(pair, 0).remoteIDs.spares.count == 2)
        #expect(try connection(pair, 1).localIDs.entries.count == 3)
    }

    @Test func aPathThatFailsRightAfterTheMoveIsLeftAgain() throws {
        var pair = Pair(key: Pair.privateKey)
        let relay = (0...1).map { SocketAddress(ipv4: (198, 51, 100, UInt8($0)), port: 1) }
        pair.relays[relay[1]] = (1, relay[0])
        pair.relays[relay[0]] = (0, relay[1])
        pair.nodes[0].machine.learn(PeerContact(peer: pair.peer(1), address: relay[1]))
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(200))
        // Only the challenge and its answer pass on the direct path.
        nonisolated(unsafe) var direct = 0
        pair.filter = {
            guard $0.to == Pair.address(1) else { return true }
            direct += 1
            return direct <= 1
        }
        _ = pair.nodes[0].machine.migrate(
            pair.peer(1), to: Pair.address(1), wall: pair.wall, now: pair.now)
        pair.settle(0)
        let id = pair.call(0, 1, pattern(20_000))
        #expect(pair.result(0, id, within: .seconds(3)) == .success(pattern(20_000)))
        pair.run(.seconds(1))
        #expect(direct > 1)
        #expect(try connection(pair, 0).address == relay[1])
        #expect(pair.nodes[0].failedMoves.map(\.address) == [Pair.address(1)])
        #expect(pair.nodes[0].moves.last?.address == relay[1])
    }
}
