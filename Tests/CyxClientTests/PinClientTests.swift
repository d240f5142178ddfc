import CyxClient
import CyxCore
import Testing

/// Pins as the client asks for them and reads the answers.
@Suite struct PinClientTests {
    private let pool: ThreadPool

    init() throws {
        pool = try ThreadPool(threadCount: 2)
    }

    private static let fields =
        "<Bucket>b</Bucket><Key>a%20%C3%BC</Key><Size>7</Size><ETag>&quot;e&quot;</ETag>"
        + "<Created>2026-01-02T03:04:05Z</Created>"

    @Test func asksForAPinOfSoManySeconds() async throws {
        let body = "<CreatePinResult><Id>1f</Id>\(Self.fields)<Until>then</Until></CreatePinResult>"
        let server = try ScriptedServer([ScriptedServer.answer("200 OK", body)], pool: pool)
        let pin = try await server.client().pin(bucket: "b", key: "a ü", seconds: 90)
        #expect(pin.id == "1f" && pin.key == "a ü" && pin.size == 7 && pin.etag == "e")
        #expect(pin.until == "then")
        let request = try #require(server.seenText.first)
        #expect(request.hasPrefix("POST /b/a%20%C3%BC?cyx-pin=&seconds=90 HTTP/1.1\r\n"))
    }

    @Test func listsPinsPageByPage() async throws {
        let pages = [
            "<ListPinsResult><Pin><Id>1</Id>\(Self.fields)</Pin><NextMarker>1</NextMarker>"
                + "</ListPinsResult>",
            "<ListPinsResult><Pin><Id>2</Id>\(Self.fields)</Pin></ListPinsResult>",
        ]
        let server = try ScriptedServer(
            pages.map { ScriptedServer.answer("200 OK", $0) }, pool: pool)
        let pins = try await server.client().pins()
        #expect(pins.map(\.id) == ["1", "2"])
        #expect(pins.allSatisfy { $0.until == nil })
        #expect(server.seenText.last?.hasPrefix("GET /?cyx-pins=&marker=1 HTTP/1.1\r\n") == true)
    }

    @Test func aPinIsCalledAsItsKeyWas() async throws {
        let headers = "x-cyx-key: a/%C3%BC\r\nETag: \"e\"\r\n"
        let server = try ScriptedServer(
            [
                "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\(headers)Connection: close\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ], pool: pool)
        let object = try await server.client().head(pin: "1f")
        #expect(object.key == "a/ü" && object.size == 7 && object.etag == "e")
        #expect(server.seenText.first?.hasPrefix("HEAD /?cyx-pin=1f HTTP/1.1\r\n") == true)
        let error = await #expect(throws: ClientError.self) {
            try await server.client().head(pin: "2f")
        }
        #expect(error?.code == "NoSuchPin" && error?.remedy == "cyxcloud pin list")
    }
}
