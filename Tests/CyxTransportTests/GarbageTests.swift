import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// Nothing that comes in may trap, and nothing of a stranger's may leave a trace.
@Suite struct GarbageTests {
    private static let stranger = SocketAddress(ipv4: (192, 0, 2, 1), port: 9)

    /// Two peers after some calls, and every datagram between them.
    private func captured() -> (Pair, [[UInt8]]) {
        var pair = Pair()
        pair.introduce()
        nonisolated(unsafe) var datagrams: [[UInt8]] = []
        pair.filter = {
            datagrams.append($0.bytes)
            return true
        }
        _ = pair.result(0, pair.call(0, 1, pattern(3000)))
        _ = pair.result(1, pair.call(1, 0, pattern(10)))
        pair.filter = nil
        return (pair, datagrams)
    }

    private func mutated(_ original: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = original
        for _ in 0...generator.next() % 4 where !bytes.isEmpty {
            let index = Int(generator.next() % UInt64(bytes.count))
            switch generator.next() % 5 {
            case 0: bytes[index] ^= 1 << UInt8(generator.next() % 8)
            case 1: bytes[index] = UInt8(truncatingIfNeeded: generator.next())
            case 2: bytes.removeLast(Int(generator.next() % UInt64(bytes.count)))
            case 3: bytes += pattern(Int(generator.next() % 64), seed: generator.next())
            default: bytes[min(index, 30)] = [0, 0xFF, 0x40, 0xC0][Int(generator.next() % 4)]
            }
        }
        // Captured from a twin with the same keys: unchanged, it would be authentic.
        if bytes == original { bytes[bytes.count - 1] ^= 1 }
        return bytes
    }

    @Test func randomDatagramsToAPeerLeaveNoTrace() {
        var pair = Pair(key: Pair.privateKey)
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<3000 {
            var bytes = pattern(Int(generator.next() % 1600), seed: generator.next())
            if !bytes.isEmpty, generator.next() % 2 == 0 {
                bytes[0] = UInt8(0xC0 | (generator.next() % 4) << 4)
            }
            pair.inject(bytes, to: 1, from: GarbageTests.stranger)
        }
        #expect(pair.nodes[1].datagramsSent == 0)
        #expect(pair.nodes[1].machine.endpoint.slots.isEmpty)
        #expect(pair.nodes[1].machine.endpoint.routes.isEmpty)
        #expect(pair.nodes[1].machine.nextDeadline == nil)
    }

    @Test func anotherNetworksHandshakeGetsNoAnswerAndLeavesNoTrace() {
        var pair = Pair()
        pair.add(identity: 9, seed: 77, key: [UInt8](repeating: 1, count: 32))
        let id = pair.identify(2, Pair.address(1))
        pair.run(.seconds(5))
        #expect(pair.nodes[2].identified[id] == .failure(.unreachable))
        #expect(pair.nodes[1].datagramsReceived > 1)
        #expect(pair.nodes[1].datagramsSent == 0)
        #expect(pair.nodes[1].machine.endpoint.slots.isEmpty)
    }

    @Test func aFirstMessageFromAnotherTimeGetsNoAnswer() {
        var pair = Pair()
        var first: [UInt8] = []
        nonisolated(unsafe) var captured: [[UInt8]] = []
        pair.filter = {
            captured.append($0.bytes)
            return false
        }
        _ = pair.identify(0, Pair.address(1))
        first = captured[0]
        #expect(first.count == 1200)
        pair.filter = nil
        pair.wall.milliseconds += 300_001
        pair.inject(first, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
        pair.wall.milliseconds -= 1
        pair.inject(first, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 1)
        // Repeated, it is answered in the same words and makes no second connection.
        let sent = pair.nodes[1].datagramsSent
        pair.inject(first, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 1)
        #expect(pair.nodes[1].datagramsSent == sent + 1)
        pair.nodes[0].isDown = true
        pair.run(.seconds(5))
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
    }

    @Test(arguments: 1...4)
    func mutatedDatagramsNeitherTrapNorBreakTheConnection(seed: UInt64) {
        var (pair, datagrams) = captured()
        #expect(datagrams.count > 8)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1500 {
            let index = Int(generator.next() % UInt64(datagrams.count))
            pair.inject(
                mutated(datagrams[index], &generator), to: Int(generator.next() % 2),
                from: generator.next() % 2 == 0 ? Pair.address(0) : Pair.address(1))
        }
        #expect(pair.result(0, pair.call(0, 1, pattern(5000))) == .success(pattern(5000)))
        #expect(pair.nodes[0].closed.isEmpty && pair.nodes[1].closed.isEmpty)
        #expect(pair.nodes[1].machine.endpoint.connectionCount <= 2)
    }

