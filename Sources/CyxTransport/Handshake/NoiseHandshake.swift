internal import CyxCrypto

/// The HandshakeState of Noise (§5.3) for any pattern of `NoisePattern.Token`s. A message that
/// does not check leaves it unusable; keep a copy to go on from.
struct NoiseHandshake {
    static let keySize = 32
    static let tagSize = 16

    private let pattern: NoisePattern
    private var role: ConnectionRole
    private var symmetric: SymmetricState
    private let localStatic: X25519.PrivateKey?
    private var localEphemeral: X25519.PrivateKey?
    private var remoteStatic: [UInt8]?
    private var remoteEphemeral: [UInt8]?
    private var psks: [[UInt8]]
    private var messageIndex = 0
    private var hasKey = false

    /// `psks` are used in the order in which the pattern names them.
    init(
        pattern: NoisePattern, role: ConnectionRole, prologue: [UInt8],
        ephemeral: X25519.PrivateKey?,
        localStatic: X25519.PrivateKey?, psks: [[UInt8]] = []
    ) {
        self.pattern = pattern
        self.role = role
        self.localStatic = localStatic
        self.psks = psks
        localEphemeral = ephemeral
        symmetric = SymmetricState(protocolName: pattern.name)
        symmetric.mixHash(prologue)
        // What every handshake with this prologue begins with, so that copies need not do it anew.
        if pattern.messages.first?.first == .psk { mixPSK() }
    }

    /// A copy of one that has neither written nor read, for one connection.
    func copy(role: ConnectionRole, ephemeral: X25519.PrivateKey?) -> NoiseHandshake {
        precondition(messageIndex == 0, "a handshake is copied before its first message")
        var copy = self
        copy.role = role
        copy.localEphemeral = ephemeral
        return copy
    }

    /// Our ephemeral key, where it was not worth making before a first message was read.
    mutating func provide(ephemeral: X25519.PrivateKey) { localEphemeral = ephemeral }

    /// The handshake hash so far.
    var hash: [UInt8] { symmetric.hash }
    var isComplete: Bool { messageIndex == pattern.messages.count }

    /// Our next message. `payload` is given the hash just before the payload goes in.
    mutating func writeMessage(
        _ payload: ([UInt8]) -> [UInt8]
    ) throws(TransportError) -> [UInt8] {
        precondition(!isComplete, "a pattern's messages are written once")
        var message: [UInt8] = []
        for token in tokens {
            switch token {
            case .e:
                guard let localEphemeral else { preconditionFailure("needed by now") }
                message += localEphemeral.publicKey
                symmetric.mixHash(localEphemeral.publicKey)
                if pattern.usesPSK { mixKey(localEphemeral.publicKey) }
            case .s:
                guard let localStatic else { preconditionFailure("the pattern sends a static") }
                message += symmetric.encryptAndHash(localStatic.publicKey)
            default: try mix(token)
            }
        }
        message += symmetric.encryptAndHash(payload(symmetric.hash))
        messageIndex += 1
        return message
    }

    /// Takes the peer's next message; returns its payload and the hash just before it.
    mutating func readMessage(
        _ message: [UInt8]
    ) throws(TransportError) -> (payload: [UInt8], hashBefore: [UInt8]) {
        guard !isComplete else { throw .handshakeFailed }
        var offset = 0
        func take(_ count: Int) throws(TransportError) -> [UInt8] {
            guard message.count - offset >= count else { throw .handshakeFailed }
            defer { offset += count }
            return Array(message[offset..<offset + count])
        }
        for token in tokens {
            switch token {
            case .e:
                let key = try take(NoiseHandshake.keySize)
                remoteEphemeral = key
                symmetric.mixHash(key)
                if pattern.usesPSK { mixKey(key) }
            case .s:
                let size = NoiseHandshake.keySize + (hasKey ? NoiseHandshake.tagSize : 0)
                remoteStatic = try symmetric.decryptAndHash(try take(size))
            default: try mix(token)
            }
        }
        let before = symmetric.hash
        let payload = try symmetric.decryptAndHash(try take(message.count - offset))
        messageIndex += 1
        return (payload, before)
    }

    /// What the message at hand consists of, less the key that `init` has mixed.
    private var tokens: ArraySlice<NoisePattern.Token> {
        let tokens = pattern.messages[messageIndex]
        return messageIndex == 0 && tokens.first == .psk ? tokens.dropFirst() : tokens[...]
    }

    private mutating func mixPSK() {
        precondition(!psks.isEmpty, "the pattern needs a pre-shared key")
        symmetric.mixKeyAndHash(psks.removeFirst())
        hasKey = true
    }

    private mutating func mixKey(_ material: [UInt8]) {
        symmetric.mixKey(material)
        hasKey = true
    }

    private mutating func mix(_ token: NoisePattern.Token) throws(TransportError) {
        switch token {
        case .psk: mixPSK()
        case .ee: try mixShared(localEphemeral, remoteEphemeral)
        case .es:
            if role == .initiator {
                try mixShared(localEphemeral, remoteStatic)
            } else {
                try mixShared(localStatic, remoteEphemeral)
            }
        case .se:
            if role == .initiator {
                try mixShared(localStatic, remoteEphemeral)
            } else {
                try mixShared(localEphemeral, remoteStatic)
            }
        case .e, .s: preconditionFailure("sent, not mixed")
        }
    }

    private mutating func mixShared(
        _ local: X25519.PrivateKey?, _ remote: [UInt8]?
    ) throws(TransportError) {
        guard let local, let remote else { throw .handshakeFailed }
        do throws(KeyAgreementError) {
            mixKey(try local.sharedSecret(with: remote))
        } catch {
            throw .handshakeFailed
        }
    }

    func split() -> (initiator: [UInt8], responder: [UInt8]) { symmetric.split() }
}
