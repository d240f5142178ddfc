/// Writes frames; sizes are asked first with the functions that end in `Size`.
extension PacketWriter {
    mutating func writePing() { writeVariable(FrameType.ping) }

    mutating func writeHandshakeDone() { writeVariable(FrameType.handshakeDone) }

    static let newConnectionIDSize =
        1 + 8 + 8 + 1 + ConnectionID.byteCount
        + StatelessResetToken.byteCount

    mutating func writeNewConnectionID(
        _ issued: IssuedID, token: StatelessResetToken, retirePriorTo: UInt64
    ) {
        writeVariable(FrameType.newConnectionID)
        writeVariable(issued.sequence)
        writeVariable(retirePriorTo)
        write(UInt8(ConnectionID.byteCount))
        write(issued.id.value)
        write(token.bytes)
    }

    mutating func writePathFrame(_ type: UInt64, _ data: UInt64) {
        writeVariable(type)
        write(data)
    }

    /// The most that an ACK frame of one range takes, with counts of marks.
    static let acknowledgmentSizeMax = 32 + 24

    /// ACK of as many of `ranges` as fit, highest first, with counts of marks if there were any;
    /// false if not even one does.
    mutating func writeAcknowledgment(
        _ ranges: RangeSet, delayNanoseconds: Int64, ecn: ECNCounts = ECNCounts()
    ) -> Bool {
        let sizeMax = PacketWriter.acknowledgmentSizeMax
        guard let last = ranges.last, remaining >= sizeMax else { return false }
        let delay = UInt64(max(0, delayNanoseconds / 1000)) >> AckFrame.delayExponent
        let largest = last.upperBound - 1
        // Each further range takes at most 16 bytes here.
        let more = min(ranges.count - 1, min(Int(AckFrame.rangesMax), (remaining - sizeMax) / 16))
        writeVariable(ecn.isEmpty ? FrameType.acknowledgment : FrameType.acknowledgmentECN)
        writeVariable(largest)
        writeVariable(delay)
        writeVariable(UInt64(more))
        writeVariable(UInt64(last.upperBound - last.lowerBound - 1))
        var lowest = last.lowerBound
        for index in 0..<more {
            let range = ranges[ranges.count - 2 - index]
            writeVariable(lowest - range.upperBound - 1)
            writeVariable(range.upperBound - range.lowerBound - 1)
            lowest = range.lowerBound
        }
        if !ecn.isEmpty {
            writeVariable(ecn.ect0)
            writeVariable(ecn.ect1)
            writeVariable(ecn.ce)
        }
        return true
    }

    mutating func writeControl(_ type: UInt64, _ first: UInt64) {
        writeVariable(type)
        writeVariable(first)
    }

    mutating func writeControl(_ type: UInt64, _ first: UInt64, _ second: UInt64) {
        writeVariable(type)
        writeVariable(first)
        writeVariable(second)
    }

    mutating func writeResetStream(_ id: StreamID, code: UInt64, finalSize: UInt64) {
        writeVariable(FrameType.resetStream)
        writeVariable(id.value)
        writeVariable(code)
        writeVariable(finalSize)
    }

    mutating func writeConnectionClose(_ code: UInt64) {
        writeVariable(FrameType.connectionClose)
        writeVariable(code)
        writeVariable(0)
        writeVariable(0)
    }

    /// DATAGRAM with a length field of 2 bytes; `bytes` are fewer than 2^14.
    mutating func writeDatagram(_ bytes: [UInt8]) {
        writeVariable(FrameType.datagram | FrameType.datagramLength)
        write(UInt16(bytes.count) | 0x4000)
        write(bytes)
    }

    /// Bytes before the data of a STREAM frame that has an offset and a length field of 2 bytes.
    static func streamHeaderSize(_ id: StreamID, offset: UInt64) -> Int {
        1 + variableSize(id.value) + variableSize(offset) + 2
    }

    /// Writes a STREAM frame's header; the caller fills in `length` bytes (< 2^14) after it.
    @inline(__always)
    mutating func writeStreamHeader(
        _ id: StreamID, offset: UInt64, length: Int, isFinal: Bool
    ) {
        let flags = FrameType.streamOffset | FrameType.streamLength
        writeVariable(FrameType.stream | flags | (isFinal ? FrameType.streamFin : 0))
        writeVariable(id.value)
        writeVariable(offset)
        write(UInt16(length) | 0x4000)
    }
}
