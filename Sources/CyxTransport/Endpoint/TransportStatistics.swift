/// How often what is rare has happened since the endpoint began.
struct TransportStatistics: Equatable, Sendable {
    /// Strangers who were asked to come again with a token (RFC 9000 §8.1.2).
    var retriesSent: UInt64 = 0
    /// Peers that were told that we have lost their connection, or told us so (RFC 9000 §10.3).
    var resetsSent: UInt64 = 0
    var resetsReceived: UInt64 = 0
    /// Connections that went on at another address, and addresses tried in vain (RFC 9000 §9).
    var pathsChanged: UInt64 = 0
    var pathsFailed: UInt64 = 0
    /// By either side (RFC 9001 §6).
    var keyUpdates: UInt64 = 0
    /// Connections beyond those that one peer may have.
    var surplusConnections: UInt64 = 0
}
