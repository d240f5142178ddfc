package import CyxCore
package import CyxCrypto

/// What makes an endpoint part of one network, under one identity.
package struct TransportConfiguration: Sendable {
    /// The secret of a private network; in a public one, the bytes of `networkID`.
    package var networkKey: [UInt8]
    package var networkID: NetworkID
    package var identity: SigningKey
    package var timings: TransportTimings
    package var limits: TransportLimits
    /// Who encrypts packets; only a benchmark has reason to choose.
    package var engine = AESGCM.Engine.best
    package var congestion: CongestionAlgorithm
    /// Versions of the protocol that are spoken, the best first.
    package var versions = [PacketFormat.version]
    /// Who writes traces of connections; nil for nobody, which costs nothing.
    package var qlog: (any QlogSink)?
    /// Attack tests take one out; nobody else does.
    package var defences = TransportDefences.all

    package init(
        networkKey: [UInt8], networkID: NetworkID, identity: SigningKey,
        timings: TransportTimings = .production, limits: TransportLimits = TransportLimits(),
        congestion: CongestionAlgorithm = .cubic
    ) {
        self.networkKey = networkKey
        self.networkID = networkID
        self.identity = identity
        self.timings = timings
        self.limits = limits
        self.congestion = congestion
    }
}
