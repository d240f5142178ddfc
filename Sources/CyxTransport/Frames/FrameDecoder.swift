/// Reads the frames of one packet's plaintext, one at a time.
struct FrameDecoder {
    private var reader: PacketReader

    init(_ plaintext: UnsafeRawBufferPointer) { reader = PacketReader(plaintext) }

    /// The STREAM frame of a packet that has nothing else in it.
    @inline(__always)
    static func soleStream(_ plaintext: UnsafeRawBufferPointer) -> StreamFrame? {
        guard let type = plaintext.first, UInt64(type) & ~7 == FrameType.stream else { return nil }
        var decoder = FrameDecoder(plaintext)
        do throws(TransportError) {
            let frame = try decoder.stream(try decoder.reader.readVariable())
            return decoder.reader.isAtEnd ? frame : nil
        } catch {
            return nil
        }
    }

    /// The next frame, or nil at the end. Runs of PADDING come as one frame.
    mutating func next() throws(TransportError) -> Frame? {
        guard !reader.isAtEnd else { return nil }
        let type = try reader.readVariable()
        if type & ~7 == FrameType.stream { return .stream(try stream(type)) }
        switch type {
        case FrameType.padding:
            reader.skipPadding()
            return .padding
        case FrameType.ping: return .ping
        case FrameType.acknowledgment: return .acknowledgment(try acknowledgment())
        case FrameType.acknowledgmentECN:
            var frame = try acknowledgment()
            frame.ecn = ECNCounts(
                ect0: try reader.readVariable(), ect1: try reader.readVariable(),
                ce: try reader.readVariable())
            return .acknowledgment(frame)
        case FrameType.resetStream:
            return .resetStream(
                try streamID(), code: try reader.readVariable(),
                finalSize: try reader.readVariable())
        case FrameType.stopSending:
            return .stopSending(try streamID(), code: try reader.readVariable())
        case FrameType.maxData: return .maxData(try reader.readVariable())
        case FrameType.maxStreamData:
            return .maxStreamData(try streamID(), try reader.readVariable())
        case FrameType.maxStreams: return .maxStreams(try streamCount())
        case FrameType.dataBlocked:
            _ = try reader.readVariable()
            return .blocked
        case FrameType.streamDataBlocked:
            _ = try streamID()
            _ = try reader.readVariable()
            return .blocked
        case FrameType.streamsBlocked:
            _ = try streamCount()
            return .blocked
        case FrameType.connectionClose:
            let code = try reader.readVariable()
            _ = try reader.readVariable()
            _ = try reader.readSlice(try reader.readVariable())
            return .connectionClose(code: code)
        case FrameType.newConnectionID: return try newConnectionID()
        case FrameType.retireConnectionID:
            return .retireConnectionID(try reader.readVariable())
        case FrameType.pathChallenge: return .pathChallenge(try reader.readUInt64())
        case FrameType.pathResponse: return .pathResponse(try reader.readUInt64())
        case FrameType.handshakeDone: return .handshakeDone
        case FrameType.datagram:
            return .datagram(try reader.readSlice(UInt64(reader.remaining)))
        case FrameType.datagram | FrameType.datagramLength:
            return .datagram(try reader.readSlice(try reader.readVariable()))
        default: throw .frameEncoding
        }
    }

    private mutating func newConnectionID() throws(TransportError) -> Frame {
        let sequence = try reader.readVariable()
        let bound = try reader.readVariable()
        guard bound <= sequence, Int(try reader.readUInt8()) == ConnectionID.byteCount else {
            throw .frameEncoding
        }
        let id = ConnectionID(try reader.readUInt64())
        let token = try reader.readSlice(UInt64(StatelessResetToken.byteCount))
        return .newConnectionID(
            NewConnectionIDFrame(
                sequence: sequence, retirePriorTo: bound, id: id, token: token))
    }

    @inline(__always)
    private mutating func streamID() throws(TransportError) -> StreamID {
        let id = StreamID(try reader.readVariable())
        guard id.isBidirectional else { throw .streamState }
        return id
    }

    private mutating func streamCount() throws(TransportError) -> UInt64 {
        let count = try reader.readVariable()
        guard count <= 1 << 60 else { throw .frameEncoding }
        return count
    }

    @inline(__always)
    private mutating func stream(_ type: UInt64) throws(TransportError) -> StreamFrame {
        let id = try streamID()
        let offset = type & FrameType.streamOffset == 0 ? 0 : try reader.readVariable()
        let length =
            type & FrameType.streamLength == 0
            ? UInt64(reader.remaining) : try reader.readVariable()
        let data = try reader.readSlice(length)
        guard offset + length <= PacketWriter.variableMax else { throw .frameEncoding }
        return StreamFrame(
            id: id, offset: offset, data: data, isFinal: type & FrameType.streamFin != 0)
    }

    private mutating func acknowledgment() throws(TransportError) -> AckFrame {
        let largest = try reader.readVariable()
        let delay = try reader.readVariable()
        let rangeCount = try reader.readVariable()
        let firstLength = try reader.readVariable()
        guard firstLength <= largest, rangeCount <= AckFrame.rangesMax else {
            throw .frameEncoding
        }
        let start = reader.offset
        for _ in 0..<rangeCount {
            _ = try reader.readVariable()
            _ = try reader.readVariable()
        }
        let ranges = UnsafeRawBufferPointer(rebasing: reader.bytes[start..<reader.offset])
        // 2^40 µs is twelve days: any longer delay is nonsense and counts as that.
        let microseconds = min(delay, 1 << 37) << AckFrame.delayExponent
        let frame = AckFrame(
            largest: largest, delay: Int64(microseconds) * 1000, firstLength: firstLength,
            rangeCount: rangeCount, ranges: ranges)
        try frame.forEachRange { _ in }
        return frame
    }
}
