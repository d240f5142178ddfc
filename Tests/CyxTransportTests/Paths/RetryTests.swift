import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct RetryTokenTests {
    private let source = SeededSource(seed: 3)
    private let address = SocketAddress(ipv4: (192, 0, 2, 7), port: 4000)
    private let second: Int64 = 1_000_000_000

    private func issue(_ tokens: inout RetryTokens, now: Int64) -> [UInt8] {
        tokens.issue(
            originalDestination: ConnectionID(11), retrySource: ConnectionID(22),
            address: address, random: source, now: now)
    }

    private func redeem(
        _ token: [UInt8], _ tokens: inout RetryTokens, from other: SocketAddress? = nil,
        to destination: UInt64 = 22, now: Int64
    ) -> ConnectionID? {
        tokens.redeem(
            token, destination: ConnectionID(destination), address: other ?? address, now: now)
    }

    @Test func aTokenIsGoodOnceForTenSecondsAtItsAddressAndDestination() {
        var tokens = RetryTokens(networkID: Pair.networkID)
        let token = issue(&tokens, now: 0)
        #expect(token.count == 66)
        #expect(token[0] == 1)
        var other = address
        other.port += 1
        #expect(redeem(token, &tokens, from: other, now: second) == nil)
        other = SocketAddress(ipv4: (192, 0, 2, 8), port: address.port)
        #expect(redeem(token, &tokens, from: other, now: second) == nil)
        #expect(redeem(token, &tokens, to: 23, now: second) == nil)
        #expect(redeem(token, &tokens, now: 10 * second) == nil)
        #expect(redeem(token, &tokens, now: 10 * second - 1) == ConnectionID(11))
        #expect(redeem(token, &tokens, now: 10 * second - 1) == nil)
    }

    @Test func aTokenOfAnotherNetworkOrEndpointOrWithAChangedBitIsRefused() {
        var tokens = RetryTokens(networkID: Pair.networkID)
        let token = issue(&tokens, now: 0)
        var stranger = RetryTokens(networkID: Pair.networkID)
        _ = issue(&stranger, now: 0)
        #expect(redeem(token, &stranger, now: 1) == nil)
        for bit in 0..<token.count * 8 {
            var changed = token
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(redeem(changed, &tokens, now: 1) == nil)
        }
        for count in 0..<token.count {
            #expect(redeem(Array(token[..<count]), &tokens, now: 1) == nil)
        }
        #expect(redeem(token, &tokens, now: 1) == ConnectionID(11))
    }

    @Test func keysChangeEveryHourAndTheLastOneStaysGood() {
        var tokens = RetryTokens(networkID: Pair.networkID)
        let first = issue(&tokens, now: 0)
        let late = issue(&tokens, now: 3600 * second - 1)
        let next = issue(&tokens, now: 3600 * second)
        #expect(first[1] == late[1])
        #expect(next[1] != late[1])
        #expect(redeem(late, &tokens, now: 3600 * second + 1) == ConnectionID(11))
        #expect(redeem(next, &tokens, now: 3600 * second + 1) == ConnectionID(11))
    }

    @Test func usedTokensAreForgottenOnlyAfterTheyExpired() {
        var tokens = RetryTokens(networkID: Pair.networkID)
        var live: [(token: [UInt8], made: Int64)] = []
        for step in 0..<200 {
            let now = Int64(step) * second / 4
            let token = issue(&tokens, now: now)
            #expect(redeem(token, &tokens, now: now) != nil)
            live.append((token, now))
            for old in live { #expect(redeem(old.token, &tokens, now: now) == nil) }
        }
        // Two spans of ten seconds, four tokens each second.
        #expect(tokens.usedCount <= 80)
    }
}

@Suite struct RetryTests {
    /// Two peers, of which the second always demands a token.
    private func pair(key: [UInt8] = Pair.networkID.bytes) -> Pair {
        var limits = TransportLimits()
        limits.retryThreshold = 0
        return Pair(limits: limits, key: key)
    }

    private func isRetry(_ bytes: [UInt8]) -> Bool { bytes[0] >> 4 == 0b1111 }
    private func isInitial(_ bytes: [UInt8]) -> Bool { bytes[0] >> 4 == 0b1100 }

    @Test(arguments: [Pair.networkID.bytes, Pair.privateKey])
    func underLoadAHandshakeTakesOneMoreRoundTripAndTheSameFirstMessage(key: [UInt8]) throws {
        var pair = pair(key: key)
        pair.introduce()
        nonisolated(unsafe) var seen: [[UInt8]] = []
        pair.filter = {
            seen.append($0.bytes)
            return true
        }
        #expect(pair.result(0, pair.call(0, 1, [1, 2])) == .success([1, 2]))
        try #require(seen.count > 3)
        #expect(isInitial(seen[0]) && isRetry(seen[1]) && isInitial(seen[2]))
        #expect(seen.count { isRetry($0) } == 1)
        #expect(seen[1].count == 21 + 66 + 16)
        #expect(seen[0].count == 1200 && seen[2].count == 1200)
        // The token moved the message by its length; nothing else of it changed.
        let length = 2 + (Int(seen[0][23]) << 8 | Int(seen[0][24]))
        #expect(Array(seen[0][23..<23 + length]) == Array(seen[2][89..<89 + length]))
        #expect(Array(seen[2][5..<13]) == Array(seen[1][13..<21]))
        #expect(Array(seen[2][23..<89]) == Array(seen[1][21..<87]))
    }

    @Test func whoOnlySendsFirstMessagesLeavesNothingBehindUnderLoad() throws {
        var pair = pair()
        let first = try firstDatagram(&pair)
        for host in UInt8(1)...200 {
            pair.inject(first, to: 1, from: SocketAddress(ipv4: (192, 0, 2, host), port: 9))
        }
        let endpoint = pair.nodes[1].machine.endpoint
        #expect(pair.nodes[1].datagramsSent == 200)
        #expect(endpoint.slots.isEmpty && endpoint.routes.isEmpty && endpoint.replays.count == 0)
        #expect(endpoint.unvalidatedLimiter.count == 0)
        #expect(pair.nodes[1].machine.nextDeadline == nil)
    }

    @Test func inAPrivateNetworkAStrangerIsNotEvenAskedForAToken() throws {
        var pair = pair(key: Pair.privateKey)
        pair.add(identity: 9, seed: 77)
        let id = pair.identify(2, Pair.address(1))
        pair.run(.seconds(5))
        #expect(pair.nodes[2].identified[id] == .failure(.unreachable))
        #expect(pair.nodes[1].datagramsReceived > 1)
        #expect(pair.nodes[1].datagramsSent == 0)
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

    @Test func aRetryPacketThatWasChangedIsIgnored() throws {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            var pair = pair()
            let first = try firstDatagram(&pair)
            nonisolated(unsafe) var retry: [UInt8] = []
            pair.filter = {
                if $0.bytes[0] >> 4 == 0b1111 { retry = $0.bytes }
                return false
            }
            pair.inject(first, to: 1, from: Pair.address(0))
            let good = retry
            #expect(good.count == 103)
            var changed = good
            let bit = Int(generator.next() % UInt64(good.count * 8))
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            pair.inject(changed, to: 0, from: Pair.address(1))
            pair.inject(Array(good.dropLast()), to: 0, from: Pair.address(1))
            pair.inject(good + [0], to: 0, from: Pair.address(1))
            #expect(pair.nodes[0].datagramsSent == 1)
            pair.inject(good, to: 0, from: Pair.address(1))
            #expect(pair.nodes[0].datagramsSent == 2)
        }
    }

    @Test func onlyOneRetryIsFollowed() throws {
        var pair = pair()
        let first = try firstDatagram(&pair)
        nonisolated(unsafe) var retries: [[UInt8]] = []
        pair.filter = {
            if $0.bytes[0] >> 4 == 0b1111 { retries.append($0.bytes) }
            return false
        }
        pair.inject(first, to: 1, from: Pair.address(0))
        pair.inject(first, to: 1, from: Pair.address(0))
        try #require(retries.count == 2)
        pair.inject(retries[0], to: 0, from: Pair.address(1))
        #expect(pair.nodes[0].datagramsSent == 2)
        pair.inject(retries[1], to: 0, from: Pair.address(1))
        #expect(pair.nodes[0].datagramsSent == 2)
    }

    @Test func aResponseThatTellsOfAnotherRetryIsRefused() throws {
        // The responder of the second run took the message without a retry, the initiator of the
        // first one followed one: it must not take that response.
        var pair = pair()
        pair.introduce()
        let id = pair.call(0, 1, [1])
        pair.filter = { !($0.bytes[0] >> 4 == 0b1101) }
        pair.run(.milliseconds(15))
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        #expect(pair.nodes[0].machine.endpoint[handle]?.retrySource != nil)
        pair.nodes[0].machine.endpoint[handle]?.retrySource = ConnectionID(5)
        pair.filter = nil
        #expect(pair.result(0, id) == .failure(.unreachable))
    }

    @Test(arguments: 1...6)
    func retriesSurviveLossDuplicationAndReordering(seed: UInt64) {
        var limits = TransportLimits()
        limits.retryThreshold = 0
        var pair = Pair(seed: seed, timings: .production, limits: limits)
        pair.faults = LinkFaults(loss: 150, duplication: 200, delay: 8_000_000, jitter: 9_000_000)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, pattern(9000))) == .success(pattern(9000)))
    }

    @Test func thePlacesAboveTheThresholdAreForWhoRepeatsAToken() throws {
        var limits = TransportLimits()
        limits.retryThreshold = 4
        limits.pendingHandshakes = 8
        var pair = Pair(count: 1, limits: limits)
        for index in UInt8(1)..<16 {
            pair.add(identity: index + 1, seed: UInt64(index) * 31, limits: limits)
        }
        // Their last messages are lost, so that they stay pending.
        pair.filter = { $0.bytes[0] >> 4 != 0b1110 }
        for index in 1..<16 { _ = pair.identify(index, Pair.address(0)) }
        pair.run(.milliseconds(10))
        #expect(pair.nodes[0].machine.endpoint.pendingHandshakes == 4)
        pair.run(.milliseconds(20))
        #expect(pair.nodes[0].machine.endpoint.pendingHandshakes == 8)
        pair.run(.seconds(10))
        #expect(pair.nodes[0].machine.endpoint.pendingHandshakes == 0)
    }
}
