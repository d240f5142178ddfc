import CyxCore
import CyxHTTP
import TestSockets
import Testing

private let now = WallTime(milliseconds: 1_800_000_000_000)
private let validity = now...WallTime(milliseconds: now.milliseconds + 86_400_000)

func makeIdentity(for names: [String] = ["localhost", "127.0.0.1"]) throws -> TLSIdentity {
    let made = try TLSIdentity.selfSigned(for: names, during: validity)
    return try TLSIdentity(chain: Array(made.chain.utf8), key: Array(made.key.utf8))
}

@Suite struct TLSIdentityTests {
    @Test func aSelfSignedCertificateIsForItsNamesAndTimeAlone() throws {
        let identity = try makeIdentity(for: [
            "localhost", "::1", "s3.example.com", "*.s3.example.com",
        ])
        for name in [
            "localhost", "::1", "s3.example.com", "*.s3.example.com", "photos.s3.example.com",
        ] {
            #expect(identity.isFor(name), "\(name)")
        }
        for name in ["example.com", "127.0.0.1", "a.b.s3.example.com", "*.example.com"] {
            #expect(!identity.isFor(name), "\(name)")
        }
        #expect(identity.validity == validity)
        #expect(identity.fingerprint.count == 32)
        #expect(try makeIdentity().fingerprint != identity.fingerprint)
    }

    @Test func whatDoesNotBelongTogetherIsRefusedInWords() throws {
        let one = try TLSIdentity.selfSigned(for: ["a.test"], during: validity)
        let other = try TLSIdentity.selfSigned(for: ["a.test"], during: validity)
        func problem(_ chain: String, _ key: String) -> String? {
            do {
                _ = try TLSIdentity(chain: Array(chain.utf8), key: Array(key.utf8))
                return nil
            } catch {
                return error.description
            }
        }
        #expect(problem(one.chain, one.key) == nil)
        #expect(problem(one.chain, other.key) == "the key is not that of the certificate")
        #expect(problem("", one.key)?.hasPrefix("the certificate: ") == true)
        #expect(problem(one.chain, "")?.hasPrefix("the key: ") == true)
        let cut = String(one.chain.prefix(one.chain.count / 2))
        #expect(problem(cut, one.key)?.hasPrefix("the certificate: ") == true)
    }
}

@Suite struct OtherProtocolTests {
    /// The first bytes of a client hello (RFC 8446 §4.1.2).
    private static let hello: [UInt8] = [0x16, 0x03, 0x01, 0x00, 0xC8, 0x01, 0x00, 0x00, 0xC4]

    @Test func aClientThatSpeaksTLSToAPlainPortIsToldSo() async throws {
        try await withServer { _, _ in
            HTTPResponse(status: 200)
        } _: { port, _ in
            let client = try Client(port: port)
            try client.send(OtherProtocolTests.hello + [UInt8](repeating: 7, count: 200))
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(
                answer.hasSuffix(
                    "\r\n\r\nthis port speaks plain HTTP; use http:// or set a certificate\n"))
        }
    }

    @Test func aClientThatSpeaksPlainHTTPToATLSPortIsToldSo() async throws {
        try await withServer(identity: try makeIdentity()) { _, _ in
            HTTPResponse(status: 200)
        } _: { port, _ in
            let client = try Client(port: port)
            // The body is more than a socket holds: without reading it the answer would be lost.
            try client.send("PUT /a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n")
            try client.send([UInt8](repeating: 7, count: 200_000))
            let answer = String(decoding: client.receiveAll(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.hasSuffix("\r\n\r\nthis port speaks TLS; use https://\n"))
        }
    }

    /// Reading on is a courtesy, and has its bounds: in bytes here, in time below.
    @Test func whoIsToldOffIsNotListenedToForEver() async throws {
        try await withServer(identity: try makeIdentity()) { _, _ in
            HTTPResponse(status: 200)
        } _: { port, environment in
            let client = try Client(port: port)
            let piece = [UInt8](repeating: 7, count: 1 << 20)
            #expect(throws: ClientError.self) {
                for _ in 0..<64 { try client.send(piece) }
            }
            let slow = try Client(port: port)
            var isClosed = false
            for _ in 0..<150 where !isClosed {
                do { try slow.send("x") } catch { isClosed = true }
                try await environment.sleep(for: .milliseconds(50))
            }
            #expect(isClosed)
        }
    }

    @Test func connectionsThatSayNothingCountAsOthersDo() async throws {
        var limits = HTTPLimits()
        limits.connections = 2
        limits.headTime = .seconds(600)
        try await withServer(limits: limits) { _, _ in
            HTTPResponse(status: 204)
        } _: { port, _ in
            var silent = [try Client(port: port), try Client(port: port)]
            let late = try Client(port: port)
            try late.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(!late.hears(within: 500))
            silent.removeFirst()
            #expect(late.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
        }
    }

    @Test func connectionsThatSayNothingAreClosed() async throws {
        var limits = HTTPLimits()
        limits.headTime = .seconds(1)
        try await withServer(limits: limits) { _, _ in
            HTTPResponse(status: 200)
        } _: { port, _ in
            let client = try Client(port: port)
            #expect(client.receiveAll().isEmpty)
        }
    }

    @Test func connectionsAboveTheLimitWaitUntilOthersEnd() async throws {
        var limits = HTTPLimits()
        limits.connections = 2
        try await withServer(limits: limits) { _, _ in
            HTTPResponse(status: 204)
        } _: { port, _ in
            let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            var kept: [Client] = []
            for _ in 0..<2 {
                let client = try Client(port: port)
                try client.send(request)
                #expect(client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
                kept.append(client)
            }
            let late = try Client(port: port)
            try late.send(request)
            kept.removeFirst()
            #expect(late.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
        }
    }
}
