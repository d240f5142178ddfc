internal import CyxCore
internal import CyxCrypto

/// Path frames that go out, each in a datagram of its own.
extension Connection {
    /// A challenge and a response fit, with no byte to spare for anything else.
    static let pathPacketSizeMin = shortOverheadMax + 2 * (1 + 8) + 1

    /// Bytes that may be sent on the path in use (RFC 9000 §8 and §9.3).
    var allowance: Int {
        setup.defences.contains(.amplification) ? path.allowance : .max
    }

    /// The next datagram with a path frame; nil if none is due.
    mutating func transmitPathFrames(
        into buffer: UnsafeMutableRawBufferPointer, now: Int64
    ) -> Transmission? {
        guard isPathFrameDue else { return nil }
        if let transmission = transmit(on: nil, into: buffer, now: now) { return transmission }
        for index in otherPaths.indices {
            if let transmission = transmit(on: index, into: buffer, now: now) {
                return transmission
            }
        }
        isPathFrameDue = false
        return nil
    }

    /// `index` names one of the other paths; nil the one in use.
    private mutating func transmit(
        on index: Int?, into buffer: UnsafeMutableRawBufferPointer, now: Int64
    ) -> Transmission? {
        var path = index.map { otherPaths[$0] } ?? self.path
        let asks = path.challenge?.isDue == true
        guard path.response != nil || asks else { return nil }
        defer {
            if let index { otherPaths[index] = path } else { self.path = path }
        }
        // An address that we choose ourselves is asked a few times whatever came from there.
        let allowance =
            path.purpose == .migration && index != nil || !setup.defences.contains(.amplification)
            ? Int.max : path.allowance
        guard allowance >= Connection.pathPacketSizeMin else {
            path.response = nil
            path.challenge?.postpone(now: now)
            return nil
        }
        let full = path.remote.initialDatagramSize
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(full, allowance)])
        var packet = startPacket(room, to: path.issued.id)
        if let response = path.response {
            packet.writer.writePathFrame(FrameType.pathResponse, response)
            path.response = nil
            // Who is asked on the path in use answers with a packet that claims it
            // (RFC 9000 §9.3.3).
            if index == nil { packet.writer.writePing() }
        }
        if asks {
            let data = challengeData()
            packet.writer.writePathFrame(FrameType.pathChallenge, data)
            path.challenge?.sent(data, now: now)
        }
        // The path has to carry datagrams of this size to be of use (RFC 9000 §8.2.1).
        if allowance >= full { packet.writer.pad(to: full - PacketFormat.tagSize) }
        packet.isAckEliciting = index == nil
        let size = finishPacket(&packet, room: room, isElsewhere: index != nil, now: now)
        path.sent(size)
        return Transmission(destination: path.remote, byteCount: size, segmentSize: size)
    }

    /// 64 bits that nobody can guess, drawn from a secret of this connection.
    private mutating func challengeData() -> UInt64 {
        challengeCount += 1
        let counter = (0..<8).map { UInt8(truncatingIfNeeded: challengeCount >> UInt64(8 * $0)) }
        return HMACSHA256.code(key: setup.pathSecret, counter).prefix(8)
            .reduce(0) { $0 << 8 | UInt64($1) }
    }
}
