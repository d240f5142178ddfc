internal import CyxCore
internal import CyxCrypto

/// What every handshake of one endpoint shares: the network's secret, our identity, and the
/// X25519 static of this process.
struct HandshakeContext {
    static let clockTolerance: UInt64 = 300_000

    let identity: SigningKey
    let localPeer: PeerID
    let staticKey: X25519.PrivateKey
    /// Versions that we speak, the best first, and how each one's handshakes begin: a version that
    /// was changed on the way gives another handshake hash.
    let versions: [UInt32]
    private let beginnings: [UInt32: NoiseHandshake]

    init(
        networkKey: [UInt8], networkID: NetworkID, identity: SigningKey,
        staticKey: X25519.PrivateKey, versions: [UInt32] = [PacketFormat.version]
    ) {
        precondition(!versions.isEmpty, "an endpoint speaks at least one version")
        self.identity = identity
        self.staticKey = staticKey
        localPeer = identity.verifyingKey.peerID
        self.versions = versions
        let psk = Primitives.hkdf(
            secret: networkKey, salt: [], info: Array("psk0".utf8) + networkID.bytes, count: 32)
        var beginnings: [UInt32: NoiseHandshake] = [:]
        for version in versions {
            var writer = ByteWriter()
            writer.write(Array("cyx-udp-1".utf8))
            writer.write(version)
            writer.write(networkID.digest)
            beginnings[version] = NoiseHandshake(
                pattern: .xxpsk0, role: .responder, prologue: writer.bytes, ephemeral: nil,
                localStatic: staticKey, psks: [psk])
        }
        self.beginnings = beginnings
    }

    /// `version` is one of `versions`.
    func handshake(
        role: ConnectionRole, ephemeral: X25519.PrivateKey?, version: UInt32
    ) -> NoiseHandshake {
        guard let beginning = beginnings[version] else {
            preconditionFailure("only versions that we speak are used")
        }
        return beginning.copy(role: role, ephemeral: ephemeral)
    }

    private static func statement(role: ConnectionRole, hash: [UInt8]) -> [UInt8] {
        Array("cyx noise id v1\0".utf8) + [role.rawValue] + hash
    }

    /// Our key and its signature of the handshake so far.
    func identityPayload(
        role: ConnectionRole, hash: [UInt8], parameters: ConnectionParameters
    ) -> IdentityPayload {
        IdentityPayload(
            key: identity.verifyingKey.bytes,
            signature: identity.sign(HandshakeContext.statement(role: role, hash: hash)),
            parameters: parameters)
    }

    /// Who the other side has proven to be.
    func verify(
        _ payload: IdentityPayload, role: ConnectionRole, hash: [UInt8]
    ) throws(TransportError) -> PeerID {
        let statement = HandshakeContext.statement(role: role, hash: hash)
        guard let key = VerifyingKey(bytes: payload.key),
            key.isValid(signature: payload.signature, for: statement)
        else { throw .handshakeFailed }
        return key.peerID
    }
}
