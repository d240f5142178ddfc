import CyxCore
import CyxCrypto
import SimulationHarness
import Testing

@testable import CyxObjects

@Suite struct TokenTests {
    private func time(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: milliseconds) }
    private func id(_ number: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: 12) + (0..<4).map { UInt8(number >> (8 * $0) & 0xFF) }
    }

    @Test func revokedTokensAreRememberedUntilTheyEnd() {
        var row = RevokedTokensRow()
        row.revoke(id(1), expires: time(100), now: time(10))
        row.revoke(id(1), expires: time(100), now: time(11))
        row.revoke(id(2), expires: time(200), now: time(12))
        #expect(row.tokens.count == 2)
        #expect(row.hasRevoked(id(1), issued: time(5)) && row.hasRevoked(id(2), issued: time(5)))
        #expect(!row.hasRevoked(id(3), issued: time(5)))
        row.revoke(id(4), expires: time(300), now: time(100))
        #expect(row.tokens.map(\.id) == [id(2), id(4)])
        // One that has ended need not be written down.
        row.revoke(id(5), expires: time(100), now: time(100))
        #expect(row.tokens.count == 2)
    }

    @Test func aFullListEndsAllTokensThatWereIssued() {
        var row = RevokedTokensRow()
        for number in 0..<RevokedTokensRow.tokensMax {
            row.revoke(id(number), expires: time(1000), now: time(1))
        }
        #expect(!row.hasRevoked(id(-1), issued: time(1)))
        row.revoke(id(-2), expires: time(1000), now: time(7))
        #expect(row.tokens.isEmpty)
        for number in [0, -1, -2] { #expect(row.hasRevoked(id(number), issued: time(6))) }
        #expect(!row.hasRevoked(id(-3), issued: time(7)))
        #expect(row.protobufBytes().count < 100)
    }

    @Test func theKeyOfTokensIsTheAccountsAndNoOtherOfItsKeys() {
        let keys = AccountKeys(seed: [UInt8](repeating: 1, count: 32))
        let again = AccountKeys(seed: [UInt8](repeating: 1, count: 32))
        let other = AccountKeys(seed: [UInt8](repeating: 2, count: 32))
        #expect(keys.tokenKey.verifyingKey == again.tokenKey.verifyingKey)
        #expect(keys.tokenKey.verifyingKey != other.tokenKey.verifyingKey)
        #expect(keys.tokenKey.verifyingKey != keys.signing.verifyingKey)
    }

    @Test func anotherLifeOfTheGatewayKnowsWhatWasRevoked() throws {
        let world = try ObjectWorld(storers: 3)
        let now = try world.perform { await $0.context.environment.wallTime() }
        let (one, two) = (id(1), id(2))
        let end = time(now.milliseconds + 3_600_000)
        try world.perform { gateway in
            #expect(try await !gateway.isRevoked(token: one, issued: now))
            try await gateway.revokeToken(one, expires: end)
            #expect(try await gateway.isRevoked(token: one, issued: now))
        }
        world.gatewayNode.peer.crash()
        try world.startGateway()
        let known = try world.perform { gateway in
            [
                try await gateway.isRevoked(token: one, issued: now),
                try await gateway.isRevoked(token: two, issued: now),
            ]
        }
        #expect(known == [true, false])
    }
}
