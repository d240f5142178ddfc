internal import CyxCore
internal import CyxCrypto

/// A stateless reset that waits to be sent.
struct PendingReset: Sendable {
    var address: SocketAddress
    var bytes: [UInt8]
}

/// A reset token as a dictionary key.
struct ResetKey: Hashable, Sendable {
    var high: UInt64
    var low: UInt64

    init(_ token: StatelessResetToken) {
        high = token.bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = token.bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The last 16 bytes of a datagram of at least that size.
    init(endOf datagram: UnsafeRawBufferPointer) {
        let start = datagram.count - StatelessResetToken.byteCount
        high = UInt64(bigEndian: datagram.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        low = UInt64(
            bigEndian: datagram.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))
    }
}

/// At most 10 stateless resets a second (decisions.md §D).
struct ResetLimiter: Sendable {
    static let perSecond = 10
    private var windowStart: Int64 = .min
    private var count = 0

    mutating func allows(now: Int64) -> Bool {
        if windowStart == .min || now - windowStart >= 1_000_000_000 {
            windowStart = now
            count = 0
        }
        count += 1
        return count <= ResetLimiter.perSecond
    }
}

/// Datagrams that come in. Whatever is not ours, or does not check, is dropped without a trace.
extension Endpoint {
    /// Size of a stateless reset; its cause is longer.
    static let resetSize = 41

    mutating func handle(_ datagrams: ReceivedDatagrams, wall: WallTime, now: Int64) {
        let bytes = datagrams.bytes
        let step = max(1, datagrams.segmentSize)
        var start = 0
        while start < bytes.count {
            let end = min(start + step, bytes.count)
            handleDatagram(
                UnsafeRawBufferPointer(rebasing: bytes[start..<end]), from: datagrams.source,
                wall: wall, now: now)
            start = end
        }
    }

    private mutating func handleDatagram(
        _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, wall: WallTime, now: Int64
    ) {
        // Longer packets than ours would not fit the plaintext buffer, and nobody sends them.
        guard datagram.count <= 1500 else { return }
        if let header = ShortHeader(datagram) {
            handleShort(datagram, header, from: source, now: now)
        } else if let header = LongHeader(datagram), header.version == PacketFormat.version {
            handleLong(datagram, header, from: source, wall: wall, now: now)
        }
    }

    /// Packets in a row mostly belong to one connection, and then no hash is computed.
    private mutating func route(_ id: ConnectionID) -> Int? {
        if let lastRoute, lastRoute.id == id { return lastRoute.slot }
        guard let slot = routes[id] else { return nil }
        lastRoute = (id, slot)
        return slot
    }

    private mutating func handleShort(
        _ packet: UnsafeRawBufferPointer, _ header: ShortHeader, from source: SocketAddress,
        now: Int64
    ) {
        if let slot = route(header.destination) {
            slots[slot].connection?.handlePacket(packet, plaintext: plaintext.bytes, now: now)
            touch(slot)
        } else if let slot = resetRoutes[ResetKey(endOf: packet)] {
            slots[slot].connection?.close(.statelessReset, telling: nil)
            touch(slot)
        } else {
            answerUnknown(packet, header.destination, to: source, now: now)
        }
    }

    /// A packet for a connection that we once had: tells its sender that it is gone.
    private mutating func answerUnknown(
        _ packet: UnsafeRawBufferPointer, _ id: ConnectionID, to source: SocketAddress,
        now: Int64
    ) {
        guard packet.count > Endpoint.resetSize, resets.count < ResetLimiter.perSecond,
            resetKeys.isOurs(id), resetLimiter.allows(now: now)
        else { return }
        var bytes = random.bytes(Endpoint.resetSize - StatelessResetToken.byteCount)
        bytes[0] = 0b0100_0000 | bytes[0] & 0b0011_1111
        resets.append(
            PendingReset(address: source, bytes: bytes + resetKeys.token(for: id).bytes))
    }

    private mutating func handleLong(
        _ datagram: UnsafeRawBufferPointer, _ header: LongHeader, from source: SocketAddress,
        wall: WallTime, now: Int64
    ) {
        var reader = PacketReader(
            UnsafeRawBufferPointer(rebasing: datagram[PacketFormat.longHeaderSize...]))
        do throws(TransportError) {
            if header.type == .initial {
                guard datagram.count >= PacketFormat.initialDatagramSizeMin else { return }
                let tokenSize = try reader.readUInt16()
                guard tokenSize <= PacketFormat.tokenSizeMax else { return }
                _ = try reader.readSlice(UInt64(tokenSize))
            }
            let message = try reader.readBytes(Int(try reader.readUInt16()))
            switch header.type {
            case .initial: handleInitial(message, header, from: source, wall: wall, now: now)
            case .response:
                guard let slot = routes[header.destination] else { return }
                slots[slot].connection?.handleResponse(
                    message, source: header.source, context: context, now: now)
                touch(slot)
            case .finish:
                guard let slot = routes[header.destination] else { return }
                slots[slot].connection?.handleFinish(
                    message, source: header.source, context: context, now: now)
                touch(slot)
                let rest = UnsafeRawBufferPointer(
                    rebasing: reader.bytes[reader.offset...])
                if let short = ShortHeader(rest), short.destination == header.destination {
                    handleShort(rest, short, from: source, now: now)
                }
            // Retry under load is the next step; nobody sends it yet.
            case .retry: return
            }
        } catch {
            return
        }
    }

    private mutating func handleInitial(
        _ message: [UInt8], _ header: LongHeader, from source: SocketAddress, wall: WallTime,
        now: Int64
    ) {
        let key = InitialKey(
            address: source, destination: header.destination, source: header.source)
        if let slot = initialRoutes[key] {
            // Our answer was lost, or theirs was repeated: the same answer again.
            slots[slot].connection?.repeatResponse()
            touch(slot)
            return
        }
        guard message.count >= NoiseHandshake.keySize + NoiseHandshake.tagSize else { return }
        var noise = context.handshake(role: .responder, ephemeral: nil)
        do throws(TransportError) {
            let payload = try noise.readMessage(message).payload.decoded(InitialPayload.init)
            // The sender knows the network key; only now is anything remembered.
            let age = wall.milliseconds.subtractingReportingOverflow(payload.time.milliseconds)
            guard !age.overflow, age.partialValue.magnitude <= HandshakeContext.clockTolerance,
                limiter.allows(source.ip, now: now),
                connectionCount < configuration.limits.connections,
                pendingHandshakes < configuration.limits.pendingHandshakes
            else { return }
            noise.provide(ephemeral: X25519.PrivateKey(bytes: random.bytes(32)))
            let setup = setup(
                address: source, expecting: nil, originalDestination: header.destination)
            let connection = try Connection.accept(
                setup, initial: payload, noise: noise, remoteID: header.source,
                context: context, now: now)
            _ = insert(connection, initialKey: key)
        } catch {
            return
        }
    }
}
