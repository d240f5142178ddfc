internal import CyxCore
internal import CyxCrypto
internal import CyxKernels

/// A datagram outside any connection that waits to be sent.
struct PendingAnswer: Sendable {
    var address: SocketAddress
    var bytes: [UInt8]
}

/// How many answers of one kind go out in a second, whoever they are for.
struct AnswerLimiter: Sendable {
    private let perSecond: Int
    private var windowStart: Int64?
    private var count = 0

    init(perSecond: Int) { self.perSecond = perSecond }

    mutating func allows(now: Int64) -> Bool {
        if windowStart.map({ now - $0 >= 1_000_000_000 }) ?? true {
            windowStart = now
            count = 0
        }
        count += 1
        return count <= perSecond
    }
}

/// Datagrams that come in. Whatever is not ours, or does not check, is dropped without a trace.
extension Endpoint {
    /// A stateless reset looks like a packet of this size, but is always shorter than its cause,
    /// so that two endpoints that both lost a connection fall silent (RFC 9000 §10.3.3).
    static let resetSizeMax = 41
    static let resetSizeMin = PacketFormat.shortPacketSizeMin
    static let resetsPerSecond = 10
    /// Answers that wait to be sent.
    static let answersMax = 256

    mutating func handle(_ datagrams: ReceivedDatagrams, wall: WallTime, now: Int64) {
        let bytes = datagrams.bytes
        receiveMark = datagrams.ecn
        let step = max(1, datagrams.segmentSize)
        var start = 0
        while start < bytes.count {
            let end = min(start + step, bytes.count)
            // Where the next one's header and sample are.
            if end < bytes.count { cyx_prefetch_read(bytes.baseAddress.map { $0 + end }, 64) }
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
        guard datagram.count <= PacketFormat.datagramSizeMax else { return }
        if let header = ShortHeader(datagram) {
            handleShort(datagram, header, from: source, now: now)
        } else if let header = InvariantHeader(datagram) {
            if header.version == PacketFormat.negotiationVersion {
                handleVersions(datagram, header, wall: wall, now: now)
            } else if !context.versions.contains(header.version) {
                answerVersion(header, size: datagram.count, to: source, now: now)
            } else if let header = LongHeader(datagram) {
                handleLong(datagram, header, from: source, wall: wall, now: now)
            }
        } else if let opener = Opener(datagram) {
            handleOpener(opener, from: source)
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
            slots[slot].connection?.handlePacket(
                packet, from: source, plaintext: plaintext.bytes, ecn: receiveMark, now: now)
            touch(slot)
        } else if let slot = resetRoutes[StatelessResetToken(endOf: packet)] {
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
        var size = min(Endpoint.resetSizeMax, packet.count - 1)
        if configuration.defences.contains(.resetProof) {
            guard size >= Endpoint.resetSizeMin, resetKeys.isOurs(id, ip: source.ip),
                resetLimiter.allows(now: now)
            else { return }
        } else {
            size = Endpoint.resetSizeMax
        }
        guard answers.count < Endpoint.answersMax else { return }
        statistics.resetsSent += 1
        var bytes = random.bytes(size - StatelessResetToken.byteCount)
        bytes[0] = 0b0100_0000 | bytes[0] & 0b0011_1111
        answers.append(
            PendingAnswer(address: source, bytes: bytes + resetKeys.token(for: id).bytes))
    }

    private mutating func handleLong(
        _ datagram: UnsafeRawBufferPointer, _ header: LongHeader, from source: SocketAddress,
        wall: WallTime, now: Int64
    ) {
        var reader = PacketReader(
            UnsafeRawBufferPointer(rebasing: datagram[PacketFormat.longHeaderSize...]))
        do throws(TransportError) {
            switch header.type {
            case .initial:
                try handleInitial(
                    datagram, header, &reader, from: source, wall: wall, now: now)
            case .response:
                let message = try reader.readBytes(Int(try reader.readUInt16()))
                guard let slot = routes[header.destination] else { return }
                slots[slot].connection?.handleResponse(
                    message, source: header.source, context: context, now: now)
                touch(slot)
            case .finish:
                let message = try reader.readBytes(Int(try reader.readUInt16()))
                guard let slot = routes[header.destination] else { return }
                slots[slot].connection?.handleFinish(
                    message, source: header.source, context: context, now: now)
                touch(slot)
                let rest = UnsafeRawBufferPointer(
                    rebasing: reader.bytes[reader.offset...])
                if let short = ShortHeader(rest), short.destination == header.destination {
                    handleShort(rest, short, from: source, now: now)
                }
            case .retry: handleRetry(datagram, header, now: now)
            }
        } catch {
            return
        }
    }
}
