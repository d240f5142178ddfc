internal import CyxCore

/// Why a connection is gone.
enum CloseReason: Equatable, Sendable {
    /// We closed it.
    case local(TransportError)
    /// The peer closed it, with this code.
    case remote(code: UInt64)
    /// Nobody used it for long.
    case idle
    /// The address did not answer.
    case handshakeTimeout
    /// The peer left packets unanswered for too long.
    case unresponsive
    /// The peer has lost the connection's state, most likely by a restart.
    case statelessReset

    /// Nothing that an operator needs to hear of.
    var isOrdinary: Bool {
        switch self {
        case .local(let error): error == .none
        case .remote(let code): code == TransportError.none.rawValue
        case .idle, .handshakeTimeout, .unresponsive, .statelessReset: true
        }
    }
}

/// What a connection tells its owner; in the order in which it happened.
enum ConnectionEvent: Equatable, Sendable {
    case established(PeerID)
    /// More of the stream's message arrived, its end, or a reset. Once per batch and stream.
    case readable(StreamID)
    /// The peer does not want the rest of our message.
    case stopped(StreamID, code: UInt64)
    /// The peer lets us open more streams.
    case streamsAvailable
    /// An unreliable datagram.
    case datagram([UInt8])
    /// The peer is reached at another address now, which has answered a challenge.
    case moved(SocketAddress)
    /// Several probes in a row were not answered on the path in use.
    case pathDoubtful
    /// An address that was tried does not answer.
    case migrationFailed(SocketAddress)
    /// Either side changed the keys of packets.
    case keysUpdated
    case closed(CloseReason)
}
