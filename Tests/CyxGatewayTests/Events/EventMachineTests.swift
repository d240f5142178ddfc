import CyxCore
import CyxHTTP
import Testing

@testable import CyxGateway

@Suite struct EventRingTests {
    @Test func whoComesBackGetsWhatCameMeanwhile() {
        var ring = EventRing<Int>(run: 7)
        let start = ring.position
        #expect(ring.since(start)?.isEmpty == true)
        for number in 1...5 { _ = ring.append(number) }
        #expect(ring.since(start)?.map(\.event) == [1, 2, 3, 4, 5])
        let middle = EventPosition(run: 7, number: 3)
        #expect(ring.since(middle)?.map(\.event) == [4, 5])
        #expect(ring.since(middle)?.last?.position == ring.position)
        #expect(ring.since(EventPosition(run: 8, number: 3)) == nil)
        #expect(ring.since(EventPosition(run: 7, number: 6)) == nil)
    }

    @Test func whatIsTooOldOrForgottenIsNotHalfTold() {
        var ring = EventRing<Int>(run: 1)
        let start = ring.position
        for number in 1...5000 { _ = ring.append(number) }
        #expect(ring.since(start) == nil)
        let recent = EventPosition(run: 1, number: 5000 - 1000)
        #expect(ring.since(recent)?.map(\.event) == Array(4001...5000))
        let end = ring.position
        ring.forget()
        #expect(ring.since(end) == nil)
        let after = ring.position
        _ = ring.append(1)
        #expect(ring.since(after)?.map(\.event) == [1])
    }

    @Test func positionsAreReadStrictly() {
        let position = EventPosition(run: 0xABC, number: 12)
        #expect(position.text == "abc-12")
        #expect(EventPosition("abc-12") == position)
        for text in ["", "-", "abc", "abc-", "-1", "abc-x", "abc-1-2", "xyz-1"] {
            #expect(EventPosition(text) == nil, "\(text)")
        }
    }
}

@Suite struct EventCommandTests {
    @Test func subscriptionsAreRead() throws {
        #expect(
            try EventCommand(#"{"subscribe":"objects","bucket":"b","prefix":"p/","after":"1-2"}"#)
                == .subscribe(.objects(bucket: "b", prefix: "p/"), after: "1-2", seconds: 5))
        #expect(
            try EventCommand(#"{"subscribe":"metrics","seconds":1}"#)
                == .subscribe(.metrics, after: nil, seconds: 1))
        #expect(
            try EventCommand(#"{"unsubscribe":"notifications"}"#) == .unsubscribe(.notifications))
    }

    @Test func whatIsNoneIsRefused() {
        for text in [
            "", "[]", "{}", "subscribe", #"{"subscribe":"objects"}"#, #"{"subscribe":"jobs"}"#,
            #"{"subscribe":"objects","bucket":""}"#, #"{"subscribe":"objects","bucket":1}"#,
            #"{"subscribe":"metrics","unsubscribe":"metrics"}"#, #"{"subscribe":7}"#,
            #"{"subscribe":"metrics","seconds":0}"#, #"{"subscribe":"metrics","seconds":"5"}"#,
            #"{"subscribe":"metrics","second":5}"#,
            #"{"subscribe":"objects","bucket":"b","prefix":1}"#,
            #"{"subscribe":"notifications","after":5}"#,
        ] {
            #expect(throws: EventCommand.Fault.self, "\(text)") { try EventCommand(text) }
        }
    }
}

@Suite struct NotificationTrackerTests {
    private func status(
        lost: Int64 = 0, atRisk: Int64 = 0, degraded: Int64 = 0, used: Int64 = 0
    ) -> JSONValue {
        .object([
            ("serving", .bool(true)),
            (
                "segments",
                .object([
                    ("lost", .integer(lost)), ("at_risk", .integer(atRisk)),
                    ("degraded", .integer(degraded)),
                ])
            ),
            (
                "store",
                .object([
                    ("allocated", .integer(1000)), ("used", .integer(used)),
                    ("free", .integer(5000)),
                ])
            ),
        ])
    }

    private func kinds(_ found: [JSONValue]) -> [String] { found.compactMap { $0["kind"]?.text } }

