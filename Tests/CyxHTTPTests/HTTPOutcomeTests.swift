import CyxCore
import CyxHTTP
import Synchronization
import TestSockets
import Testing

/// Pieces of 64 KiB, until there are no more of them or it is to fail.
private struct Pieces: ByteSource {
    var left: Int
    var fails = false

    mutating func next() async throws -> [UInt8]? {
        guard left > 0 else {
            if fails { throw HTTPBodyError.connectionLost }
            return nil
        }
        left -= 1
        return [UInt8](repeating: 7, count: 64 << 10)
    }
}

private final class Outcomes: Sendable {
    private let all = Mutex<[HTTPResponse.Outcome]>([])

    func whole(_ response: HTTPResponse) -> HTTPResponse {
        var response = response
        response.whenOver = { outcome in self.all.withLock { $0.append(outcome) } }
        return response
    }

    /// The next one's; they are told once the client may have the answer already.
    func next(_ environment: Environment) async throws -> HTTPResponse.Outcome? {
        for _ in 0..<400 {
            if let first = all.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return first }
            try await environment.sleep(for: .milliseconds(25))
        }
        return nil
    }
}

@Suite struct HTTPOutcomeTests {
    private static let pieces = 400
    private static let length = UInt64(pieces) * (64 << 10)

    @Test func whatBecameOfEachResponseIsTold() async throws {
        let outcomes = Outcomes()
        try await withServer { request, body in
            var body = body
            while try await body.next() != nil {}
            let response: HTTPResponse.Body =
                switch request.target {
                case "/bytes": .bytes([1, 2, 3])
                case "/head": .head(length: 5)
                case "/none": .stream(length: 0, Pieces(left: 0))
                case "/short": .stream(length: Self.length, Pieces(left: 3))
                case "/large": .bytes([UInt8](repeating: 7, count: Int(Self.length)))
                case "/unknown": .stream(length: nil, Pieces(left: 3, fails: true))
                case "/failing": .stream(length: Self.length, Pieces(left: 3, fails: true))
                default: .stream(length: Self.length, Pieces(left: Self.pieces))
                }
            return outcomes.whole(HTTPResponse(status: 200, body: response))
        } _: { port, environment in
            func ask(_ target: String, method: String = "GET") throws -> Client {
                let client = try Client(port: port)
                try client.send(
                    "\(method) \(target) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                return client
            }
            for (target, method, streamed) in [
                ("/bytes", "GET", 0), ("/head", "HEAD", 0), ("/none", "GET", 0),
                ("/stream", "GET", Self.length),
            ] {
                _ = try ask(target, method: method).receiveAll()
                let outcome = try await outcomes.next(environment)
                #expect(
                    outcome == HTTPResponse.Outcome(isWhole: true, streamedBytes: streamed),
                    "\(target)")
            }
            for target in ["/short", "/failing", "/unknown"] {
                _ = try ask(target).receiveAll()
                let outcome = try await outcomes.next(environment)
                #expect(
                    outcome == HTTPResponse.Outcome(isWhole: false, streamedBytes: 3 * (64 << 10)),
                    "\(target)")
            }
            // A client that goes away in the middle.
            do {
                let client = try ask("/stream")
                #expect(!client.receive().isEmpty)
            }
            let outcome = try await outcomes.next(environment)
            #expect(outcome?.isWhole == false)
            #expect(outcome.map { $0.streamedBytes < Self.length } == true)
            // The same of bytes that are there at once, more than what waits on the way.
            do {
                let client = try ask("/large")
                #expect(!client.receive().isEmpty)
            }
            #expect(
                try await outcomes.next(environment)
                    == HTTPResponse.Outcome(isWhole: false, streamedBytes: 0))
        }
    }

    @Test func aResponseThatNobodyIsLeftToHearIsNotWhole() async throws {
        let outcomes = Outcomes()
        try await withServer { _, _ in
            // Until the client is gone, which cancels this.
            while !Task.isCancelled { await Task.yield() }
            return outcomes.whole(HTTPResponse(status: 200, body: .bytes([1])))
        } _: { port, environment in
            do {
                let client = try Client(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                try await environment.sleep(for: .milliseconds(100))
            }
            let outcome = try await outcomes.next(environment)
            #expect(outcome == HTTPResponse.Outcome(isWhole: false, streamedBytes: 0))
        }
    }
}
