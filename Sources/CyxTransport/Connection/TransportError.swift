/// Why a connection ends, as it goes on the wire in CONNECTION_CLOSE (RFC 9000 §20.1, and our own
/// from 0x100).
enum TransportError: UInt64, Error, Equatable, Sendable {
    case none = 0x00
    case internalFailure = 0x01
    case flowControl = 0x03
    case streamLimit = 0x04
    case streamState = 0x05
    case finalSize = 0x06
    case frameEncoding = 0x07
    case parameters = 0x08
    case connectionIDLimit = 0x09
    case protocolViolation = 0x0A
    /// A key was updated too early, or used after its successor (RFC 9001 §6).
    case keyUpdate = 0x0E
    /// A key protected, or failed to open, as many packets as is safe (RFC 9001 §6.6).
    case aeadLimit = 0x0F
    /// Noise payload, signature or identity did not check.
    case handshakeFailed = 0x100
    /// No suite or version in common.
    case noCommonSuite = 0x101
    /// Somebody else answered than the peer that was dialled.
    case wrongPeer = 0x102
    /// The peer speaks none of our versions.
    case noCommonVersion = 0x103
    /// A better version than the one in use was hidden from us on the way.
    case versionDowngrade = 0x104
}
