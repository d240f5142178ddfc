package import CyxCore
package import CyxCrypto
package import CyxObjects
package import CyxOverlay
package import CyxTables
package import CyxTransport

/// Which network a peer belongs to.
package struct NetworkSecret: Sendable, Equatable {
    package var id: NetworkID
    /// 32 bytes; in a public network those of `id` (`decisions.md` §D).
    package var key: [UInt8]
    package var isPrivate: Bool

    /// A private network: whoever has `key` is in, and everyone else gets no answer.
    package init(privateKey key: [UInt8]) {
        precondition(key.count == 32, "a network key has 32 bytes")
        let material = BLAKE3.deriveKey(context: "cyxcloud 2026 network id v1", key, count: 32)
        guard let digest = Digest(bytes: material) else { preconditionFailure("32 bytes") }
        self.id = NetworkID(digest)
        self.key = key
        isPrivate = true
    }

    /// A public network by its name.
    package init(publicNamed name: String) {
        id = NetworkID(BLAKE3.hash(Array("cyxcloud public network \(name)".utf8)))
        key = id.bytes
        isPrivate = false
    }
}

/// How fast every part of a peer acts: one choice for all of them.
package struct TimingProfile: Sendable {
    package var transport: TransportTimings
    package var membership: MembershipTimings
    package var tables: TableTimings
    package var objects: ObjectTimings

    /// For peers on the internet: a restart or a bad minute causes no traffic.
    package static let production = TimingProfile(
        transport: .production, membership: .production, tables: .production,
        objects: .production)

    /// For whole networks on one machine, where a person waits for deaths to be noticed.
    package static let devnet = TimingProfile(
        transport: .devnet, membership: .devnet, tables: .devnet, objects: .devnet)
}

/// What one peer is to be.
package struct PeerPlan: Sendable {
    package var identity: SigningKey
    package var network: NetworkSecret
    package var listen: SocketAddress
    /// What others dial; nil: where the socket is bound.
    package var advertised: SocketAddress?
    package var bootstrap: [SocketAddress] = []
    /// Which addresses of records are dialed; nil: all in a private network, public ones in a public
    /// one.
    package var addresses: AddressRule?
    package var roles: PeerRoles = [.storage]
    /// What it gives to others with the relay role.
    package var relayLimits = RelayLimits()
    package var zone = "default"
    /// Who may recover partitions that lost their quorum for good; nil: nobody.
    package var adminKey: VerifyingKey?
    package var allocatedBytes: Int64
    package var profile = TimingProfile.production
    package var congestion = CongestionAlgorithm.cubic
    /// Who writes traces of connections, if anybody does.
    package var qlog: (any QlogSink)?
    /// Bits of the prefixes that partitions have at genesis.
    package var genesisDepth: UInt8 = 8
    /// The order of collection's steps; simulations reverse one.
    package var collection = CollectionRules()
    /// Memory for what its gateways are asked for again and again.
    package var cacheBytes = 0
    /// Memory for its gateways' reads that are under way.
    package var readBytes = 256 << 20
    /// Rows of a partition from which on its members-to-be learn it in advance.
    package var lessonRowsMin = RowLimits.scanPageRows

    package init(
        identity: SigningKey, network: NetworkSecret, listen: SocketAddress, allocatedBytes: Int64
    ) {
        self.identity = identity
        self.network = network
        self.listen = listen
        self.allocatedBytes = allocatedBytes
    }
}
