import CyxCore
import Testing

@testable import CyxTransport

/// Packets that are decrypted to where their bytes belong.
@Suite struct LandingTests {
    private static let id = StreamID(0)
    private static let frameHeader = 6
    private static let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private func frame(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, isFinal: Bool = false
    ) -> StreamFrame {
        StreamFrame(id: LandingTests.id, offset: UInt64(offset), data: bytes, isFinal: isFinal)
    }

    /// A stream that has its header word, which announces the message, and 100 bytes of that.
    private func begun() throws -> ReceiveStream {
        var stream = ReceiveStream(window: FlowWindow(size: 1 << 20, sizeMax: 1 << 20))
        let header = RPCHeader(code: 1, length: LandingTests.message.count)
        let first = (0..<8).map { UInt8(truncatingIfNeeded: header.word >> UInt64(56 - 8 * $0)) }
        try (first + LandingTests.message[..<100]).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 0))
        }
        return stream
    }

    private func finish(_ stream: inout ReceiveStream, from start: Int) throws -> [UInt8] {
        try Array(LandingTests.message[start...]).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 8 + start, isFinal: true))
        }
        #expect(stream.isComplete)
        return stream.take()
    }

    /// A packet of one STREAM frame with `bytes`, which fit in fewer than 2^14.
    private func payload(_ bytes: ArraySlice<UInt8>, at offset: Int) -> [UInt8] {
        var payload = [UInt8](repeating: 0, count: LandingTests.frameHeader + bytes.count)
        payload.withUnsafeMutableBytes { room in
            var writer = PacketWriter(room)
            writer.writeStreamHeader(
                LandingTests.id, offset: UInt64(offset), length: bytes.count, isFinal: false)
            writer.write(Array(bytes))
            #expect(writer.remaining == 0)
        }
        return payload
    }

    /// Lands a packet of `count` bytes whose payload decrypts to `payload`.
    private func land(
        _ payload: [UInt8]?, of count: Int, headerSize: Int = LandingTests.frameHeader,
        on stream: inout ReceiveStream, scratch: PacketBuffer
    ) throws -> Landing? {
        try stream.land(
            count, on: LandingTests.id, headerSize: headerSize, scratch: scratch.bytes
        ) { room throws(TransportError) in
            guard let payload else {
                room.initializeMemory(as: UInt8.self, repeating: 0xEE)
                return nil
            }
            room.copyBytes(from: payload)
            return OpenedPacket(number: 0, payloadSize: payload.count, first: 0)
        }
    }

    @Test func whatLandedIsNotCopiedAgain() throws {
        var stream = try begun()
        let scratch = PacketBuffer(byteCount: 2000)
        scratch.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        let packet = payload(LandingTests.message[100..<300], at: 108)
        let landing = try #require(try land(packet, of: 250, on: &stream, scratch: scratch))
        #expect(landing.opened?.payloadSize == packet.count)
        let piece = try #require(landing.piece)
        #expect(piece.length == 200 && piece.id == LandingTests.id && !piece.isFinal)
        #expect(scratch.bytes.allSatisfy { $0 == 0 })
        let growth = try stream.insert(piece)
        #expect(growth == 200)
        let body = try finish(&stream, from: 300)
        #expect(body == LandingTests.message)
    }

    @Test func whatDoesNotBelongThereLeavesNoTrace() throws {
        var stream = try begun()
        let scratch = PacketBuffer(byteCount: 2000)
        let forged = try #require(try land(nil, of: 500, on: &stream, scratch: scratch))
        #expect(forged.opened == nil && forged.piece == nil)
        // The wrong place, another kind of frame, and a frame with another header.
        let others = [
            payload(LandingTests.message[100..<300], at: 109),
            [UInt8](repeating: 0, count: 210),
            Array(payload(LandingTests.message[100..<300], at: 108)[1...]),
        ]
        for other in others {
            let landing = try #require(try land(other, of: 300, on: &stream, scratch: scratch))
            #expect(landing.opened != nil && landing.piece == nil)
            #expect([UInt8](scratch.bytes[..<other.count]) == other)
        }
        let wider = try #require(
            try land(
                payload(LandingTests.message[100..<300], at: 108), of: 300, headerSize: 7,
                on: &stream, scratch: scratch))
        #expect(wider.opened != nil && wider.piece == nil)
        let body = try finish(&stream, from: 100)
        #expect(body == LandingTests.message)
    }

    @Test func nothingLandsOnBytesThatAreThereOrBeyondTheRoom() throws {
        var stream = try begun()
        let scratch = PacketBuffer(byteCount: 2000)
        var hasPlace: [Bool] = []
        for (count, headerSize) in [(900, 6), (901, 6), (100, 32), (100, 33)] {
            let landing = try land(
                nil, of: count, headerSize: headerSize, on: &stream, scratch: scratch)
            hasPlace.append(landing != nil)
        }
        #expect(hasPlace == [true, false, true, false])
        try Array(LandingTests.message[200..<210]).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 208))
        }
        let behindGap = try land(nil, of: 10, on: &stream, scratch: scratch)
        #expect(behindGap == nil)
        var other = ReceiveStream(window: FlowWindow(size: 1 << 20, sizeMax: 1 << 20))
        let withoutHeader = try land(nil, of: 10, on: &other, scratch: scratch)
        #expect(withoutHeader == nil)
    }

    /// Room is made once for as much of a message as what arrived justifies, however small its
    /// packets are and whatever the header says.
    @Test(arguments: [100, 60_000, 1_000_000, Int(UInt32.max)])
    func roomIsMadeAsTheHeaderAnnounces(length: Int) throws {
        var stream = ReceiveStream(window: FlowWindow(size: 1 << 24, sizeMax: 1 << 24))
        let header = RPCHeader(code: 1, length: length).word
        let first = (0..<8).map { UInt8(truncatingIfNeeded: header >> UInt64(56 - 8 * $0)) }
        let size = min(length, 1000)
        try (first + [UInt8](repeating: 1, count: size)).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 0))
        }
        #expect(stream.roomSize == min(length, ReceiveStream.reservationMin))
        for start in stride(from: size, to: min(length, 900_000), by: 1000) {
            try [UInt8](repeating: 1, count: 1000).withUnsafeBytes {
                _ = try stream.insert(frame($0, at: 8 + start))
            }
        }
        let bound = ReceiveStream.reservationMin * ReceiveStream.reservationFactor
        #expect(stream.roomSize == (length < bound ? length : bound))
    }

    /// Forged, repeated and late packets are decrypted there too, before they turn out to be so.
    @Test(arguments: 1...4)
    func messagesArriveWholeAmongForgedAndRepeatedPackets(seed: UInt64) throws {
        var pair = Pair(seed: seed)
        pair.faults.corruption = 30
        pair.faults.duplication = 100
        pair.faults.loss = 5
        pair.faults.jitter = seed % 2 == 0 ? 1_000_000 : 0
        pair.introduce()
        let bodies = (0..<4).map { pattern(100_000 + 1000 * $0 + Int(seed)) }
        let calls = bodies.map { pair.call(0, 1, $0, timeout: .seconds(60)) }
        for (call, body) in zip(calls, bodies) {
            let answer = try pair.result(0, call)?.get()
            #expect(answer == body)
        }
    }
}
