import CyxCore
import CyxHTTP
import Synchronization
import TestSockets
import Testing

/// `length` bytes, each its offset modulo 251.
private struct Pattern: ByteSource {
    var offset = 0
    var length: Int
    var failsAt: Int?

    struct Broken: Error {}

    mutating func next() async throws -> [UInt8]? {
        if let failsAt, offset >= failsAt { throw Broken() }
        guard offset < length else { return nil }
        let count = min(100_000, length - offset)
        defer { offset += count }
        return Pattern.bytes(offset..<offset + count)
    }

    static func bytes(_ range: Range<Int>) -> [UInt8] { range.map { UInt8($0 % 251) } }
}

private func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, body: .bytes(Array(text.utf8)))
}

@Suite struct HTTPServerTests {
    @Test func targetsArriveUndecodedAndConnectionsAreKept() async throws {
        try await withServer { request, _ in
            text(200, "[\(request.method) \(request.target) \(request.headers["x-a"] ?? "")]")
        } _: { port, _ in
            let client = try Client(port: port)
            for target in ["/a%2Fb//../c?x=%41+b&y", "/second"] {
                try client.send("GET \(target) HTTP/1.1\r\nHost: h\r\nX-A: v w\r\n\r\n")
                let answer = client.receive(until: "]")
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
                #expect(answer.hasSuffix("[GET \(target) v w]"))
            }
        }
    }

    @Test func requestsTellTheAddressOfTheOtherEnd() async throws {
        try await withServer { request, _ in
            text(200, request.remote?.hostDescription ?? "none")
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.hasSuffix("\r\n\r\n127.0.0.1"))
        }
    }

    @Test func largeBodiesPassBothWays() async throws {
        let length = 3_000_000
        let pattern = Pattern.bytes(0..<length)
        try await withServer { request, body in
            var body = body
            var count = 0
            var isSame = true
            while let bytes = try await body.next() {
                isSame = isSame && Array(pattern[count..<count + bytes.count]) == bytes
                count += bytes.count
            }
            guard isSame, count == length else { return text(400, "\(count)") }
            return HTTPResponse(
                status: 200, body: .stream(length: UInt64(length), Pattern(length: length)))
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send(
                "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(length)\r\nConnection: close\r\n\r\n"
            )
            try client.send(pattern)
            let answer = client.receiveAll()
            #expect(Array(answer.suffix(length)) == pattern)
            #expect(answer.count > length && answer.count < length + 1000)
        }
    }

    @Test func chunkedBodiesAreJoined() async throws {
        try await withServer { _, body in
            var body = body
            var bytes: [UInt8] = []
            while let more = try await body.next() { bytes += more }
            return text(200, "[\(String(decoding: bytes, as: UTF8.self))]")
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
            #expect(client.receive(until: "]").hasSuffix("[hello world]"))
        }
    }

    @Test func bodiesAreRefusedBeforeTheyAreSent() async throws {
        try await withServer { request, body in
            guard request.target == "/yes" else { return text(403, "[no]") }
            var body = body
            var count = 0
            while let bytes = try await body.next() { count += bytes.count }
            return text(200, "[\(count)]")
        } _: { port, _ in
            let head = " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            let refused = try Client(port: port)
            try refused.send("PUT /no" + head)
            #expect(refused.receive(until: "[no]").hasPrefix("HTTP/1.1 403 "))
            let taken = try Client(port: port)
            try taken.send("PUT /yes" + head)
            #expect(taken.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 "))
            try taken.send("abc")
            #expect(taken.receive(until: "[3]").hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func unreadBodiesAreDrainedSoThatTheAnswerArrives() async throws {
        try await withServer { _, _ in
            text(404, "[gone]")
        } _: { port, _ in
            let client = try Client(port: port)
            let length = 4_000_000
            for _ in 0..<2 {
                try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(length)\r\n\r\n")
                try client.send([UInt8](repeating: 7, count: length))
                #expect(client.receive(until: "[gone]").hasPrefix("HTTP/1.1 404 "))
            }
        }
    }

    @Test func aSourceThatFailsBreaksTheConnectionOff() async throws {
        try await withServer { _, _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: 1_000_000, Pattern(length: 1_000_000, failsAt: 300_000)))
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            let answer = client.receiveAll()
            #expect(answer.count >= 300_000 && answer.count < 400_000)
        }
    }

    @Test func headRequestsGetTheLengthWithoutTheBody() async throws {
        try await withServer { _, _ in
            HTTPResponse(status: 200, body: .head(length: 12345))
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.contains("Content-Length: 12345\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n"))
        }
    }

    @Test func aClientThatLeavesCancelsItsRequest() async throws {
        let wasCancelled = Atomic<Bool>(false)
        try await withServer { _, _ in
            do {
                while true {
                    try Task.checkCancellation()
                    await Task.yield()
                }
            } catch {
                wasCancelled.store(true, ordering: .relaxed)
                throw error
            }
        } _: { port, environment in
            do {
                let client = try Client(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                try await environment.sleep(for: .milliseconds(100))
            }
            for _ in 0..<100 where !wasCancelled.load(ordering: .relaxed) {
                try await environment.sleep(for: .milliseconds(100))
            }
            let isCancelled = wasCancelled.load(ordering: .relaxed)
            #expect(isCancelled)
        }
    }

    @Test func bodiesThatEndEarlyThrow() async throws {
        let failure = Mutex<(any Error)?>(nil)
        try await withServer { _, body in
            var body = body
            do {
                while try await body.next() != nil {}
            } catch {
                failure.withLock { $0 = error }
                throw error
            }
            return text(200, "whole")
        } _: { port, environment in
            let client = try Client(port: port)
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
            client.endSending()
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(!answer.contains("whole"))
            for _ in 0..<100 where failure.withLock({ $0 == nil }) {
                try await environment.sleep(for: .milliseconds(50))
            }
            let found = failure.withLock { $0 as? HTTPBodyError }
            #expect(found == .connectionLost)
        }
    }

    @Test func aPortInUseIsNamed() async throws {
        try await withServer { _, _ in
            text(200, "")
        } _: { port, environment in
            let reactor = try Reactor()
            #expect(throws: HTTPServerError.addressInUse(port: port)) {
                _ = try HTTPServer(
                    environment: environment, reactor: reactor,
                    listen: SocketAddress(ipv4: (127, 0, 0, 1), port: port)
                ) { _, _ in text(200, "") }
            }
        }
    }
}
