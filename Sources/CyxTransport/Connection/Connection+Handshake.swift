internal import CyxCore
internal import CyxCrypto

/// The three messages of the handshake (decisions.md §D).
extension Connection {
    /// Starts a connection: its first message is due at once.
    static func dial(
        _ setup: ConnectionSetup, context: HandshakeContext, ephemeral: X25519.PrivateKey,
        wall: WallTime,
        now: Int64
    ) throws(TransportError) -> Connection {
        var noise = context.handshake(role: .initiator, ephemeral: ephemeral)
        let overhead =
            PacketFormat.longHeaderSize + 2 + 2 + NoiseHandshake.keySize + NoiseHandshake.tagSize
        let payload = InitialPayload(
            time: wall, suites: CipherSuite.allCases.map(\.rawValue),
            versions: [PacketFormat.version]
        ).encoded(size: PacketFormat.initialDatagramSizeMin - overhead)
        let message = try noise.writeMessage { _ in payload }
        var connection = Connection(
            role: .initiator, setup: setup, noise: noise, phase: .awaitingResponse,
            remoteID: setup.originalDestination, now: now)
        var body = ByteWriter(capacity: message.count + 4)
        body.write(UInt16(0))
        body.write(UInt16(message.count))
        body.write(message)
        connection.setHandshakePacket(.initial, body: body.bytes)
        return connection
    }

    /// Answers a first message that `noise` has already read, so that its sender knows the key.
    static func accept(
        _ setup: ConnectionSetup, initial: InitialPayload, noise: NoiseHandshake,
        remoteID: ConnectionID, context: HandshakeContext, now: Int64
    ) throws(TransportError) -> Connection {
        guard initial.versions.contains(PacketFormat.version),
            let suite = CipherSuite.allCases.first(where: {
                initial.suites.contains($0.rawValue)
            })
        else { throw .noCommonSuite }
        var noise = noise
        let message = try noise.writeMessage { hash in
            ResponsePayload(
                suite: suite.rawValue, versions: [PacketFormat.version],
                originalDestination: setup.originalDestination, retrySource: ConnectionID(0),
                identity: context.identityPayload(
                    role: .responder, hash: hash, parameters: setup.parameters)
            ).encoded
        }
        var connection = Connection(
            role: .responder, setup: setup, noise: noise, phase: .awaitingFinish,
            remoteID: remoteID, now: now)
        connection.suite = suite
        connection.setHandshakePacket(.response, body: Connection.framed(message))
        return connection
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        var body = ByteWriter(capacity: message.count + 2)
        body.write(UInt16(message.count))
        body.write(message)
        return body.bytes
    }

    private mutating func setHandshakePacket(_ type: LongPacketType, body: [UInt8]) {
        let header = LongHeader(type: type, destination: remoteID, source: localID)
        var packet = [UInt8](repeating: 0, count: PacketFormat.longHeaderSize)
        packet.withUnsafeMutableBytes { bytes in
            var writer = PacketWriter(bytes)
            header.write(to: &writer)
        }
        handshakePacket = packet + body
        isHandshakeDue = true
    }

    /// The responder's message, for the initiator. Anything that does not check is dropped: it
    /// may be forged, and the true one may still come.
    mutating func handleResponse(
        _ message: [UInt8], source: ConnectionID, context: HandshakeContext, now: Int64
    ) {
        guard role == .initiator else { return }
        if phase == .established {
            if !isConfirmed { isHandshakeDue = true }
            return
        }
        guard phase == .awaitingResponse else { return }
        var noise = noise
        do throws(TransportError) {
            let read = try noise.readMessage(message)
            let payload = try read.payload.decoded(ResponsePayload.init)
            guard payload.originalDestination == originalDestination,
                payload.retrySource == ConnectionID(0),
                payload.identity.parameters.source == source,
                let suite = CipherSuite(rawValue: payload.suite)
            else { throw .handshakeFailed }
            let peer = try context.verify(
                payload.identity, role: .responder, hash: read.hashBefore)
            let parameters = localParameters
            let answer = try noise.writeMessage { hash in
                var writer = ByteWriter(capacity: 256)
                context.identityPayload(role: .initiator, hash: hash, parameters: parameters)
                    .write(to: &writer)
                return writer.bytes
            }
            guard expectedPeer == nil || peer == expectedPeer else {
                return close(.local(.wrongPeer), telling: nil)
            }
            remoteID = source
            setHandshakePacket(.finish, body: Connection.framed(answer))
            roundTrip.update(
                sample: now - (handshakeRepeat - handshakeInterval), acknowledgmentDelay: 0)
            establish(peer, payload.identity.parameters, suite, noise, now: now)
        } catch {
            return
        }
    }

    /// The initiator's second message, for the responder.
    mutating func handleFinish(
        _ message: [UInt8], source: ConnectionID, context: HandshakeContext, now: Int64
    ) {
        guard role == .responder, phase == .awaitingFinish, source == remoteID else { return }
        var noise = noise
        do throws(TransportError) {
            let read = try noise.readMessage(message)
            let payload = try read.payload.decoded(IdentityPayload.init)
            guard payload.parameters.source == source else { throw .handshakeFailed }
            let peer = try context.verify(payload, role: .initiator, hash: read.hashBefore)
            isConfirmed = true
            handshakePacket = []
            isHandshakeDue = false
            control.add(.handshakeDone)
            establish(peer, payload.parameters, suite, noise, now: now)
        } catch {
            return
        }
    }

    private mutating func establish(
        _ peer: PeerID, _ parameters: ConnectionParameters, _ suite: CipherSuite,
        _ noise: NoiseHandshake, now: Int64
    ) {
        let secrets = noise.split()
        let isInitiator = role == .initiator
        keys = PacketKeys(
            sealing: isInitiator ? secrets.initiator : secrets.responder,
            opening: isInitiator ? secrets.responder : secrets.initiator, suite: suite,
            engine: engine, now: now, retention: keyRetention)
        self.peer = peer
        remoteResetToken = parameters.resetToken
        // A peer that asks for more patience than this gets probed instead.
        peerAckDelayMax = min(
            Int64(parameters.maxAckDelayMilliseconds) * 1_000_000,
            timings.probeTimeoutMax.nanoseconds)
        sendLimit = parameters.maxData
        streams.start(parameters)
        phase = .established
        lastReceived = now
        lastUse = now
        events.append(.established(peer))
    }
}

extension [UInt8] {
    /// Reads a value that fills the whole array.
    func decoded<Value>(
        _ read: (inout PacketReader) throws(TransportError) -> Value
    ) throws(TransportError) -> Value {
        var result: Result<Value, TransportError> = .failure(.handshakeFailed)
        withUnsafeBytes { bytes in
            var reader = PacketReader(bytes)
            do throws(TransportError) {
                let value = try read(&reader)
                guard reader.isAtEnd else { throw .handshakeFailed }
                result = .success(value)
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }
}

extension Connection {
    /// The initiator repeated its first message.
    mutating func repeatResponse() {
        if phase == .awaitingFinish { isHandshakeDue = true }
    }
}
