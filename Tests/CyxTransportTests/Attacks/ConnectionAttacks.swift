import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// Attacks on a connection by who sees its packets, or by who is at its other end. Each runs twice:
/// with all defences its property holds; without the one that it is aimed at, it must be seen to
/// break.
@Suite struct ConnectionAttacks {
    /// Whose address is abused; nothing ever comes from there.
    private static let victim = SocketAddress(ipv4: (203, 0, 113, 5), port: 1)

    private func connected(_ defences: TransportDefences) -> Pair {
        var pair = Pair(key: Pair.privateKey) { $0.defences = defences }
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(200))
        return pair
    }

    private func connection(_ pair: Pair, _ node: Int) throws -> Connection {
        let handle = try #require(pair.nodes[node].machine.links.keys.first)
        return try #require(pair.nodes[node].machine.endpoint[handle])
    }

    // MARK: Amplification

    /// Node 0 asks for much and then sends a packet under a victim's address. The bytes that node
    /// 1 sends to the victim for each that seemed to come from there.
    private func amplification(_ defences: TransportDefences) throws -> Double {
        var pair = connected(defences)
        pair.nodes[1].echoes = false
        _ = pair.call(0, 1, [9])
        pair.run(.milliseconds(100))
        let request = try #require(pair.nodes[1].requests.last)
        nonisolated(unsafe) var last: [UInt8] = []
        nonisolated(unsafe) var bytesSent = 0
        pair.filter = {
            if $0.from == Pair.address(0) { last = $0.bytes }
            if $0.to == ConnectionAttacks.victim { bytesSent += $0.bytes.count }
            return false
        }
        _ = pair.call(0, 1, [10])
        let spoofed = last
        pair.inject(spoofed, to: 1, from: ConnectionAttacks.victim)
        pair.nodes[1].machine.respond(
            request.id, .success(pattern(200_000)), wall: pair.wall, now: pair.now)
        pair.settle(1)
        pair.run(.milliseconds(60))
        return Double(bytesSent) / Double(spoofed.count)
    }

    @Test func nobodyIsFloodedByWhoSendsUnderHisAddress() throws {
        #expect(try amplification(.all) <= 3)
        #expect(try amplification(.all.subtracting(.amplification)) > 100)
    }

    // MARK: Migration hijack

    /// Somebody sends one of node 0's packets under another address before it arrives. Whether
    /// node 1 still reaches node 0, which sends nothing by itself.
    private func reachesPeerAfterHijack(_ defences: TransportDefences) throws -> Bool {
        var pair = connected(defences)
        nonisolated(unsafe) var first: [UInt8] = []
        pair.filter = {
            if first.isEmpty { first = $0.bytes }
            return false
        }
        _ = pair.call(0, 1, [2], timeout: .milliseconds(5))
        pair.filter = nil
        pair.inject(first, to: 1, from: ConnectionAttacks.victim)
        #expect(try connection(pair, 1).address == ConnectionAttacks.victim)
        // Node 0's own packets are lost as well for as long as it would send some.
        pair.filter = { $0.from != Pair.address(0) || $0.bytes.count >= 1200 }
        pair.run(.milliseconds(300))
        pair.filter = nil
        let address = try connection(pair, 1).address
        #expect(pair.nodes[1].moves.isEmpty == (address == Pair.address(0)))
        return address == Pair.address(0)
    }

    @Test func aForwardedPacketDivertsNoConnection() throws {
        #expect(try reachesPeerAfterHijack(.all))
        #expect(try !reachesPeerAfterHijack(.all.subtracting(.pathValidation)))
    }

    /// Somebody passes on all that node 0 sends, faster than the network does and under an
    /// address of his own, and passes back what comes there. Counts the rounds of 20 after which
    /// node 1 takes that address for node 0's.
    private func roundsWithCopyist(_ defences: TransportDefences) throws -> Int {
        var pair = connected(defences)
        let copyist = ConnectionAttacks.victim
        pair.relays[copyist] = (0, Pair.address(1))
        nonisolated(unsafe) var copies: [[UInt8]] = []
        pair.filter = {
            if $0.from == Pair.address(0) { copies.append($0.bytes) }
            return true
        }
        var rounds = 0
        for _ in 0..<20 {
            let call = pair.call(0, 1, pattern(3000))
            let end = pair.now + 50_000_000
            repeat {
                for copy in copies {
                    pair.launch(copy, to: Pair.address(1), from: copyist, after: 1)
                }
                copies = []
            } while pair.step(until: end)
            pair.now = end
            #expect(pair.nodes[0].completed[call] == .success(pattern(3000)))
            if try connection(pair, 1).address == copyist { rounds += 1 }
        }
        // And then he leaves.
        pair.filter = { $0.to != copyist }
        #expect(pair.result(0, pair.call(0, 1, [7])) == .success([7]))
        #expect(try connection(pair, 1).address == Pair.address(0))
        return rounds
    }

    @Test func whoCopiesPacketsFasterThanTheNetworkIsLeftAgain() throws {
        #expect(try roundsWithCopyist(.all) <= 1)
        #expect(try roundsWithCopyist(.all.subtracting(.oldPathChallenge)) >= 15)
    }

    // MARK: Forged reset

    /// Somebody who sees a connection's IDs sends what looks like a reset. Whether the connection
    /// outlives it.
    private func outlivesForgedReset(_ defences: TransportDefences) throws -> Bool {
        var pair = connected(defences)
        let id = try connection(pair, 0).localID
        var forged = pattern(41)
        forged[0] = 0x41
        for index in 0..<8 {
            forged[1 + index] = UInt8(truncatingIfNeeded: id.value >> UInt64(8 * (7 - index)))
        }
        pair.inject(forged, to: 0, from: Pair.address(1))
        return pair.nodes[0].closed.isEmpty
            && pair.result(0, pair.call(0, 1, [2])) == .success([2])
    }

    @Test func aForgedResetEndsNoConnection() throws {
        #expect(try outlivesForgedReset(.all))
        #expect(try !outlivesForgedReset(.all.subtracting(.resetToken)))
    }
}
