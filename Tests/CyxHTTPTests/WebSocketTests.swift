import CyxCore
import CyxHTTP
import TestSockets
import Testing

/// A frame as a client sends it: masked (RFC 6455 §5.2).
private func frame(
    _ opcode: UInt8, _ payload: [UInt8], isLast: Bool = true,
    mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
) -> [UInt8] {
    var bytes = [(isLast ? 0x80 : 0) | opcode]
    switch payload.count {
    case ..<126: bytes.append(0x80 | UInt8(payload.count))
    case ..<65536: bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: bytes += [0x80 | 127] + (0..<8).map { UInt8(payload.count >> (56 - 8 * $0) & 0xFF) }
    }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
}

@Suite struct WebSocketCodecTests {
    private func makeCodec() -> WebSocketCodec { WebSocketCodec(messageBytesMax: 65536) }

    /// RFC 6455 §5.7.
    @Test func theExamplesOfTheRFCAreUnderstood() {
        let masked: [UInt8] = [
            0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
        ]
        #expect(makeCodec().receive(masked) == [.text("Hello")])
        let pong: [UInt8] = [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        #expect(makeCodec().receive(pong) == [.pong])
        // What a server sends: an unmasked text message, and an unmasked ping.
        let codec = makeCodec()
        codec.send("Hello")
        #expect(codec.takeOutput() == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
        codec.ping()
        #expect(codec.takeOutput() == [0x89, 0x00])
        // 256 bytes are told in 16 bits, 65,536 in 64.
        codec.send(String(repeating: "x", count: 256))
        #expect(codec.takeOutput().prefix(4) == [0x81, 0x7E, 0x01, 0x00])
        codec.send(String(repeating: "x", count: 65536))
        #expect(codec.takeOutput().prefix(10) == [0x81, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
    }

    @Test func messagesComeInFragmentsWithPingsBetween() {
        let codec = makeCodec()
        #expect(codec.receive(frame(1, Array("Hel".utf8), isLast: false)).isEmpty)
        #expect(codec.receive(frame(9, [1, 2])).isEmpty)
        #expect(codec.queuedMessages == 1)
        #expect(codec.takeOutput() == [0x8A, 2, 1, 2])
        #expect(codec.queuedMessages == 0)
        #expect(codec.receive(frame(0, Array("lo".utf8))) == [.text("Hello")])
        var events: [WebSocketCodec.Event] = []
        for byte in frame(2, [9, 8]) + frame(1, Array("ü".utf8)) { events += codec.receive([byte]) }
        #expect(events == [.binary([9, 8]), .text("ü")])
    }

    private func closingCode(_ bytes: [UInt8]) -> UInt16? {
        let codec = makeCodec()
        _ = codec.receive(bytes)
        let output = codec.takeOutput()
        if output == [0x88, 0] { return 1005 }
        guard output.count >= 4, output[0] == 0x88 else { return nil }
        return UInt16(output[2]) << 8 | UInt16(output[3])
    }

    @Test func whatAServerMustRefuseClosesTheConnection() {
        // Without a mask (§5.1), with reserved bits (§5.2), with an unknown opcode.
        #expect(closingCode([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]) == 1002)
        #expect(closingCode([0xC1] + frame(1, [0x48]).dropFirst()) == 1002)
        #expect(closingCode(frame(3, [0x48])) == 1002)
        // A control frame in fragments, or longer than 125 bytes (§5.5): closed without a code.
        #expect(closingCode(frame(9, [1], isLast: false)) == 1005)
        #expect(closingCode(frame(9, [UInt8](repeating: 1, count: 126))) == 1005)
        // A continuation of nothing (§5.4), text that is no UTF-8 (§8.1), a code that nobody may send.
        #expect(closingCode(frame(0, [1])) == 1002)
        #expect(closingCode(frame(1, [0xC3, 0x28])) == 1007)
        #expect(closingCode(frame(8, [0x03, 0xED])) == 1002)
        // More than may come, in one frame or in many.
        #expect(closingCode(frame(2, [UInt8](repeating: 1, count: 65537))) == 1009)
        let half = [UInt8](repeating: 1, count: 40000)
        #expect(closingCode(frame(2, half, isLast: false) + frame(0, half)) == 1009)
    }

    @Test func aCloseWhoseReasonIsNoTextIsToldNobodyHoweverItComes() {
        let bytes = frame(8, [0x03, 0xE8] + Array("ab".utf8) + [0xC3, 0x28, 0x63])
        for size in 1...bytes.count {
            let codec = makeCodec()
            var events: [WebSocketCodec.Event] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += codec.receive(Array(bytes[start...].prefix(size)))
                _ = codec.takeOutput()
            }
            #expect(events == [], "\(size)")
            #expect(codec.isOver)
        }
        var told: [WebSocketCodec.Event] = []
        let codec = makeCodec()
        for byte in frame(8, [0x03, 0xE8] + Array("späť".utf8)) { told += codec.receive([byte]) }
        #expect(told == [.close(code: 1000)])
    }

