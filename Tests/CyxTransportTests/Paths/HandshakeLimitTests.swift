import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct HandshakeLimitTests {
    @Test func limitsCountByIPv4AddressAndByIPv6Network() {
        var limiter = HandshakeLimiter(perSecond: 10, burst: 3)
        func allows(_ address: SocketAddress, at now: Int64 = 0) -> Bool {
            limiter.allows(address, now: now)
        }
        let first = SocketAddress(ipv4: (192, 0, 2, 1), port: 1)
        for port in UInt16(1)...3 {
            #expect(allows(SocketAddress(ip: first.ip, port: port)))
        }
        #expect(!allows(first))
        #expect(allows(SocketAddress(ipv4: (192, 0, 2, 2), port: 1)))
        let network = UInt128(0x2001_0DB8) << 96
        for host in UInt128(1)...3 {
            #expect(allows(SocketAddress(ip: network | host << 32, port: 1)))
        }
        #expect(!allows(SocketAddress(ip: network | 99, port: 1)))
        #expect(allows(SocketAddress(ip: network | 1 << 64, port: 1)))
        // A tenth of a second earns one more.
        #expect(allows(first, at: 100_000_000))
        #expect(!allows(first, at: 100_000_000))
    }

    @Test func whoHasAskedTooMuchIsRememberedAmongManyOthers() {
        var limiter = HandshakeLimiter(perSecond: 10, burst: 2)
        let greedy = SocketAddress(ipv4: (192, 0, 2, 1), port: 1)
        var allowed = 0
        for step in 0..<100_000 {
            let other = SocketAddress(ip: UInt128(0xFFFF) << 32 | UInt128(step + 1), port: 1)
            // Each other one comes once, and has its token back a tenth of a second later.
            _ = limiter.allows(other, now: Int64(step) * 100_000)
            if limiter.allows(greedy, now: Int64(step) * 100_000) { allowed += 1 }
            #expect(limiter.count <= HandshakeLimiter.networksMax)
        }
        // Ten seconds at ten a second, and the burst.
        #expect(allowed == 101)
    }

    /// The first datagram of a dial, which goes nowhere.
    private func firstDatagram(_ pair: inout Pair) throws -> [UInt8] {
        nonisolated(unsafe) var seen: [[UInt8]] = []
        pair.filter = {
            seen.append($0.bytes)
            return false
        }
        _ = pair.identify(0, Pair.address(1))
        pair.filter = nil
        return try #require(seen.first)
    }

    @Test func aCopiedFirstMessageMakesNoStateAnywhereElse() throws {
        var pair = Pair(key: Pair.privateKey)
        let first = try firstDatagram(&pair)
        pair.nodes[0].isDown = true
        pair.inject(first, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 1)
        for host in UInt8(1)...100 {
            pair.inject(first, to: 1, from: SocketAddress(ipv4: (192, 0, 2, host), port: 1))
        }
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 1)
        // Nor once the first attempt is over, as long as the message's time is taken.
        for _ in 0..<60 {
            pair.run(.seconds(10))
            pair.wall.milliseconds -= 10_000
            pair.inject(first, to: 1, from: Pair.address(0))
            #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
        }
    }

    @Test func falseTokensUseUpNothingOfTheAddressThatTheySeemToComeFrom() throws {
        var limits = TransportLimits()
        limits.retryThreshold = 0
        limits.handshakeBurst = 3
        limits.handshakesPerSecond = 1
        var pair = Pair(limits: limits)
        pair.introduce()
        let first = try firstDatagram(&pair)
        // The same message with a token that nobody made.
        var forged = Array(first[..<21]) + [0, 66] + pattern(66) + first[23...]
        forged.removeLast(66)
        #expect(forged.count == 1200)
        for _ in 0..<20 { pair.inject(forged, to: 1, from: Pair.address(0)) }
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
        #expect(pair.nodes[1].machine.endpoint.validatedLimiter.count == 0)
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
    }

    @Test func whoIsCopiedFasterThanTheNetworkStillGetsThrough() throws {
        var pair = Pair(key: Pair.privateKey)
        pair.introduce()
        let id = pair.identify(0, Pair.address(1))
        // The copy comes first, from another address, and its answer is lost.
        nonisolated(unsafe) var copied: [UInt8] = []
        pair.filter = {
            copied = $0.bytes
            return true
        }
        let call = pair.call(0, 1, [1])
        pair.filter = nil
        pair.inject(copied, to: 1, from: SocketAddress(ipv4: (192, 0, 2, 1), port: 1))
        #expect(pair.result(0, call) == .success([1]))
        #expect(pair.nodes[0].identified[id] == .success(pair.contact(1)))
    }

    @Test func replaysAreRememberedForTheToleranceOfBothClocksAndInBoundedNumber() {
        var replays = InitialReplays()
        let span = InitialReplays.span
        #expect(span == 600_000_000_000)
        func message(_ number: Int) -> [UInt8] { pattern(32, seed: UInt64(number)) }
        replays.insert(message(1), now: 0)
        replays.insert(message(2), now: span - 1)
        #expect(replays.contains(message(1)))
        replays.insert(message(3), now: span)
        #expect(replays.contains(message(1)) && replays.contains(message(2)))
        for number in 10..<50_000 {
            replays.insert(message(number), now: span + 1)
            #expect(replays.count <= 2 * InitialReplays.keysMax)
        }
        #expect(replays.contains(message(49_999)) && !replays.contains(message(1)))
    }

    @Test func aResponderSendsLessThanThriceWhatItReceivedWhateverIsRepeated() throws {
        var pair = Pair()
        let first = try firstDatagram(&pair)
        nonisolated(unsafe) var bytesSent = 0
        pair.filter = {
            if $0.from == Pair.address(1) { bytesSent += $0.bytes.count }
            return false
        }
        for round in 1...30 {
            pair.inject(first, to: 1, from: Pair.address(0))
            pair.run(.milliseconds(20))
            #expect(bytesSent > 0 && bytesSent <= 3 * 1200 * round)
        }
    }
}
