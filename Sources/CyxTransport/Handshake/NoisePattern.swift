/// A handshake pattern of the Noise Protocol Framework (revision 34, §7 and §9).
struct NoisePattern: Sendable {
    enum Token: Sendable {
        case e, s, ee, es, se, psk
    }

    var name: String
    /// Messages in order, the initiator's first.
    var messages: [[Token]]

    var usesPSK: Bool { messages.contains { $0.contains(.psk) } }

    /// The pattern of every connection: outsiders fail at the first message (decisions.md §D).
    static let xxpsk0 = NoisePattern(
        name: "Noise_XXpsk0_25519_ChaChaPoly_SHA256",
        messages: [[.psk, .e], [.e, .ee, .s, .es], [.s, .se]])
}
