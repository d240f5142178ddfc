import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct NoiseTests {
    private static let patterns: [String: [[NoisePattern.Token]]] = [
        "Noise_XX_25519_ChaChaPoly_SHA256": [[.e], [.e, .ee, .s, .es], [.s, .se]],
        "Noise_NNpsk0_25519_ChaChaPoly_SHA256": [[.psk, .e], [.e, .ee]],
        "Noise_XXpsk3_25519_ChaChaPoly_SHA256": [[.e], [.e, .ee, .s, .es], [.s, .se, .psk]],
        "Noise_XXpsk0+psk3_25519_ChaChaPoly_SHA256": [
            [.psk, .e], [.e, .ee, .s, .es], [.s, .se, .psk],
        ],
        NoisePattern.xxpsk0.name: NoisePattern.xxpsk0.messages,
    ]

    private func pair(
        _ vector: NoiseVector
    ) throws -> (initiator: NoiseHandshake, responder: NoiseHandshake) {
        let pattern = NoisePattern(
            name: vector.name, messages: try #require(NoiseTests.patterns[vector.name]))
        func make(_ role: ConnectionRole, _ s: String?, _ e: String) throws -> NoiseHandshake {
            NoiseHandshake(
                pattern: pattern, role: role, prologue: try bytes(vector.prologue),
                ephemeral: X25519.PrivateKey(bytes: try bytes(e)),
                localStatic: try s.map { X25519.PrivateKey(bytes: try bytes($0)) },
                psks: try vector.psks.map { try bytes($0) })
        }
        return (
            try make(.initiator, vector.initiatorStatic, vector.initiatorEphemeral),
            try make(.responder, vector.responderStatic, vector.responderEphemeral)
        )
    }

    private func exchange(_ vector: NoiseVector) throws -> (NoiseHandshake, NoiseHandshake) {
        var (sender, receiver) = try pair(vector)
        for (payload, expected) in vector.messages {
            guard !sender.isComplete else { break }
            let plain = try bytes(payload)
            let before = sender.hash
            let message = try sender.writeMessage { _ in plain }
            #expect(Hex.encode(message) == expected)
            #expect(try receiver.readMessage(message).payload == plain)
            #expect(sender.hash == receiver.hash)
            #expect(sender.hash != before)
            swap(&sender, &receiver)
        }
        if let hash = vector.hash { #expect(Hex.encode(sender.hash) == hash) }
        return (sender, receiver)
    }

    @Test func publishedVectorsHold() throws {
        #expect(NoiseVector.published.count == 4)
        for vector in NoiseVector.published { _ = try exchange(vector) }
    }

    @Test func ourPatternMatchesTheReferenceEngineAndItsKeys() throws {
        let (handshake, _) = try exchange(.xxpsk0)
        let secrets = handshake.split()
        #expect(
            Hex.encode(secrets.initiator)
                == "916b77fc0aa1d05af7f0b40d4e1537ca5570c00755ea96fda928ff7de5e83c54")
        #expect(
            Hex.encode(secrets.responder)
                == "bde751bad87c523b0f8bc7c4a5922ae37b212dac185fc1485616a7671da66f01")
        let schedule = KeySchedule()
        let expected = [
            ("key", 32, "7fc16c3f74784d972bc55930db3564fbcf2b50fd6a995d759026a8c354c56352"),
            ("iv", 12, "486fe8c71e93bebbf8714887"),
            ("hp", 32, "0a9a9a646259c906f823590f19f3659633c27ed611062d4031fa2c6daa6a3fb9"),
            ("ku", 32, "cc8ca5b8f8de20587fb300b9dd9bba1ca76fe4439ce7440c5f6c0edd7d4ca4b4"),
        ]
        for (label, count, value) in expected {
            #expect(
                Hex.encode(schedule.expand(secrets.initiator, label, count: count)) == value)
        }
    }

    @Test func aWrongNetworkKeyFailsAtTheFirstMessage() throws {
        let vector = NoiseVector.xxpsk0
        var (initiator, _) = try pair(vector)
        var other = vector
        other.psks = [String(repeating: "00", count: 32)]
        var (_, responder) = try pair(other)
        let message = try initiator.writeMessage { _ in [1, 2, 3] }
        #expect(throws: TransportError.handshakeFailed) { try responder.readMessage(message) }
    }

    @Test func everyTruncationAndFlippedBitOfAMessageFails() throws {
        var (initiator, responder) = try pair(.xxpsk0)
        let message = try initiator.writeMessage { _ in Array("hello".utf8) }
        for count in 0..<message.count {
            var copy = responder
            #expect(throws: TransportError.self) {
                try copy.readMessage(Array(message[..<count]))
            }
        }
        for bit in 0..<message.count * 8 {
            var copy = responder
            var changed = message
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: TransportError.self) { try copy.readMessage(changed) }
        }
        _ = try responder.readMessage(message)
        var answer = try responder.writeMessage { _ in [] }
        answer[40] ^= 1
        #expect(throws: TransportError.self) { try initiator.readMessage(answer) }
    }

    @Test func aPublicKeyOfSmallOrderIsRefused() throws {
        var (initiator, _) = try pair(.xxpsk0)
        _ = try initiator.writeMessage { _ in [] }
        let answer = [UInt8](repeating: 0, count: 99)
        #expect(throws: TransportError.handshakeFailed) { try initiator.readMessage(answer) }
    }
}

func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }
