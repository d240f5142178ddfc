import CyxCore
import CyxCrypto
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct LinkTests {
    @Test func tokensHaveOneSpelling() throws {
        let token = [UInt8](repeating: 0xFF, count: 32)
        let path = LinkToken.path(token)
        #expect(path.hasPrefix("/s/") && path.count == 46)
        let parsed = try #require(LinkToken.parse(path[...]))
        #expect(parsed.token == token && parsed.rest.isEmpty)
        #expect(LinkToken.parse((path + "/a%2Fb//c/")[...])?.rest == "a%2Fb//c/")
        for other in [
            "/s/", "/s", path + "A", String(path.dropLast()), path.dropLast() + "9", path + "=",
            "/S/" + path.dropFirst(3),
        ] {
            #expect(LinkToken.parse(Substring(other)) == nil)
        }
    }

    @Test(arguments: [
        (#"{"bucket":"b","key":"k"}"#, RESTGateway.Place(bucket: "b", path: "k", isFolder: false)),
        (#"{"bucket":"b","prefix":""}"#, RESTGateway.Place(bucket: "b", path: "", isFolder: true)),
        (
            #"{"bucket":"b","prefix":"a/"}"#,
            RESTGateway.Place(bucket: "b", path: "a/", isFolder: true)
        ),
        (#"{"key":"k"}"#, nil), (#"{"bucket":"b"}"#, nil), (#"{"bucket":"b","key":""}"#, nil),
        (#"{"bucket":"b","key":"k","prefix":"a/"}"#, nil), (#"{"bucket":"b","prefix":"a"}"#, nil),
    ])
    func eitherAnObjectOrAFolderIsShared(json: String, place: RESTGateway.Place?) throws {
        let body = try JSONBody(Array(json.utf8), allowing: ["bucket", "key", "prefix"])
        if let place {
            #expect(try RESTGateway.place(body) == place)
        } else {
            #expect(throws: RESTError.self) { try RESTGateway.place(body) }
        }
    }

    @Test(arguments: [
        ("60", 60), (#""24h""#, 86_400), (#""1.5m""#, 90), ("null", nil), ("0", -1), ("-5", -1),
        (#""0s""#, -1), (#""soon""#, -1), ("3153600001", -1), (#""40000d""#, -1), ("true", -1),
    ])
    func linksEndAfterSecondsOrTimes(json: String, seconds: Int64?) throws {
        let body = try JSONBody(Array("{\"expires\":\(json)}".utf8), allowing: ["expires"])
        let now = WallTime(milliseconds: 1000)
        if seconds == -1 {
            #expect(throws: RESTError.self) { try RESTGateway.expiry(body, now) }
        } else {
            let end = seconds.map { WallTime(milliseconds: 1000 + $0 * 1000) }
            #expect(try RESTGateway.expiry(body, now) == end)
        }
    }

    @Test func namesCannotLeaveTheirHeaderOrPage() {
        #expect(FileName.last(of: "a/b/c.txt") == "c.txt")
        #expect(FileName.last(of: "a/") == "a/")
        #expect(FileName.last(of: "a") == "a")
        #expect(
            FileName.disposition("ä\"\\\r\n;.txt")
                == "attachment; filename=\"_____;.txt\"; "
                + "filename*=UTF-8''%C3%A4%22%5C%0D%0A%3B.txt")
        #expect(
            LinkPage.escaped("<a href=\"x\">&'\0")
                == "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{FFFD}")
        // Where the prefix ends and a mark begins that combines with its last letter.
        #expect("a/\u{301}x".droppingPrefix("a/").utf8.elementsEqual("\u{301}x".utf8))
    }

    @Test func onlyKindsThatRunNothingAreShown() {
        for (type, preview) in [
            ("image/png", Preview.image), ("IMAGE/JPEG; q=1", .image), ("image/svg+xml", .none),
            ("application/pdf", .none), ("text/html", .text), ("application/json", .text),
            ("audio/ogg", .audio), ("video/mp4", .video), ("", .none), ("textual/x", .none),
        ] {
            #expect(Preview(type) == preview, "\(type)")
        }
        #expect(!Preview.text.isEmbedded && !Preview.none.isEmbedded)
    }

    @Test func passwordsOfBasicAuthenticationMayHaveColons() {
        func password(_ value: String) -> String? {
            LinkGateway.basicPassword(
                HTTPRequest(
                    method: "GET", target: "/", headers: HTTPHeaders([("authorization", value)]),
                    received: Instant(nanoseconds: 0)))
        }
        #expect(password("Basic " + Base64.encode(Array("u:a:ü".utf8))) == "a:ü")
        #expect(password("basic " + Base64.encode(Array(":x".utf8))) == "x")
        for bad in ["Basic", "Basic x", "Bearer a:b", "Basic " + Base64.encode(Array("ab".utf8))] {
            #expect(password(bad) == nil)
        }
    }

    // MARK: Passwords

    @Test func aFloodOfPasswordsIsRefusedBeforeItTakesMemory() async throws {
        try await GatewayHarness.run { harness in
            let (gate, environment) = (PasswordGate(), harness.environment)
            let kept = try await gate.make("right", environment)
            #expect(kept.hash.count == 32 && kept.salt.count == 16)
            let outcomes = await withTaskGroup(of: String.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        do {
                            let isRight = try await gate.isRight(
                                "wrong", for: kept, of: "flood", environment)
                            return isRight ? "right" : "wrong"
                        } catch {
                            return (error as? RESTError)?.code ?? "\(error)"
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.contains("SlowDown") && !outcomes.contains("right"))
            #expect(outcomes.count { $0 == "wrong" } >= 1)
            // Those that nobody looked at were no guesses.
            let looked = outcomes.count { $0 == "wrong" }
            for _ in 0..<(10 - looked) {
                #expect(try await !gate.isRight("wrong", for: kept, of: "flood", environment))
            }
        }
    }

    @Test func guessesAtOneLinkAreCounted() async throws {
        try await GatewayHarness.run { harness in
            let (gate, environment) = (PasswordGate(), harness.environment)
            let kept = try await gate.make("right", environment)
            for _ in 0..<12 {
                #expect(try await gate.isRight("right", for: kept, of: "a", environment))
            }
            var guesses = 0
            do {
                for _ in 0..<20 {
                    _ = try await gate.isRight("wrong", for: kept, of: "a", environment)
                    guesses += 1
                }
            } catch {
                #expect((error as? RESTError)?.code == "SlowDown")
            }
            #expect((10...12).contains(guesses))
            #expect(try await gate.isRight("right", for: kept, of: "b", environment))
        }
    }
}
