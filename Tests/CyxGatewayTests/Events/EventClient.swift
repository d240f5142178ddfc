import CyxCore
import TestSockets

/// A WebSocket client of the gateway's events, as far as the tests need one.
final class EventClient {
    enum Message: Equatable {
        case text(JSONValue)
        /// How the gateway closed; nil: without a word.
        case closed(UInt16?)
    }

    private let client: Client
    private var received: [UInt8] = []

    init(port: UInt16, token: String) throws {
        client = try Client(port: port)
        try client.send(
            "GET /api/v1/events HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                + "Authorization: Bearer \(token)\r\n\r\n")
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let index = received.indices.first(where: { received[$0...].starts(with: end) }) {
                let head = String(decoding: received[..<index], as: UTF8.self)
                received.removeFirst(index + end.count)
                guard head.hasPrefix("HTTP/1.1 101 ") else {
                    throw ClientError(call: head, code: 0)
                }
                return
            }
            guard try receive() else { throw ClientError(call: "recv", code: 0) }
        }
    }

    /// False at the end.
    private func receive() throws -> Bool {
        guard let more = try client.next() else { return false }
        received += more
        return true
    }

    /// Frames of at most 125 bytes, masked with zeros (RFC 6455 §5.2).
    func send(_ opcode: UInt8, _ payload: [UInt8] = [], times: Int = 1) {
        let frame = [0x80 | opcode, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload
        do {
            try client.send([[UInt8]](repeating: frame, count: times).flatMap(\.self))
        } catch {
            // What the gateway does not take shows in what does not come.
        }
    }

    func say(_ text: String) { send(1, Array(text.utf8)) }

    /// The next message; pings are passed over.
    func next() throws -> Message {
        while true {
            guard let (opcode, payload) = frame() else {
                guard try receive() else { return .closed(nil) }
                continue
            }
            switch opcode {
            case 1: return .text(try JSONValue(parsing: payload))
            case 8: return .closed(payload.prefix(2).reduce(0) { $0 << 8 | UInt16($1) })
            default: continue
            }
        }
    }

    private func frame() -> (opcode: UInt8, payload: [UInt8])? {
        guard received.count >= 2 else { return nil }
        let extra = received[1] == 126 ? 2 : received[1] == 127 ? 8 : 0
        guard received.count >= 2 + extra else { return nil }
        let count =
            extra == 0
            ? Int(received[1]) : received[2..<2 + extra].reduce(0) { $0 << 8 | Int($1) }
        guard received.count >= 2 + extra + count else { return nil }
        let frame = (received[0] & 15, Array(received[(2 + extra)..<(2 + extra + count)]))
        received.removeFirst(2 + extra + count)
        return frame
    }
}
