import CyxClient
import CyxCore
import Foundation
import Testing

/// The client against answers that a server may give, right and wrong.
@Suite struct HTTPClientTests {
    private let pool: ThreadPool

    init() throws {
        pool = try ThreadPool(threadCount: 4)
    }

    private func withFile<Result>(
        _ bytes: [UInt8], _ body: (OpenFile) async throws -> Result
    ) async throws -> Result {
        let path = NSTemporaryDirectory() + "cyx-client-\(UUID().uuidString)"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        defer { unlink(path) }
        return try await body(OpenFile.writing(path))
    }

    @Test func sendsAFileSignedByItsHash() async throws {
        let server = try ScriptedServer(
            [ScriptedServer.answer("200 OK", headers: "ETag: \"e\"\r\n")], pool: pool)
        let meter = TransferMeter()
        let object = try await withFile(Array("Welcome to Amazon S3.".utf8)) { file in
            try await server.client().put(
                bucket: "b", key: "a b+ü", file: file, size: 21, meter: meter)
        }
        #expect(object.etag == "e")
        #expect(meter.movedBytes == 21)
        let request = try #require(server.seenText.first)
        #expect(request.hasPrefix("PUT /b/a%20b%2B%C3%BC HTTP/1.1\r\n"))
        #expect(request.hasSuffix("\r\n\r\nWelcome to Amazon S3."))
        #expect(
            request.contains(
                "x-amz-content-sha256: "
                    + "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"))
        #expect(
            request.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="))
    }

    @Test func triesAgainAfterABusyServer() async throws {
        let server = try ScriptedServer(
            [
                ScriptedServer.answer("503 Busy"),
                ScriptedServer.answer("200 OK", headers: "ETag: \"e\"\r\n"),
            ], pool: pool)
        let meter = TransferMeter()
        _ = try await withFile([1, 2, 3]) { file in
            try await server.client().put(bucket: "b", key: "k", file: file, size: 3, meter: meter)
        }
        #expect(server.seen.count == 2)
        #expect(meter.movedBytes == 3)
    }

    @Test func doesNotRepeatWhatWasRefused() async throws {
        let document = "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
        let server = try ScriptedServer(
            [ScriptedServer.answer("404 Not Found", document), ScriptedServer.answer("200 OK")],
            pool: pool)
        let error = await #expect(throws: ClientError.self) {
            try await server.client().delete(bucket: "b", key: "k")
        }
        #expect(error?.code == "NoSuchKey")
        #expect(error?.message == "gone")
        #expect(server.seen.count == 1)
    }

    @Test func writesARangeWhereItBelongs() async throws {
        let server = try ScriptedServer([ScriptedServer.answer("206 Partial", "cde")], pool: pool)
        let meter = TransferMeter()
        try await withFile(Array("xxxxxxx".utf8)) { file in
            try await server.client().get(
                .object(bucket: "b", key: "k"), range: 2..<5, etag: "e",
                sink: .file(file, offset: 2, count: 3), meter: meter)
            #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)) == Data("xxcdexx".utf8))
        }
        let request = try #require(server.seenText.first)
        #expect(request.contains("range: bytes=2-4\r\n"))
        #expect(request.contains("if-match: \"e\"\r\n"))
        #expect(meter.safeBytes == 3)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "NET-06"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nlonger", "NET-08"),
        ("garbage", "NET-09"),
        ("", "NET-06"),
    ])
    func brokenAnswersAreErrors(answer: String, code: String) async throws {
        let server = try ScriptedServer([answer], pool: pool)
        try await withFile([]) { file in
            var request = HTTPRequest(method: "GET", url: server.url + "/x")
            request.sink = .file(file, offset: 0, count: 5)
            request.meter = TransferMeter()
            let error = #expect(throws: ClientError.self) { try HTTPClient().perform(request) }
            #expect(error?.code == code)
            #expect(request.meter?.movedBytes == 0)
        }
    }

    @Test func anAnswerToMemoryIsBounded() throws {
        let body = String(repeating: "x", count: HTTPClient.memoryLimit + 1)
        let server = try ScriptedServer([ScriptedServer.answer("200 OK", body)], pool: pool)
        let error = #expect(throws: ClientError.self) {
            try HTTPClient().perform(HTTPRequest(method: "GET", url: server.url + "/x"))
        }
        #expect(error?.code == "NET-07")
    }
}
