internal import CyxCore

/// What one `pollTransmit` wrote: datagrams of `segmentSize` bytes, the last possibly shorter.
struct Transmission: Equatable {
    var destination: SocketAddress
    var byteCount: Int
    var segmentSize: Int
    var ecn = ECNCodepoint.notECT
}

/// Packets that go out.
extension Connection {
    /// Below this room no STREAM frame is started.
    static let streamRoomMin = 32
    /// Bytes that a stream sends before the next one in turn.
    static let streamTurn = 64 << 10
    static let paddedSizeMin = Endpoint.resetSizeMin + 1 - PacketFormat.tagSize
    /// Ranges in an acknowledgment, or packets without an answer, from which on a PING goes along.
    static let rangesMin = 8
    static let unacknowledgedMin = 64
    static let shortOverheadMax = PacketFormat.shortHeaderSize + 4 + PacketFormat.tagSize

    /// Writes datagrams for this connection's peer into `buffer`; nil if there is nothing to send.
    mutating func pollTransmit(
        into buffer: UnsafeMutableRawBufferPointer, segmentsMax: Int, now: Int64
    ) -> Transmission? {
        transmitMark = .notECT
        if phase == .closed { return transmitClose(into: buffer, now: now) }
        if isHandshakeDue { return transmitHandshake(into: buffer, now: now) }
        guard phase == .established, updateKeys(now: now) else { return nil }
        transmitMark = .notECT
        if let paths = transmitPathFrames(into: buffer, now: now) { return paths }
        transmitMark = ecn.mark
        pacingDeadline = nil
        path.pacer.refill(
            rate: congestion.pacingRate(smoothedRoundTrip: roundTrip.smoothed), now: now)
        if path.isValidated, let probe = transmitMTUProbe(into: buffer, now: now) { return probe }
        var size = path.datagramSize
        var total = 0
        var segments = 0
        while segments < segmentsMax, buffer.count - total >= size {
            let limit = path.isValidated ? size : min(size, allowance)
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[total..<total + limit])
            let written = buildPacket(into: room, fillsSegment: true, now: now)
            guard written > 0 else { break }
            path.sent(written)
            total += written
            segments += 1
            if written < size {
                // Datagrams of one size make segments of one size, less than a full packet.
                guard segments == 1, !datagrams.isEmpty else { break }
                size = written
            }
        }
        return total == 0
            ? nil
            : Transmission(
                destination: address, byteCount: total, segmentSize: min(total, size),
                ecn: transmitMark)
    }

    private mutating func transmitHandshake(
        into buffer: UnsafeMutableRawBufferPointer, now: Int64
    ) -> Transmission? {
        isHandshakeDue = false
        // A responder answers each first message once, and less than it received; this holds
        // whatever comes to be sent here (RFC 9000 §8.1).
        guard
            role == .initiator || allowance >= handshakePacket.count
        else { return nil }
        UnsafeMutableRawBufferPointer(rebasing: buffer[..<handshakePacket.count])
            .copyBytes(from: handshakePacket)
        var total = handshakePacket.count
        if phase == .established {
            // Data may follow the last message in its datagram.
            let room = UnsafeMutableRawBufferPointer(
                rebasing: buffer[total..<address.initialDatagramSize])
            total += buildPacket(into: room, fillsSegment: false, now: now)
        }
        path.sent(total)
        return Transmission(destination: address, byteCount: total, segmentSize: total)
    }

    /// A packet of nothing but PING and PADDING, in a datagram of its own, so that nothing is lost
    /// with it (RFC 9000 §14.4).
    private mutating func transmitMTUProbe(
        into buffer: UnsafeMutableRawBufferPointer, now: Int64
    ) -> Transmission? {
        guard let size = path.mtu.nextProbe(now: now), isConfirmed, size <= buffer.count,
            sent.bytesInFlight + size <= congestion.window
        else { return nil }
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
        var packet = startPacket(room)
        packet.writer.writePing()
        packet.writer.pad(to: packet.writer.offset + packet.writer.remaining)
        packet.isAckEliciting = true
        packet.isMTUProbe = true
        sent.appendFrame(.mtuProbe(size: size))
        path.mtu.probeSent(size)
        let written = finishPacket(&packet, room: room, now: now)
        return Transmission(
            destination: address, byteCount: written, segmentSize: written, ecn: transmitMark)
    }

    private mutating func transmitClose(
        into buffer: UnsafeMutableRawBufferPointer, now: Int64
    ) -> Transmission? {
        guard let code = closeCode, keys != nil else { return nil }
        closeCode = nil
        let room = UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<PacketFormat.initialDatagramSizeMin])
        var packet = startPacket(room)
        packet.writer.writeConnectionClose(code)
        let size = finishPacket(&packet, room: room, now: now)
        return Transmission(destination: address, byteCount: size, segmentSize: size)
    }

    struct OpenPacket {
        var writer: PacketWriter
        var number: UInt64
        var numberSize: Int
        var headerSize: Int
        var framesBefore: Int
        var isAckEliciting = false
        var isMTUProbe = false
    }

    /// Begins a packet on the path in use, or on another one with the ID that is for it.
    @inline(__always)
    mutating func startPacket(
        _ room: UnsafeMutableRawBufferPointer, to destination: ConnectionID? = nil
    ) -> OpenPacket {
        if sent.nextNumber == skips.next {
            sent.appendSkip()
            skips.skipped()
        }
        let number = sent.nextNumber
        let numberSize = PacketNumber.encodedSize(
            number, largestAcknowledged: largestAcknowledged)
        // The tag's room is kept out of the writer's reach.
        var writer = PacketWriter(
            UnsafeMutableRawBufferPointer(
                rebasing: room[..<(room.count - PacketFormat.tagSize)]))
        let phaseBit = keys?.sealingPhase == true ? PacketFormat.keyPhaseBit : 0
        let id = destination ?? remoteID
        let spinBit = id.value & 1 == 1 ? PacketFormat.spinBit : 0
        writer.write(UInt8(0b0100_0000 | spinBit | phaseBit | UInt8(numberSize - 1)))
        writer.write(id.value)
        for index in (0..<numberSize).reversed() {
            writer.write(UInt8(truncatingIfNeeded: number >> UInt64(8 * index)))
        }
        return OpenPacket(
            writer: writer, number: number, numberSize: numberSize, headerSize: writer.offset,
            framesBefore: sent.frameCount)
    }

    mutating func finishPacket(
        _ packet: inout OpenPacket, room: UnsafeMutableRawBufferPointer,
        isElsewhere: Bool = false, now: Int64
    ) -> Int {
        // The header protection sample needs 4 bytes of number and payload (RFC 9001 §5.4.2).
        // One byte more, and a reset can be shorter than it (§10.3).
        packet.writer.pad(to: max(packet.headerSize + 4, Connection.paddedSizeMin))
        let size = packet.writer.offset + PacketFormat.tagSize
        if let trace {
            let payload = UnsafeRawBufferPointer(
                rebasing: room[packet.headerSize..<packet.writer.offset])
            trace.packet(
                isSent: true, number: packet.number, size: size, payload: payload, now: now)
        }
        keys?.seal(
            UnsafeMutableRawBufferPointer(rebasing: room[..<size]),
            headerSize: packet.headerSize, numberSize: packet.numberSize, number: packet.number)
        if packet.isAckEliciting, sent.bytesInFlight == 0, isApplicationLimited {
            congestion.restarted(now: now)
        }
        let record =
            packet.isAckEliciting && !isElsewhere
            ? path.delivery?.sent(bytes: size, inFlight: sent.bytesInFlight, now: now) : nil
        sent.append(
            SentPacket(
                timeSent: now, size: isElsewhere ? 0 : Int32(size),
                frameCount: Int32(sent.frameCount - packet.framesBefore), state: .outstanding,
                isAckEliciting: packet.isAckEliciting, isMTUProbe: packet.isMTUProbe,
                isMarked: transmitMark.isMarked),
            record: record)
        if transmitMark.isMarked { ecn.packetSent() }
        if packet.isAckEliciting {
            if !isElsewhere { path.pacer.sent(size) }
            lastAckElicitingSent = now
            if unansweredSince == nil { unansweredSince = now }
        }
        return size
    }

    /// Builds the next packet; 0 if there is nothing to send or no leave to send it.
    private mutating func buildPacket(
        into room: UnsafeMutableRawBufferPointer, fillsSegment: Bool, now: Int64
    ) -> Int {
        let hasData = !streams.sendQueue.isEmpty || !datagrams.isEmpty
        let isOpen = probesDue > 0 || mayLeave(hasData: hasData, now: now)
        let wants =
            received.isAcknowledgmentDue
            || (isOpen && (hasData || !control.isEmpty || isPingDue || probesDue > 0))
        guard wants, room.count > Connection.shortOverheadMax + Connection.streamRoomMin else {
            return 0
        }
        var packet = startPacket(room)
        if received.hasNews { writeAcknowledgment(&packet, now: now) }
        if isOpen {
            if !control.isEmpty { writeControl(&packet) }
            writeData(&packet)
            if !packet.isAckEliciting, isPingDue || probesDue > 0 {
                packet.writer.writePing()
                packet.isAckEliciting = true
            }
            if !packet.isAckEliciting, wantsAcknowledgmentsAcknowledged {
                packet.writer.writePing()
                packet.isAckEliciting = true
            }
        }
        guard packet.writer.offset > packet.headerSize else {
            // Credit is missing, if it is not data (RFC 9002 §7.8).
            if !hasData || (isOpen && fillsSegment) { becomeApplicationLimited() }
            return 0
        }
        if packet.isAckEliciting {
            isPingDue = false
            probesDue = max(0, probesDue - 1)
        }
        let isMoreComing = isOpen && (!streams.sendQueue.isEmpty || !datagrams.isEmpty)
        if isOpen, !isMoreComing { becomeApplicationLimited() }
        if fillsSegment, isMoreComing, packet.writer.remaining <= Connection.streamRoomMin {
            packet.writer.pad(to: packet.writer.offset + packet.writer.remaining)
            path.mtu.packetWasFull()
        }
        return finishPacket(&packet, room: room, now: now)
    }

    /// Whether window and pacer let a packet go; notes which of them holds what back.
    @inline(__always)
    private mutating func mayLeave(hasData: Bool, now: Int64) -> Bool {
        guard sent.bytesInFlight + path.datagramSize <= congestion.window else {
            if hasData {
                isApplicationLimited = false
                windowLimitedAt = sent.nextNumber
            }
            return false
        }
        guard path.pacer.isHolding else { return true }
        if hasData { isApplicationLimited = false }
        if hasData || !control.isEmpty || isPingDue {
            pacingDeadline = path.pacer.deadline(now: now)
        }
        return false
    }

    private mutating func becomeApplicationLimited() {
        isApplicationLimited = true
        path.delivery?.applicationLimited(inFlight: sent.bytesInFlight)
    }

    /// Who only receives sends nothing that is acknowledged, and would never know which of its
    /// acknowledgments arrived: they would get longer and longer. A PING once per round trip asks
    /// (RFC 9000 §13.2.4).
    private var wantsAcknowledgmentsAcknowledged: Bool {
        sent.ackElicitingCount == 0
            && (received.ranges.count >= Connection.rangesMin
                || sent.count >= Connection.unacknowledgedMin)
    }

    private mutating func writeAcknowledgment(_ packet: inout OpenPacket, now: Int64) {
        let ranges = received.ranges
        guard
            packet.writer.writeAcknowledgment(
                ranges, delayNanoseconds: received.delay(now: now), ecn: received.ecnCounts),
            let last = ranges.last
        else { return }
        sent.appendFrame(.acknowledgment(below: last.upperBound))
        received.acknowledged()
        keys?.acknowledgmentSent()
    }

    private mutating func writeControl(_ packet: inout OpenPacket) {
        while !control.isEmpty, packet.writer.remaining >= PacketWriter.newConnectionIDSize {
            guard let item = control.next() else { return }
            switch item {
            case .maxData:
                packet.writer.writeControl(FrameType.maxData, receiveWindow.limit)
                sent.appendFrame(.maxData)
            case .maxStreams:
                packet.writer.writeControl(FrameType.maxStreams, streams.raiseRemoteLimit())
                sent.appendFrame(.maxStreams)
            case .handshakeDone:
                packet.writer.writeHandshakeDone()
                sent.appendFrame(.handshakeDone)
            case .newConnectionID(let sequence):
                guard let issued = localIDs.entry(sequence), let token = issued.token else {
                    continue
                }
                packet.writer.writeNewConnectionID(
                    issued, token: token, retirePriorTo: localIDs.retirePriorTo)
                sent.appendFrame(.newConnectionID(sequence))
            case .retireConnectionID(let sequence):
                packet.writer.writeControl(FrameType.retireConnectionID, sequence)
                sent.appendFrame(.retireConnectionID(sequence))
            case .maxStreamData(let id):
                guard let limit = streams[id]?.receive.window.limit else { continue }
                packet.writer.writeControl(FrameType.maxStreamData, id.value, limit)
                sent.appendFrame(.maxStreamData(id))
            case .resetStream(let id):
                guard let stream = streams[id]?.send, let code = stream.resetCode else {
                    continue
                }
                packet.writer.writeResetStream(id, code: code, finalSize: stream.next)
                sent.appendFrame(.resetStream(id))
            case .stopSending(let id):
                guard let code = streams[id]?.receive.stopCode else { continue }
                packet.writer.writeControl(FrameType.stopSending, id.value, code)
                sent.appendFrame(.stopSending(id))
            }
            packet.isAckEliciting = true
        }
    }

    /// Datagrams before streams, whose data can wait; but every other packet the other way round,
    /// so that a flood of datagrams leaves streams half of the path.
    private mutating func writeData(_ packet: inout OpenPacket) {
        guard !datagrams.isEmpty else { return writeStreams(&packet) }
        if isStreamsTurn { writeStreams(&packet) }
        let hasWritten = writeDatagrams(to: &packet.writer)
        if hasWritten { packet.isAckEliciting = true }
        if !isStreamsTurn { writeStreams(&packet) }
        isStreamsTurn = hasWritten && !isStreamsTurn
    }

    private mutating func writeStreams(_ packet: inout OpenPacket) {
        while packet.writer.remaining > Connection.streamRoomMin {
            let credit = sendLimit - min(sendLimit, dataSent)
            guard let (id, piece) = streams.writeNext(to: &packet.writer, credit: credit) else {
                return
            }
            dataSent += piece.fresh
            sent.appendFrame(
                .stream(
                    id, offset: piece.offset, length: piece.length, isFinal: piece.isFinal))
            packet.isAckEliciting = true
        }
    }
}
