/// How long the transport waits for what. Devnets detect death faster, at some risk of mistaking a
/// busy peer for a dead one.
package struct TransportTimings: Sendable, Equatable {
    /// From the first handshake packet to giving the address up.
    package var handshakeTimeout: Duration
    /// Before the first handshake packet is repeated; doubles each time.
    package var handshakeRetransmit: Duration
    /// Assumed before the first sample (RFC 9002 §6.2.2 says 333 ms; peers mostly know better).
    package var initialRoundTrip: Duration
    /// Longest wait before an acknowledgment.
    package var maxAckDelay: Duration
    /// Silence after which a connection without open streams is dropped.
    package var idleTimeout: Duration
    /// Silence after which a connection with open streams asks whether the peer is there.
    package var keepAlive: Duration
    /// How long a peer may leave packets unanswered before it counts as gone.
    package var unresponsiveAfter: Duration
    /// Upper bound of the probe timeout with its backoff.
    package var probeTimeoutMax: Duration

    package static let production = TransportTimings(
        handshakeTimeout: .seconds(3), handshakeRetransmit: .milliseconds(250),
        initialRoundTrip: .milliseconds(100), maxAckDelay: .milliseconds(5),
        idleTimeout: .seconds(60), keepAlive: .seconds(1), unresponsiveAfter: .seconds(3),
        probeTimeoutMax: .milliseconds(800))

    package static let devnet = TransportTimings(
        handshakeTimeout: .seconds(1), handshakeRetransmit: .milliseconds(100),
        initialRoundTrip: .milliseconds(20), maxAckDelay: .milliseconds(3),
        idleTimeout: .seconds(30), keepAlive: .milliseconds(500),
        unresponsiveAfter: .milliseconds(1800), probeTimeoutMax: .milliseconds(400))
}

/// The credit that one endpoint gives its peers.
package struct TransportLimits: Sendable, Equatable {
    /// First and largest window of a stream, in bytes.
    package var streamWindow: UInt64 = 256 << 10
    package var streamWindowMax: UInt64 = 9 << 20
    /// First and largest window of a connection. The first covers every stream's first.
    package var connectionWindow: UInt64 = 16 << 20
    package var connectionWindowMax: UInt64 = 48 << 20
    /// Calls of one peer that run here at the same time; more wait at the caller.
    package var incomingStreams: UInt64 = 64
    /// Connections of one endpoint in all, and those whose handshake is not finished.
    package var connections = 8192
    package var pendingHandshakes = 1024
    /// Unfinished handshakes from which on new ones have to repeat a retry token. The rest up to
    /// `pendingHandshakes` is for those who have.
    package var retryThreshold = 256
    /// Handshakes per second from one address that are worked on, and how many at once.
    package var handshakesPerSecond = 200
    package var handshakeBurst = 400
    /// Packets sent under a key before it is updated (decisions.md §D). A test of updates sets a
    /// few; they still are three probe timeouts apart.
    package var packetsPerKey: UInt64 = 1 << 22
    /// Packets that did not open after which a connection ends: ChaCha20-Poly1305's integrity
    /// limit, the lower one (RFC 9001 §6.6).
    package var failedOpens: UInt64 = 1 << 36
    /// The largest datagram that is tried on a path: IPv6 in an Ethernet frame of 1500 bytes. At
    /// least 1200, at most 8952.
    package var datagramSizeMax = 1452

    package init() {}
}