    /// What a peer with valid keys but bad intentions may put into packets.
    private func hostilePayload(_ generator: inout SeededGenerator) -> [UInt8] {
        let buffer = PacketBuffer(byteCount: 1300)
        var writer = PacketWriter(buffer.bytes)
        func number(_ generator: inout SeededGenerator) -> UInt64 {
            (generator.next() >> 2) >> (generator.next() % 62)
        }
        for _ in 0...generator.next() % 6 {
            let types: [UInt64] = [
                0, 1, 2, 4, 5, 8, 10, 12, 14, 15, 16, 17, 18, 20, 21, 22, 28, 30, 3, 6, 24, 64,
            ]
            writer.writeVariable(types[Int(generator.next() % UInt64(types.count))])
            for _ in 0..<generator.next() % 6 {
                writer.writeVariable(
                    generator.next() % 2 == 0 ? generator.next() % 8 : number(&generator))
            }
            writer.write(pattern(Int(generator.next() % 30), seed: generator.next()))
        }
        return [UInt8](buffer.bytes[..<writer.offset])
    }

    private func packet(
        _ payload: [UInt8], from connection: Connection, number: UInt64
    ) throws -> [UInt8] {
        var packet = [UInt8](repeating: 0, count: 13 + max(4, payload.count) + 16)
        let sealing = try #require(connection.keys?.sealing)
        packet.withUnsafeMutableBytes { bytes in
            var writer = PacketWriter(bytes)
            writer.write(UInt8(0b0100_0011))
            writer.write(connection.remoteID.value)
            writer.write(UInt32(truncatingIfNeeded: number))
            writer.write(payload)
            sealing.seal(bytes, headerSize: 13, numberSize: 4, number: number)
        }
        return packet
    }

    private func established() throws -> (Pair, Connection) {
        var pair = Pair()
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        let connection = try #require(pair.nodes[0].machine.endpoint[handle])
        pair.nodes[0].isDown = true
        pair.nodes[0].machine = Pair.machine(identity: 1, seed: 5)
        return (pair, connection)
    }

    @Test(arguments: 1...4)
    func hostileFramesNeverTrap(seed: UInt64) throws {
        let (pair, connection) = try established()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<700 {
            var copy = pair
            for step in 0..<3 {
                copy.inject(
                    try packet(
                        hostilePayload(&generator), from: connection,
                        number: connection.sent.nextNumber + UInt64(step)),
                    to: 1, from: Pair.address(0))
                copy.run(.milliseconds(20))
            }
        }
    }

    @Test func aPeerThatExceedsItsCreditIsCutOff() throws {
        var (pair, connection) = try established()
        let limits = TransportLimits()
        let buffer = PacketBuffer(byteCount: 200)
        var writer = PacketWriter(buffer.bytes)
        writer.writeStreamHeader(
            StreamID(index: 5, role: .initiator), offset: limits.streamWindow, length: 1,
            isFinal: false)
        writer.write(UInt8(1))
        pair.inject(
            try packet(
                [UInt8](buffer.bytes[..<writer.offset]), from: connection,
                number: connection.sent.nextNumber),
            to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].closed == [.local(.flowControl)])
    }

    @Test func acknowledgingWhatWasNeverSentIsAViolation() throws {
        var (pair, connection) = try established()
        let buffer = PacketBuffer(byteCount: 200)
        var writer = PacketWriter(buffer.bytes)
        var ranges = RangeSet()
        ranges.insert(0..<1_000_000)
        let isWritten = writer.writeAcknowledgment(ranges, delayNanoseconds: 0)
        #expect(isWritten)
        pair.inject(
            try packet(
                [UInt8](buffer.bytes[..<writer.offset]), from: connection,
                number: connection.sent.nextNumber),
            to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].closed == [.local(.protocolViolation)])
    }

    @Test func truncatedOrMutatedHandshakePayloadsAreRefusedOrRead() throws {
        let parameters = ConnectionParameters(
            source: ConnectionID(1),
            resetToken: try #require(
                StatelessResetToken(bytes: [UInt8](repeating: 1, count: 16))),
            maxData: 1, maxStreamData: 2, maxStreams: 3, idleTimeoutMilliseconds: 4,
            maxAckDelayMilliseconds: 5)
        let response = ResponsePayload(
            suite: 1, versions: [1], originalDestination: ConnectionID(2),
            retrySource: ConnectionID(3),
            identity: IdentityPayload(
                key: [UInt8](repeating: 2, count: 32),
                signature: [UInt8](repeating: 3, count: 64), parameters: parameters))
        #expect(try response.encoded.decoded(ResponsePayload.init) == response)
        for count in 0..<response.encoded.count {
            #expect(throws: TransportError.self) {
                try Array(response.encoded[..<count]).decoded(ResponsePayload.init)
            }
        }
        let initial = InitialPayload(
            time: WallTime(milliseconds: 5), suites: [1, 2], versions: [1])
        #expect(try initial.encoded(size: 100).decoded(InitialPayload.init) == initial)
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<5000 {
            let changed = mutated(response.encoded, &generator)
            #expect((try? changed.decoded(ResponsePayload.init))?.versions.count ?? 0 <= 16)
            let other = mutated(initial.encoded(size: 60), &generator)
            #expect((try? other.decoded(InitialPayload.init))?.suites.count ?? 0 <= 16)
        }
    }
}