    @Test func changesOfWhatEndangersDataAreToldOnce() {
        var tracker = NotificationTracker()
        #expect(tracker.update(status()).isEmpty)
        #expect(kinds(tracker.update(status(degraded: 3))) == ["repair_begun"])
        #expect(tracker.update(status(degraded: 3)).isEmpty)
        let risk = tracker.update(status(atRisk: 2, degraded: 1))
        #expect(kinds(risk) == ["objects_at_risk"])
        #expect(risk.first?["segments"]?.integer == 2)
        #expect(kinds(tracker.update(status(lost: 1, atRisk: 1))) == ["objects_lost"])
        #expect(kinds(tracker.update(status())) == ["repaired"])
        #expect(kinds(tracker.update(status(used: 995))) == ["disk_full"])
        #expect(kinds(tracker.update(status(used: 10))) == ["disk_has_room"])
    }

    @Test func whatIsLostIsNotWhole() {
        var tracker = NotificationTracker()
        _ = tracker.update(status(lost: 1, degraded: 1))
        #expect(tracker.update(status(lost: 1)).isEmpty)
        #expect(kinds(tracker.update(status())) == ["repaired"])
    }

    @Test func theDisksSpaceAndWhetherThePeerServesAreToldToo() {
        func status(_ serving: Bool, free: Int64, allocated: Int64 = 1000) -> JSONValue {
            .object([
                ("serving", .bool(serving)),
                (
                    "store",
                    .object([
                        ("allocated", .integer(allocated)), ("used", .integer(0)),
                        ("free", .integer(free)),
                    ])
                ),
            ])
        }
        var tracker = NotificationTracker()
        #expect(kinds(tracker.update(status(true, free: 9))) == ["disk_full"])
        #expect(kinds(tracker.update(status(true, free: 10))) == ["disk_has_room"])
        #expect(kinds(tracker.update(status(false, free: 10))) == ["not_serving"])
        #expect(kinds(tracker.update(status(true, free: 10))) == ["serving"])
        // One that stores nothing for others has no space that could be used up.
        #expect(tracker.update(status(true, free: 0, allocated: 0)).isEmpty)
        #expect(tracker.update(status(true, free: -5, allocated: 0)).isEmpty)
    }

    /// Who begins to listen while data is in danger hears of it.
    @Test func theFirstLookTellsHowThingsAre() {
        var tracker = NotificationTracker()
        #expect(kinds(tracker.update(status(atRisk: 1))) == ["objects_at_risk"])
    }
}

@Suite struct WebSocketHandshakeTests {
    private func request(_ changes: [String: String?] = [:]) -> HTTPRequest {
        var fields: [String: String?] = [
            "host": "h:9000", "upgrade": "websocket", "connection": "keep-alive, Upgrade",
            "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ]
        fields.merge(changes) { $1 }
        return HTTPRequest(
            method: "GET", target: "/api/v1/events",
            headers: HTTPHeaders(fields.compactMap { name, value in value.map { (name, $0) } }),
            received: Instant(nanoseconds: 0))
    }

    private func status(_ request: HTTPRequest, origins: Set<String> = []) -> Int {
        do {
            _ = try WebSocketHandshake.answer(request, origins: origins)
            return 101
        } catch {
            return error.status
        }
    }

    /// RFC 6455 §1.3.
    @Test func theExampleOfTheRFCIsAnswered() throws {
        let headers = try WebSocketHandshake.answer(request(), origins: [])
        #expect(headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(headers["upgrade"] == "websocket")
    }

    @Test func whatIsNoHandshakeIsRefused() {
        #expect(status(request(["upgrade": nil])) == 426)
        #expect(status(request(["connection": "close"])) == 426)
        #expect(status(request(["sec-websocket-version": "8"])) == 426)
        #expect(status(request(["sec-websocket-key": "c2hvcnQ="])) == 400)
        #expect(status(request(["sec-websocket-key": nil])) == 400)
    }

    @Test func pagesOfOtherSitesNeedToBeAllowed() {
        #expect(status(request(["origin": "http://h:9000"])) == 101)
        #expect(status(request(["origin": "https://evil.example"])) == 403)
        #expect(status(request(["origin": "null"])) == 403)
        #expect(status(request(["origin": "http://evil-h:9000"])) == 403)
        let allowed: Set = ["https://console.example.com"]
        #expect(status(request(["origin": "https://console.example.com"]), origins: allowed) == 101)
        #expect(status(request(["origin": "http://console.example.com"]), origins: allowed) == 403)
    }
}
