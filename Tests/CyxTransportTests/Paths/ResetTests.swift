import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct ResetTests {
    private static let stranger = SocketAddress(ipv4: (192, 0, 2, 1), port: 9)

    /// Two peers with a connection, whose second has lost it by a restart; and the ID that the
    /// first one still sends to.
    private func restarted(
        configure: (inout TransportConfiguration) -> Void = { _ in }
    ) throws -> (Pair, ConnectionID) {
        var pair = Pair(key: Pair.privateKey, configure: configure)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        let id = try #require(pair.nodes[0].machine.endpoint[handle]?.remoteID)
        pair.nodes[1].machine = Pair.machine(
            identity: 2, seed: 999, key: Pair.privateKey, configure: configure)
        return (pair, id)
    }

    private func packet(to id: ConnectionID, size: Int, seed: UInt64 = 1) -> [UInt8] {
        var bytes = pattern(size, seed: seed)
        bytes[0] = 0x40 | bytes[0] & 0x3F
        for index in 0..<8 {
            bytes[1 + index] = UInt8(truncatingIfNeeded: id.value >> UInt64(8 * (7 - index)))
        }
        return bytes
    }

    /// What node 1 sends when `bytes` come from `source`.
    private func answers(
        _ pair: inout Pair, _ bytes: [UInt8], from source: SocketAddress
    ) -> [[UInt8]] {
        nonisolated(unsafe) var sent: [[UInt8]] = []
        pair.filter = {
            sent.append($0.bytes)
            return false
        }
        pair.inject(bytes, to: 1, from: source)
        pair.filter = nil
        return sent
    }

    @Test func aResetIsShorterThanItsCauseAndLooksLikeAPacket() throws {
        var (pair, id) = try restarted()
        for size in [29, 30, 31, 40, 41, 42, 100, 1400] {
            pair.now += 1_000_000_000
            let sent = answers(&pair, packet(to: id, size: size), from: Pair.address(0))
            guard size >= 30 else {
                #expect(sent.isEmpty)
                continue
            }
            #expect(sent.map(\.count) == [min(41, size - 1)])
            #expect(sent[0][0] >> 6 == 0b01)
        }
    }

    @Test func onlyWhoHadAConnectionFromThereDrawsAReset() throws {
        var (pair, id) = try restarted()
        let sent = answers(&pair, packet(to: id, size: 100), from: ResetTests.stranger)
        #expect(sent.isEmpty)
        for bit in UInt64(0)..<64 {
            let other = ConnectionID(id.value ^ 1 << bit)
            let sent = answers(&pair, packet(to: other, size: 100), from: Pair.address(0))
            #expect(sent.isEmpty)
        }
        // A NAT may have given the peer another port meanwhile.
        var moved = Pair.address(0)
        moved.port += 1
        #expect(answers(&pair, packet(to: id, size: 100), from: moved).count == 1)
    }

    @Test func atMostTenResetsGoOutInASecond() throws {
        var (pair, id) = try restarted()
        var count = 0
        for seed in UInt64(0)..<100 {
            count +=
                answers(&pair, packet(to: id, size: 100, seed: seed), from: Pair.address(0)).count
        }
        #expect(count == 10)
        pair.now += 1_000_000_000
        #expect(answers(&pair, packet(to: id, size: 100), from: Pair.address(0)).count == 1)
    }

    @Test func aPeerThatOnlyProbesLearnsOfTheLossAsWell() throws {
        var (pair, _) = try restarted()
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        pair.nodes[0].machine.endpoint[handle]?.isPingDue = true
        pair.settle(0)
        pair.run(.milliseconds(20))
        #expect(pair.nodes[0].closed == [.statelessReset])
    }

    @Test func endpointsThatAnswerEachOthersResetsFallSilent() throws {
        // Both lost the connection, and by mischance take every ID for their own.
        var bytes = packet(to: ConnectionID(0), size: 1400)
        var rounds = 0
        var (pair, id) = try restarted()
        while true {
            pair.now += 1_000_000_000
            var next = packet(to: id, size: bytes.count)
            next.replaceSubrange(9..., with: bytes[9...])
            guard let answer = answers(&pair, next, from: Pair.address(0)).first else { break }
            #expect(answer.count < bytes.count)
            bytes = answer
            rounds += 1
            try #require(rounds < 20)
        }
        #expect(rounds == 13)
    }

    @Test func aForgedResetDoesNothing() throws {
        var pair = Pair(key: Pair.privateKey)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        let connection = try #require(pair.nodes[0].machine.endpoint[handle])
        let token = try #require(connection.remoteResetToken)
        var generator = SeededGenerator(seed: 8)
        for seed in UInt64(0)..<500 {
            // To our connection and to none, from the peer's address and from elsewhere; every
            // bit of the true token is wrong once.
            let id = seed % 2 == 0 ? connection.localID : ConnectionID(generator.next())
            var bytes = packet(to: id, size: 41, seed: seed)
            bytes.replaceSubrange(25..., with: token.bytes)
            bytes[25 + Int(seed % 16)] ^= 1 << UInt8(seed / 16 % 8)
            pair.inject(
                bytes, to: 0, from: seed % 3 == 0 ? ResetTests.stranger : Pair.address(1))
        }
        #expect(pair.nodes[0].closed.isEmpty)
        #expect(pair.result(0, pair.call(0, 1, [2])) == .success([2]))
        #expect(pair.nodes[0].machine.endpoint.connectionCount == 1)
        // The true one does.
        var bytes = packet(to: ConnectionID(7), size: 41)
        bytes.replaceSubrange(25..., with: token.bytes)
        pair.inject(bytes, to: 0, from: Pair.address(1))
        #expect(pair.nodes[0].closed == [.statelessReset])
    }

    @Test func noPacketIsTooShortToDrawAReset() {
        var pair = Pair()
        pair.introduce()
        nonisolated(unsafe) var shortest = Int.max
        pair.filter = {
            shortest = min(shortest, $0.bytes.count)
            return true
        }
        for _ in 0..<20 { #expect(pair.result(0, pair.call(0, 1, [])) == .success([])) }
        pair.nodes[1].echoes = false
        _ = pair.call(0, 1, [1], timeout: .seconds(20))
        pair.run(.seconds(5))
        #expect(shortest == 30)
    }
}
