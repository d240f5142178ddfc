import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// Attacks on who has no connection yet. Each runs twice: with all defences its property holds;
/// without the one that it is aimed at, it must be seen to break.
@Suite struct HandshakeAttacks {
    private static func spoofed(_ index: Int) -> SocketAddress {
        SocketAddress(ip: UInt128(0xFFFF) << 32 | UInt128(0xCB00_7100 + index), port: 99)
    }

    private func limits(threshold: Int = 8, pending: Int = 24) -> TransportLimits {
        var limits = TransportLimits()
        limits.retryThreshold = threshold
        limits.pendingHandshakes = pending
        return limits
    }

    /// First datagrams of `count` dials of node `node`, none of which arrives.
    private func firstDatagrams(_ pair: inout Pair, of node: Int, count: Int = 1) -> [[UInt8]] {
        nonisolated(unsafe) var seen: [[UInt8]] = []
        pair.filter = {
            seen.append($0.bytes)
            return false
        }
        for _ in 0..<count { _ = pair.identify(node, Pair.address(1)) }
        pair.filter = nil
        return seen
    }

    // MARK: Spoofed flood

    /// Somebody who knows the network's key sends first messages under many false addresses; then
    /// an honest peer calls. Whether the call is answered.
    private func callIsAnsweredInAFlood(_ defences: TransportDefences) -> Bool {
        var pair = Pair(count: 3, limits: limits()) { $0.defences = defences }
        pair.introduce()
        let flood = firstDatagrams(&pair, of: 2, count: 60)
        pair.nodes[2].isDown = true
        for (index, first) in flood.enumerated() {
            pair.inject(first, to: 1, from: HandshakeAttacks.spoofed(index))
        }
        let endpoint = pair.nodes[1].machine.endpoint
        #expect(endpoint.pendingHandshakes <= 24)
        let call = pair.call(0, 1, [1])
        pair.run(.milliseconds(500)) { $0.nodes[0].completed[call] != nil }
        return pair.nodes[0].completed[call] == .success([1])
    }

    @Test func aFloodUnderFalseAddressesKeepsNobodyOut() {
        #expect(callIsAnsweredInAFlood(.all))
        #expect(!callIsAnsweredInAFlood(.all.subtracting(.retry)))
    }

    // MARK: Initial replay

    /// A first message that was seen on its way is sent again from many addresses. How many
    /// connections the responder keeps for them.
    private func connectionsFromReplays(_ defences: TransportDefences) -> Int {
        var pair = Pair(limits: limits(threshold: 64, pending: 128), key: Pair.privateKey) {
            $0.defences = defences
        }
        let first = firstDatagrams(&pair, of: 0)[0]
        pair.nodes[0].isDown = true
        for index in 0..<40 {
            pair.inject(first, to: 1, from: HandshakeAttacks.spoofed(index))
        }
        return pair.nodes[1].machine.endpoint.connectionCount
    }

    @Test func aFirstMessageSentAgainFromElsewhereMakesNoState() {
        #expect(connectionsFromReplays(.all) == 1)
        #expect(connectionsFromReplays(.all.subtracting(.initialReplay)) == 40)
    }

    /// The same a day later, to a peer that has been restarted and so remembers nothing.
    private func connectionsFromOldReplay(_ defences: TransportDefences) -> Int {
        var pair = Pair(key: Pair.privateKey) { $0.defences = defences }
        let first = firstDatagrams(&pair, of: 0)[0]
        pair.nodes[0].isDown = true
        pair.wall.milliseconds += 86_400_000
        pair.inject(first, to: 1, from: Pair.address(0))
        return pair.nodes[1].machine.endpoint.connectionCount
    }

    @Test func aFirstMessageOfAnotherDayMakesNoState() {
        #expect(connectionsFromOldReplay(.all) == 0)
        #expect(connectionsFromOldReplay(.all.subtracting(.clockTolerance)) == 1)
    }

    // MARK: Token theft

    /// A peer under load, and a first message with a good token that is on its way to it.
    private func tokenOnItsWay(_ defences: TransportDefences) throws -> (Pair, [UInt8]) {
        var pair = Pair(limits: limits(threshold: 0), key: Pair.privateKey) {
            $0.defences = defences
        }
        nonisolated(unsafe) var second: [UInt8] = []
        nonisolated(unsafe) var initials = 0
        pair.filter = {
            guard $0.bytes[0] >> 4 == 0b1100 else { return true }
            initials += 1
            if initials == 2 { second = $0.bytes }
            return initials < 2
        }
        _ = pair.identify(0, Pair.address(1))
        pair.run(.milliseconds(12))
        pair.filter = nil
        pair.nodes[0].isDown = true
        try #require(second.count == 1200)
        return (pair, second)
    }

    private func stolenTokenIsTaken(_ defences: TransportDefences) throws -> Bool {
        var (pair, datagram) = try tokenOnItsWay(defences)
        pair.inject(datagram, to: 1, from: HandshakeAttacks.spoofed(0))
        return pair.nodes[1].machine.endpoint.connectionCount > 0
    }

    @Test func aTokenIsNoGoodToWhoStealsIt() throws {
        #expect(try !stolenTokenIsTaken(.all))
        #expect(try stolenTokenIsTaken(.all.subtracting(.tokenAddress)))
    }

    /// A token's datagram is sent again and again under its true address, each time after the
    /// handshake that it began has been given up. How many handshakes it begins.
    private func handshakesFromOneToken(_ defences: TransportDefences) throws -> Int {
        var (pair, datagram) = try tokenOnItsWay(defences)
        var count = 0
        for _ in 0..<6 {
            pair.inject(datagram, to: 1, from: Pair.address(0))
            count += pair.nodes[1].machine.endpoint.connectionCount
            pair.run(.milliseconds(1500))
            #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
        }
        return count
    }

    @Test func aTokenIsGoodOnce() throws {
        #expect(try handshakesFromOneToken(.all) == 1)
        #expect(try handshakesFromOneToken(.all.subtracting(.tokenReplay)) == 6)
    }

    // MARK: Resets among strangers

    /// A packet that seems to come from another peer, between two that have no connection. How
    /// many datagrams they exchange over it in a second.
    private func datagramsFromOneStray(_ defences: TransportDefences) -> Int {
        var pair = Pair(key: Pair.privateKey) { $0.defences = defences }
        var stray = pattern(60)
        stray[0] = 0x41
        pair.inject(stray, to: 1, from: Pair.address(0))
        pair.run(.seconds(1))
        return pair.nodes[0].datagramsSent + pair.nodes[1].datagramsSent
    }

    @Test func aStrayPacketSetsNoTwoPeersAgainstEachOther() {
        #expect(datagramsFromOneStray(.all) == 0)
        #expect(datagramsFromOneStray(.all.subtracting(.resetProof)) > 100)
    }
}