    @Test func theClosingHandshakeIsAnswered() {
        let codec = makeCodec()
        #expect(codec.receive(frame(8, [0x03, 0xE8])) == [.close(code: 1000)])
        #expect(codec.takeOutput() == [0x88, 2, 0x03, 0xE8])
        #expect(codec.isOver)
        let silent = makeCodec()
        #expect(silent.receive(frame(8, [])) == [.close(code: 1005)])
        let own = makeCodec()
        own.close(.tryAgainLater, "slow")
        own.send("nobody hears this")
        #expect(own.takeOutput() == [0x88, 6, 0x03, 0xF5] + Array("slow".utf8))
        #expect(!own.isOver)
        _ = own.receive(frame(8, [0x03, 0xF5]))
        #expect(own.isOver)
        // Of more words than a close frame has room for (§5.5), those that fit.
        let long = makeCodec()
        long.close(.policy, String(repeating: "x", count: 200))
        #expect(
            long.takeOutput() == [0x88, 125, 0x03, 0xF0] + [UInt8](repeating: 0x78, count: 123))
    }
}

@Suite struct UpgradeTests {
    private static let handshake =
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

    private func echo(_ socket: HTTPSocket) async {
        do {
            while let bytes = try await socket.read() { try await socket.write(bytes) }
        } catch {
            // The client is gone.
        }
    }

    @Test func aConnectionLeavesHTTPAndEndsWithItsBody() async throws {
        try await withServer { _, _ in
            HTTPResponse(
                status: 101, headers: HTTPHeaders([("upgrade", "echo")]),
                body: .upgrade { await self.echo($0) })
        } _: { port, _ in
            // What comes behind the head belongs to the other protocol.
            let client = try Client(port: port)
            try client.send(UpgradeTests.handshake + "early")
            let answer = client.receive(until: "early")
            #expect(answer.hasPrefix("HTTP/1.1 101 ") && answer.hasSuffix("early"))
            #expect(answer.lowercased().contains("connection: upgrade"))
            for _ in 0..<3 {
                try client.send("more")
                #expect(client.receive(until: "more") == "more")
            }
            let piece = [UInt8](repeating: 7, count: 100_000)
            for _ in 0..<20 {
                try client.send(piece)
                var count = 0
                while count < piece.count {
                    let more = client.receive()
                    if more.isEmpty { break }
                    count += more.count
                }
                #expect(count == piece.count)
            }
            client.endSending()
            #expect(client.receiveAll().isEmpty)
        }
    }

    /// The harness stops the server with the connection open: it must end, and close it.
    @Test func aServerThatStopsEndsConnectionsThatLeftHTTP() async throws {
        nonisolated(unsafe) var kept: Client?
        try await withServer { _, _ in
            HTTPResponse(
                status: 101, headers: HTTPHeaders([("upgrade", "echo")]),
                body: .upgrade { await self.echo($0) })
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send(UpgradeTests.handshake)
            #expect(client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
            kept = client
        }
        #expect(kept?.receiveAll().isEmpty == true)
    }
}
