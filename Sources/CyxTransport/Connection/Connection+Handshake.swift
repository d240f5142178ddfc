internal import CyxCore
internal import CyxCrypto

/// The three messages of the handshake (decisions.md §D).
extension Connection {
    /// Starts a connection: its first message is due at once.
    static func dial(
        _ setup: ConnectionSetup, version: UInt32, context: HandshakeContext,
        ephemeral: X25519.PrivateKey, wall: WallTime, now: Int64
    ) throws(TransportError) -> Connection {
        var noise = context.handshake(role: .initiator, ephemeral: ephemeral, version: version)
        // With room for a token, as the message is the same when it has to be repeated with one.
        let overhead =
            PacketFormat.longHeaderSize + 2 + RetryTokens.byteCount + 2 + NoiseHandshake.keySize
            + NoiseHandshake.tagSize
        let payload = InitialPayload(
            time: wall, suites: CipherSuite.allCases.map(\.rawValue),
            versions: context.versions
        ).encoded(size: setup.address.initialDatagramSize - overhead)
        let message = try noise.writeMessage { _ in payload }
        var connection = Connection(
            role: .initiator, setup: setup, version: version, noise: noise,
            phase: .awaitingResponse, remoteID: setup.originalDestination, now: now)
        connection.firstMessage = message
        connection.setFirstMessage(token: [])
        return connection
    }

    private mutating func setFirstMessage(token: [UInt8]) {
        var body = ByteWriter(capacity: PacketFormat.initialDatagramSizeMin)
        body.write(UInt16(token.count))
        body.write(token)
        body.write(UInt16(firstMessage.count))
        body.write(firstMessage)
        // A token takes the place of padding behind the message.
        body.write([UInt8](repeating: 0, count: RetryTokens.byteCount - token.count))
        setHandshakePacket(.initial, body: body.bytes)
    }

    /// The responder asks us to show that we are at our address. Only the first such demand is
    /// heard (RFC 9000 §17.2.5.2).
    mutating func handleRetry(_ token: [UInt8], source: ConnectionID, now: Int64) {
        guard isFirstMessageUnanswered, retrySource == nil else { return }
        retrySource = source
        remoteID = source
        setFirstMessage(token: token)
        handshakeInterval = timings.handshakeRetransmit.nanoseconds
        handshakeRepeat = now + handshakeInterval
    }

    var isFirstMessageUnanswered: Bool { role == .initiator && phase == .awaitingResponse }

    /// Answers a first message that `noise` has already read, so that its sender knows the key.
    /// With `isRetried`, the sender has shown where it is.
    static func accept(
        _ setup: ConnectionSetup, initial: InitialPayload, noise: NoiseHandshake,
        header: LongHeader, isRetried: Bool, context: HandshakeContext, now: Int64
    ) throws(TransportError) -> Connection {
        guard initial.versions.contains(header.version),
            let suite = CipherSuite.allCases.first(where: {
                initial.suites.contains($0.rawValue)
            })
        else { throw .noCommonSuite }
        var noise = noise
        let message = try noise.writeMessage { hash in
            ResponsePayload(
                suite: suite.rawValue, versions: context.versions,
                originalDestination: setup.originalDestination,
                retrySource: isRetried ? header.destination : ConnectionID(0),
                identity: context.identityPayload(
                    role: .responder, hash: hash, parameters: setup.parameters)
            ).encoded
        }
        var connection = Connection(
            role: .responder, setup: setup, version: header.version, noise: noise,
            phase: .awaitingFinish, remoteID: header.source, now: now)
        connection.path.isValidated = isRetried
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
        let header = LongHeader(
            type: type, version: version, destination: remoteID, source: localID)
        handshakePacket = header.bytes + body
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
                payload.retrySource == retrySource ?? ConnectionID(0),
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
            // Whoever forged a list of versions could not change this one (RFC 9368 §4).
            guard
                context.versions.first(where: payload.versions.contains) == version
                    || !setup.defences.contains(.versionBinding)
            else { return close(.local(.versionDowngrade), telling: nil) }
            remoteID = source
            setHandshakePacket(.finish, body: Connection.framed(answer))
            // Once the first message was repeated, nobody knows which one this answers.
            if handshakeInterval == timings.handshakeRetransmit.nanoseconds {
                measured(now - (handshakeRepeat - handshakeInterval), acknowledgmentDelay: 0)
            }
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
        path.issued.token = parameters.resetToken
        // A peer that asks for more patience than this gets probed instead.
        peerAckDelayMax = min(
            Int64(parameters.maxAckDelayMilliseconds) * 1_000_000,
            timings.probeTimeoutMax.nanoseconds)
        sendLimit = parameters.maxData
        peerDatagramFrameSizeMax = parameters.maxDatagramFrameSize
        streams.start(parameters)
        // Who answered our last message has received it (RFC 9000 §8.1).
        path.isValidated = true
        firstMessage = []
        phase = .established
        lastReceived = now
        lastUse = now
        events.append(.established(peer))
        traceEstablished(now: now)
        routeChanges.append(.token(old: nil, new: parameters.resetToken))
        routeChanges.append(.idsMissing)
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
    /// The initiator repeated its first message in a datagram of `received` bytes.
    mutating func repeatResponse(received: Int) {
        path.received(received)
        if phase == .awaitingFinish { isHandshakeDue = true }
    }
}
