/// The transport's defences that can be switched off one by one, so that a simulated attack shows
/// what each is for. Only attack tests ever take one out; an endpoint has all of them.
package struct TransportDefences: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    // Before a connection:

    /// Under load nothing is remembered of who has not repeated a retry token (RFC 9000 §8.1.2).
    package static let retry = TransportDefences(rawValue: 1 << 0)
    /// A retry token is good at the address only that it was sent to.
    package static let tokenAddress = TransportDefences(rawValue: 1 << 1)
    /// A retry token is taken once.
    package static let tokenReplay = TransportDefences(rawValue: 1 << 2)
    /// A first message that was answered before has to be validated when it comes again.
    package static let initialReplay = TransportDefences(rawValue: 1 << 3)
    /// First messages of another time are dropped.
    package static let clockTolerance = TransportDefences(rawValue: 1 << 4)
    /// An address that was not validated is sent at most three times what came from it
    /// (RFC 9000 §8.1 and §9.3).
    package static let amplification = TransportDefences(rawValue: 1 << 5)
    /// The version in use has to be the best that both ends have.
    package static let versionBinding = TransportDefences(rawValue: 1 << 6)

    // In a connection:

    /// Only the reset token that the peer promised ends a connection (RFC 9000 §10.3).
    package static let resetToken = TransportDefences(rawValue: 1 << 7)
    /// Resets answer only who may have had a connection, and are shorter than their cause.
    package static let resetProof = TransportDefences(rawValue: 1 << 8)
    /// A new address stays in use only if it answers a challenge (RFC 9000 §8.2).
    package static let pathValidation = TransportDefences(rawValue: 1 << 9)
    /// An address that was left without a fresh connection ID is asked whether the peer is still
    /// there, and if so wins (RFC 9000 §9.3.3).
    package static let oldPathChallenge = TransportDefences(rawValue: 1 << 10)

    /// Packet numbers are skipped at random, and who acknowledges one is cut off (RFC 9000 §21.4).
    package static let optimisticACK = TransportDefences(rawValue: 1 << 11)

    package static let all = TransportDefences(rawValue: 1 << 12 - 1)
}
