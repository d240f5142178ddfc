import CyxCore
import CyxHTTP
import TestSockets
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

    /// The library takes all of these, and reads some of them otherwise than a proxy would.
    @Test(arguments: [
        "Content-Length : 3\r\n", "Content-Length\t: 3\r\n", "Transfer-Encoding : chunked\r\n",
        "X: y\nContent-Length: 3\r\n", "X: y\n", "X: y\rContent-Length: 3\r\n",
        "X: a\r\n b\r\n", "X: a\r\n\tContent-Length: 3\r\n", " X: y\r\n",
        "X: y\u{0}\r\n", "X: y\u{0}\u{0}Content-Length: 3\r\n", "X: y\u{0}\u{0}\r\n",
        "X: \u{1}\r\n", "X: \u{7F}\r\n", ": y\r\n", "X Y: z\r\n", "X(: z\r\n", "Ü: z\r\n",
        "X\r\n", "Host: other\r\n", "Host: h\r\n", "X: y\r\r\n",
    ])
    func headsThatAnotherServerReadsOtherwiseAreRefused(_ field: String) async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            try client.send("PUT /first HTTP/1.1\r\nHost: h\r\n\(field)\r\n")
            try client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(!answer.contains("["))
        }
    }

    @Test(arguments: [
        "GET /a\u{0}b HTTP/1.1", "GET /a\u{1} HTTP/1.1", "GET /a\u{7F} HTTP/1.1",
        "GET\t/a HTTP/1.1", "GET  /a HTTP/1.1", "GET /a  HTTP/1.1", "GET /a b HTTP/1.1",
        "G@T /a HTTP/1.1", "GET /a HTTP/1.1 ", "GET /a HTTP/1.1\n", "GET /a HTTP/2.0", "GET /a",
        "GET /a HTTP/1.1\u{0}",
    ])
    func requestLinesThatAreNoneAreNotServed(_ line: String) async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            try client.send("\(line)\r\nHost: h\r\n\r\n")
            client.endSending()
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(!answer.contains("HTTP/1.1 200"), "\(answer)")
        }
    }

    /// What the library cannot read it would answer in its own words, which are no S3 client's.
    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
            400
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "y", count: 512 << 10))\r\n\r\n",
            431
        ),
    ])
    func whatTheLibraryCannotReadIsAnsweredAsTheServerDoes(
        _ request: String, _ status: Int
    ) async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            // Of the long one the end may meet a closed connection.
            do { try client.send(request) } catch {}
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            let isLost = answer.isEmpty && request.utf8.count > 1000
            #expect(answer.hasPrefix("HTTP/1.1 \(status) ") || isLost, "\(answer)")
            #expect(!answer.contains("<html>"))
            #expect(answer.split(separator: "HTTP/1.1 ").count <= 1, "\(answer)")
        }
    }

    @Test func targetsThatAreNotUTF8AreRefused() async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            try client.send(
                Array("GET /a".utf8) + [0xFF] + Array(" HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
            #expect(String(decoding: client.receiveAll(), as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test(arguments: ["a b", "a/b", "a@b", "a\\b", "\"a\"", "ü"])
    func hostsThatNameNoHostAreRefused(_ host: String) async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
            #expect(String(decoding: client.receiveAll(), as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func plainHeadsOfEveryFormAreTaken() async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            let fields = [
                "", "X:\r\n", "X:y\r\n", "X: \t y z \t\r\nA-b_c!#$%&'*+.^`|~9: \u{FC}:\"(\r\n",
                "Cookie: a=b; c=\"d\"\r\n", "X: y\r\nX: z\r\n",
            ]
            for target in ["/", "/?", "/a?b&c=%20d+&=&&e=f=g", "/%00\u{FC}", "*"] {
                for host in ["h", "[::1]:9000", "a.b-c_d:80", "127.0.0.1"] {
                    for field in fields {
                        try client.send(
                            "\r\nGET \(target) HTTP/1.1\r\nHost: \(host)\r\n\(field)\r\n")
                        let answer = client.receive(until: "]")
                        #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(field)")
                        #expect(answer.hasSuffix("[\(target) 0]"), "\(field)")
                    }
                }
            }
        }
    }

    /// Heads that come in pieces, and long ones, for which the library moves what it has read.
    @Test func headsInPiecesAreTaken() async throws {
        // All tests at once may keep this one from its next piece for long.
        var limits = HTTPLimits()
        limits.headTime = .seconds(600)
        limits.idleTime = .seconds(600)
        try await withServer(limits: limits, handler: echo) { port, environment in
            let client = try Client(port: port)
            for count in [1, 40, 1000, 3000, 15_000] {
                let head =
                    "GET /\(count) HTTP/1.1\r\nHost: h\r\n"
                    + (0..<count / 40).map { "X-\($0): \(String(repeating: "y", count: 30))\r\n" }
                    .joined() + "Last: z\r\n\r\n"
                let bytes = Array(head.utf8)
                for start in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 20)) {
                    let end = min(bytes.count, start + max(1, bytes.count / 20))
                    try client.send(Array(bytes[start..<end]))
                    try await environment.sleep(for: .milliseconds(1))
                }
                #expect(client.receive(until: "]").hasSuffix("[/\(count) 0]"))
            }
        }
    }

    @Test func spaceBehindAValueIsNoPartOfIt() async throws {
        try await withServer { request, _ in
            HTTPResponse(
                status: 200, body: .bytes(Array("[\(request.headers["x"] ?? "none")]".utf8)))
        } _: { port, _ in
            let client = try Client(port: port)
            for (value, seen) in [(" a b \t ", "a b"), ("", ""), (" \t", "")] {
                try client.send("GET / HTTP/1.1\r\nHost: h\r\nX:\(value)\r\n\r\n")
                #expect(client.receive(until: "]").hasSuffix("[\(seen)]"))
            }
        }
    }

    @Test func onlyChunkedAloneIsATransferCoding() async throws {
        try await withServer(handler: echo) { port, _ in
            for coding in ["gzip", "gzip, chunked", "xchunked", "chunked, chunked", "identity", ""]
            {
                let client = try Client(port: port)
                try client.send(
                    "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \(coding)\r\n\r\n"
                        + "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
                let answer = String(decoding: client.receiveAll(), as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 501 "), "\(coding)")
                #expect(!answer.contains("["), "\(coding)")
            }
        }
    }

    /// The library reads some of these bodies otherwise than a proxy would; what it then holds for
    /// another request is not served.
    @Test(arguments: [
        "5\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n",
        "5\r\nhelloXX\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "zz\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    ])
    func nothingIsServedBehindAChunkedBody(_ body: String) async throws {
        try await withServer(handler: echo) { port, _ in
            let client = try Client(port: port)
            try client.send("PUT /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send(body + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
            client.endSending()
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(!answer.contains("smuggled"))
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

    /// The library reads no more of a line that fills its buffer, and does not see the end either.
    @Test func linesWithoutAnEndInBodiesAreClosed() async throws {
        var limits = HTTPLimits()
        limits.bodyWindow = .milliseconds(500)
        try await withServer(limits: limits, handler: echo) { port, environment in
            for start in ["3;", "0\r\nX: "] {
                let client = try Client(port: port)
                try client.send(
                    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\(start)")
                let begin = environment.now()
                // More than the buffers on the way hold: it ends when the server closes.
                let piece = [UInt8](repeating: UInt8(ascii: "y"), count: 1 << 20)
                #expect(throws: ClientError.self) {
                    for _ in 0..<64 { try client.send(piece) }
                }
                #expect(environment.now() - begin < .seconds(60))
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
