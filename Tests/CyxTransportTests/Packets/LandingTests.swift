import CyxCore
import Testing

@testable import CyxTransport

/// Packets that are decrypted to where their bytes belong.
@Suite struct LandingTests {
    private static let id = StreamID(0)
    private static let frameHeader = 10
    private static let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private func frame(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, isFinal: Bool = false
    ) -> StreamFrame {
        StreamFrame(id: LandingTests.id, offset: UInt64(offset), data: bytes, isFinal: isFinal)
    }

    /// A stream that has its header word and 100 bytes, and room for all.
    private func begun() throws -> ReceiveStream {
        var stream = ReceiveStream(window: FlowWindow(size: 1 << 20, sizeMax: 1 << 20))
        let first = [UInt8](repeating: 0, count: 8) + LandingTests.message[..<100]
        try first.withUnsafeBytes { _ = try stream.insert(frame($0, at: 0)) }
        stream.reserve(LandingTests.message.count)
        return stream
    }

    private func finish(_ stream: inout ReceiveStream, from start: Int) throws -> [UInt8] {
        try Array(LandingTests.message[start...]).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 8 + start, isFinal: true))
        }
        #expect(stream.isComplete)
        return stream.take()
    }

    @Test func whatLandedIsNotCopiedAgain() throws {
        var stream = try begun()
        let place = stream.landing(210, frameHeader: LandingTests.frameHeader)
        let landing = try #require(place)
        let room = landing.room(210)
        for index in 0..<10 { room[index] = 0xEE }
        for index in 0..<200 { room[10 + index] = LandingTests.message[100 + index] }
        landing.restore()
        let data = UnsafeRawBufferPointer(rebasing: room[10...])
        #expect(landing.holds(data))
        #expect(landing.offset == 108)
        let growth = try stream.insert(frame(data, at: 108))
        #expect(growth == 200)
        let body = try finish(&stream, from: 300)
        #expect(body == LandingTests.message)
    }

    @Test func whatDoesNotBelongThereLeavesNoTrace() throws {
        var stream = try begun()
        let place = stream.landing(500, frameHeader: LandingTests.frameHeader)
        let landing = try #require(place)
        landing.room(500).initializeMemory(as: UInt8.self, repeating: 0xEE)
        landing.restore()
        let body = try finish(&stream, from: 100)
        #expect(body == LandingTests.message)
    }

    @Test func nothingLandsOnBytesThatAreThereOrBeyondTheRoom() throws {
        var stream = try begun()
        var hasPlace: [Bool] = []
        for (count, frameHeader) in [(900, 10), (901, 10), (100, 32), (100, 33)] {
            hasPlace.append(stream.landing(count, frameHeader: frameHeader) != nil)
        }
        #expect(hasPlace == [true, false, true, false])
        try Array(LandingTests.message[200..<210]).withUnsafeBytes {
            _ = try stream.insert(frame($0, at: 208))
        }
        let behindGap = stream.landing(10, frameHeader: LandingTests.frameHeader) != nil
        #expect(!behindGap)
        var other = ReceiveStream(window: FlowWindow(size: 1 << 20, sizeMax: 1 << 20))
        let withoutHeader = other.landing(10, frameHeader: LandingTests.frameHeader) != nil
        #expect(!withoutHeader)
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
