import CyxCore
import CyxHTTP
import Testing

private func echo(_ request: HTTPRequest, _ body: HTTPRequestBody) async throws -> HTTPResponse {
    var body = body
    var count = 0
    while let bytes = try await body.next() { count += bytes.count }
    return HTTPResponse(status: 200, body: .bytes(Array("[\(request.target) \(count)]".utf8)))
}

@Suite struct HTTPHostileInputTests {
    /// What two servers might read differently must not be read at all.
    @Test func ambiguousLengthsAreRefused() async throws {
        try await withServer(handler: echo) { port, _ in
            let lengths = [
                "Content-Length: 3\r\nContent-Length: 4", "Content-Length: 3\r\nContent-Length: 3",
                "Content-Length: 3\r\nTransfer-Encoding: chunked", "Content-Length: -3",
                "Content-Length: 3x", "Content-Length: 99999999999999999999",
            ]
            for length in lengths {
                let client = try Client(port: port)
                try client.send("PUT /first HTTP/1.1\r\nHost: h\r\n\(length)\r\n\r\nabc")
                try client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
                client.endSending()
                let answer = String(decoding: client.receiveAll(), as: UTF8.self)
                #expect(!answer.contains("HTTP/1.1 200"), "\(length)")
                #expect(!answer.contains("smuggled"), "\(length)")
            }
        }
    }

    @Test func headsAreBounded() async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            let value = String(repeating: "x", count: 17_000)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\nX: \(value)\r\n\r\n")
            #expect(client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 431 "))
        }
    }

    @Test func slowHeadsAndBodiesAreCutOff() async throws {
        var limits = HTTPLimits()
        limits.headTime = .milliseconds(500)
        limits.bodyWindow = .milliseconds(500)
        try await withServer(limits: limits, handler: echo) { port, environment in
            let starts = [
                "", "GET / HT", "GET / HTTP/1.1\r\nHost: h\r\n",
                "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
            ]
            for start in starts {
                let client = try Client(port: port)
                try client.send(start)
                let begin = environment.now()
                let answer = String(decoding: client.receiveAll(), as: UTF8.self)
                #expect(!answer.contains("200"))
                #expect(environment.now() - begin < .seconds(10))
            }
        }
    }

    @Test func randomBytesNeverStopTheServer() async throws {
        var limits = HTTPLimits()
        limits.headTime = .milliseconds(200)
        limits.bodyWindow = .milliseconds(200)
        try await withServer(limits: limits, handler: echo) { port, _ in
            var random = SeededGenerator(seed: 21)
            let valid = Array(
                ("PUT /a%20b?c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    + "Expect: 100-continue\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n").utf8)
            for round in 0..<60 {
                var bytes = valid + valid
                if round.isMultiple(of: 3) {
                    bytes = (0..<Int.random(in: 1..<2000, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                } else {
                    for _ in 0..<Int.random(in: 1...6, using: &random) {
                        let index = Int.random(in: 0..<bytes.count, using: &random)
                        bytes[index] = UInt8.random(in: 0...255, using: &random)
                    }
                }
                let client = try Client(port: port)
                try client.send(bytes)
                client.endSending()
                _ = client.receive()
            }
            let client = try Client(port: port)
            try client.send("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(client.receive(until: "]").hasSuffix("[/alive 0]"))
        }
    }
}
