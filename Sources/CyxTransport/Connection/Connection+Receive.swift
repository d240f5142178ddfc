internal import CyxCore

/// Packets and frames that come in.
extension Connection {
    /// Takes a short-header packet; `plaintext` is room that the caller lends.
    mutating func handlePacket(
        _ packet: UnsafeRawBufferPointer, from source: SocketAddress,
        plaintext: UnsafeMutableRawBufferPointer, ecn: ECNCodepoint = .notECT, now: Int64
    ) {
        guard phase == .established else { return }
        var opened: OpenedPacket?
        var piece: LandedPiece?
        do throws(TransportError) {
            // A trace wants to see the whole plaintext.
            if trace == nil,
                let landing = try streams.land(
                    packet, with: &keys, largestReceived: received.largest, scratch: plaintext,
                    now: now)
            {
                opened = landing.opened
                piece = landing.piece
            } else {
                opened = try keys?.open(
                    packet, largestReceived: received.largest, scratch: plaintext,
                    into: plaintext, now: now)
            }
        } catch {
            return fail(error)
        }
        guard let opened else {
            failedOpens += 1
            if isReset(packet) {
                close(.statelessReset, telling: nil)
            } else if failedOpens >= limits.failedOpens {
                close(.local(.aeadLimit), telling: nil)
            }
            return
        }
        let arrival = Arrival(
            number: opened.number, source: source,
            destination: ConnectionID(
                UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: 1, as: UInt64.self))),
            size: packet.count)
        if doubtfulMove != nil { checkDetour(arrival, now: now) }
        guard !received.isDuplicate(opened.number) else { return }
        guard opened.first & PacketFormat.shortReservedBits == 0 else {
            return fail(.protocolViolation)
        }
        // Of what has landed there is no payload any more, nor a trace that wants to see it.
        let payload = UnsafeRawBufferPointer(rebasing: plaintext[..<opened.payloadSize])
        trace?.packet(
            isSent: false, number: opened.number, size: packet.count, payload: payload, now: now)
        lastReceived = now
        unansweredSince = nil
        confirmHandshake()
        let isNewest = received.largest.map { opened.number > $0 } ?? true
        packetArrived(arrival, isNewest: isNewest, now: now)
        do throws(TransportError) {
            let contents =
                if let piece {
                    try handleLanded(piece, now: now)
                } else {
                    try handleFrames(payload, arrival, now: now)
                }
            received.insert(
                opened.number, isAckEliciting: contents.isAckEliciting, now: now,
                maximumDelay: maxAckDelay, ecn: ecn)
            if isNewest, !contents.isProbing { peerUsed(arrival, now: now) }
            if trace != nil { traceState(now: now) }
        } catch {
            fail(error)
        }
    }

    /// Whether a packet that does not open is the peer's word that it lost this connection.
    private func isReset(_ packet: UnsafeRawBufferPointer) -> Bool {
        guard setup.defences.contains(.resetToken) else {
            return packet.count <= Endpoint.resetSizeMax
        }
        return remoteResetToken?.isAtEnd(of: packet) == true
    }

    /// A packet of the peer's proves that it has our last handshake message.
    private mutating func confirmHandshake() {
        guard !isConfirmed else { return }
        isConfirmed = true
        isHandshakeDue = false
        handshakePacket = []
    }

    @inline(__always)
    private mutating func handleLanded(
        _ piece: LandedPiece, now: Int64
    ) throws(TransportError) -> (isAckEliciting: Bool, isProbing: Bool) {
        lastUse = now
        let (growth, isNews) = try streams.insert(piece)
        try charge(growth)
        if isNews { events.append(.readable(piece.id)) }
        return (isAckEliciting: true, isProbing: false)
    }

    private mutating func handleFrames(
        _ payload: UnsafeRawBufferPointer, _ arrival: Arrival, now: Int64
    ) throws(TransportError) -> (isAckEliciting: Bool, isProbing: Bool) {
        guard !payload.isEmpty else { throw .protocolViolation }
        streams.noteFrameHeader(payload)
        var decoder = FrameDecoder(payload)
        var isAckEliciting = false
        var isProbing = true
        while let frame = try decoder.next() {
            if frame.isAckEliciting { isAckEliciting = true }
            if !frame.isProbing { isProbing = false }
            switch frame {
            case .stream(let stream):
                lastUse = now
                try handleStream(stream)
            case .acknowledgment(let ack): try handleAcknowledgment(ack, now: now)
            case .padding, .ping, .blocked: break
            case .maxData(let limit): raiseSendLimit(to: limit)
            case .maxStreamData(let id, let limit):
                guard try streams.admit(id) else { break }
                streams[id]?.send?.raiseLimit(to: limit)
                streams.enqueue(id)
            case .maxStreams(let limit):
                if streams.raiseLocalLimit(to: limit) { events.append(.streamsAvailable) }
            case .resetStream(let id, let code, let finalSize):
                try handleReset(id, code: code, finalSize: finalSize)
            case .stopSending(let id, let code): try handleStop(id, code: code)
            case .connectionClose(let code):
                close(.remote(code: code), telling: nil)
                return (isAckEliciting, isProbing)
            case .newConnectionID(let frame): try handleNewID(frame)
            case .retireConnectionID(let sequence): try handleRetire(sequence, arrival)
            case .pathChallenge(let data): handleChallenge(data, arrival, now: now)
            case .pathResponse(let data): handleResponse(data, arrival, now: now)
            case .datagram(let bytes): handleDatagram(bytes, now: now)
            case .handshakeDone:
                guard role == .initiator else { throw .protocolViolation }
            }
        }
        return (isAckEliciting, isProbing)
    }

    private mutating func raiseSendLimit(to limit: UInt64) {
        sendLimit = max(sendLimit, limit)
    }

    private mutating func handleStream(_ frame: StreamFrame) throws(TransportError) {
        guard try streams.admit(frame.id) else { return }
        guard let (growth, isNews) = try streams.insert(frame) else { return }
        try charge(growth)
        if isNews { events.append(.readable(frame.id)) }
    }

    @inline(__always)
    private mutating func charge(_ growth: UInt64) throws(TransportError) {
        dataReceived += growth
        guard dataReceived <= receiveWindow.limit else { throw .flowControl }
    }

    private mutating func reportReadable(_ id: StreamID) {
        guard streams[id]?.isReadableReported == false else { return }
        streams[id]?.isReadableReported = true
        events.append(.readable(id))
    }

    private mutating func handleReset(
        _ id: StreamID, code: UInt64, finalSize: UInt64
    ) throws(TransportError) {
        guard try streams.admit(id) else { return }
        guard
            let growth = try streams[id]?.receive.reset(code: code, finalSize: finalSize)
        else { return }
        try charge(growth)
        reportReadable(id)
    }

    private mutating func handleStop(_ id: StreamID, code: UInt64) throws(TransportError) {
        guard try streams.admit(id) else { return }
        resetStream(id, code: code)
        events.append(.stopped(id, code: code))
    }
}
