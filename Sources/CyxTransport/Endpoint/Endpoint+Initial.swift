internal import CyxCore
internal import CyxCrypto

/// First messages of connections. Before its sender has shown that it knows the network's key,
/// and that it is where it says, as little as possible is done and nothing is remembered.
extension Endpoint {
    /// Takes the datagram of a first message; `reader` is behind its header.
    mutating func handleInitial(
        _ datagram: UnsafeRawBufferPointer, _ header: LongHeader, _ reader: inout PacketReader,
        from source: SocketAddress, wall: WallTime, now: Int64
    ) throws(TransportError) {
        guard datagram.count >= source.initialDatagramSize else { return }
        let tokenSize = Int(try reader.readUInt16())
        guard tokenSize == 0 || tokenSize == RetryTokens.byteCount else { return }
        let token = try reader.readBytes(tokenSize)
        let message = try reader.readBytes(Int(try reader.readUInt16()))
        guard message.count >= NoiseHandshake.keySize + NoiseHandshake.tagSize else { return }
        let key = InitialKey(
            address: source, destination: header.destination, source: header.source)
        if let slot = initialRoutes[key] {
            // Our answer was lost, or theirs was repeated: the same answer again.
            slots[slot].connection?.repeatResponse(received: datagram.count)
            touch(slot)
            return
        }
        // A public network's key is no secret, so checking the tag first would only cost time.
        if isLoaded, token.isEmpty, !isPrivate { return demandToken(header, source, now: now) }
        var noise = context.handshake(
            role: .responder, ephemeral: nil, version: header.version)
        let payload = try noise.readMessage(message).payload.decoded(InitialPayload.init)
        // The sender knows the network key.
        let age = wall.milliseconds.subtractingReportingOverflow(payload.time.milliseconds)
        guard
            !age.overflow && age.partialValue.magnitude <= HandshakeContext.clockTolerance
                || !configuration.defences.contains(.clockTolerance),
            connectionCount < configuration.limits.connections
        else { return }
        var original: ConnectionID?
        if token.isEmpty {
            let isReplay =
                configuration.defences.contains(.initialReplay) && replays.contains(message)
            guard !isLoaded, !isReplay, unvalidatedLimiter.allows(source, now: now) else {
                return demandToken(header, source, now: now)
            }
        } else {
            // Before the limit, or false tokens would use up another's share of it.
            guard pendingHandshakes < configuration.limits.pendingHandshakes else { return }
            original = tokens.redeem(
                token, destination: header.destination, address: source, now: now)
            guard original != nil, validatedLimiter.allows(source, now: now) else { return }
        }
        guard pendingHandshakes < configuration.limits.pendingHandshakes else { return }
        noise.provide(ephemeral: X25519.PrivateKey(bytes: random.bytes(32)))
        let setup = setup(
            address: source, expecting: nil, originalDestination: original ?? header.destination)
        var connection = try Connection.accept(
            setup, initial: payload, noise: noise, header: header, isRetried: original != nil,
            context: context, now: now)
        connection.path.received(datagram.count)
        if isTraced { connection.beginTrace(wall: wall, now: now) }
        // Only now is anything remembered.
        replays.insert(message, now: now)
        _ = insert(connection, initialKey: key)
    }

    /// So many handshakes are unfinished that more start only after a retry.
    private var isLoaded: Bool {
        configuration.defences.contains(.retry)
            && pendingHandshakes >= configuration.limits.retryThreshold
    }

    /// In a private network a stranger gets no answer to anything.
    var isPrivate: Bool { configuration.networkKey != configuration.networkID.bytes }

    /// Asks who sent `header` to come again with a token (RFC 9000 §17.2.5).
    private mutating func demandToken(
        _ header: LongHeader, _ source: SocketAddress, now: Int64
    ) {
        guard configuration.defences.contains(.retry), answers.count < Endpoint.answersMax else {
            return
        }
        let retrySource = ConnectionID(random.next())
        let token = tokens.issue(
            originalDestination: header.destination, retrySource: retrySource, address: source,
            random: random, now: now)
        let answer = LongHeader(
            type: .retry, version: header.version, destination: header.source,
            source: retrySource)
        let packet = answer.bytes + token
        statistics.retriesSent += 1
        answers.append(
            PendingAnswer(
                address: source,
                bytes: packet
                    + retryIntegrity.tag(
                        originalDestination: header.destination, packet: packet)))
    }

    /// A retry packet, for who sent a first message.
    mutating func handleRetry(
        _ datagram: UnsafeRawBufferPointer, _ header: LongHeader, now: Int64
    ) {
        guard let slot = routes[header.destination],
            let sent = slots[slot].connection?.originalDestination,
            let token = retryIntegrity.token(in: [UInt8](datagram), originalDestination: sent)
        else { return }
        slots[slot].connection?.handleRetry(token, source: header.source, now: now)
        touch(slot)
    }
}
