internal import CyxCore
internal import CyxCrypto

/// What every handshake of one endpoint shares: the network's secret, our identity, and the
/// X25519 static of this process.
struct HandshakeContext {
    static let clockTolerance: UInt64 = 300_000

    let identity: SigningKey
    let localPeer: PeerID
    let staticKey: X25519.PrivateKey
    private let prologue: [UInt8]
    private let psk: [UInt8]

    init(
        networkKey: [UInt8], networkID: NetworkID, identity: SigningKey,
        staticKey: X25519.PrivateKey
    ) {
        self.identity = identity
        self.staticKey = staticKey
        localPeer = identity.verifyingKey.peerID
        var writer = ByteWriter()
        writer.write(Array("cyx-udp-1".utf8))
        writer.write(PacketFormat.version)
        writer.write(networkID.digest)
        prologue = writer.bytes
        psk = Primitives.hkdf(
            secret: networkKey, salt: [], info: Array("psk0".utf8) + networkID.bytes, count: 32)
    }

    func handshake(role: ConnectionRole, ephemeral: X25519.PrivateKey?) -> NoiseHandshake {
        NoiseHandshake(
            pattern: .xxpsk0, role: role, prologue: prologue, ephemeral: ephemeral,
            localStatic: staticKey, psks: [psk])
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
