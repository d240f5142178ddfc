import CyxClient
import CyxCore
import Testing

/// What the admin API says of repair, audits and places.
@Suite struct UpkeepReportTests {
    /// Answers one request with `json`; returns what `body` makes of it, and the request's first line.
    private func ask<Value>(
        _ json: String, _ body: (AdminClient) throws -> Value
    ) throws -> (value: Value, request: String) {
        let pool = try ThreadPool(threadCount: 1)
        defer { pool.stop() }
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-length: \(json.utf8.count)\r\nconnection: close\r\n\r\n"
            + json
        let server = try ScriptedServer([answer], pool: pool)
        let admin = AdminClient(
            address: String(server.url.dropFirst("http://".count)), token: "t",
            http: HTTPClient())
        let value = try body(admin)
        let line = server.seenText.first?.split(separator: "\r\n").first ?? ""
        return (value, String(line))
    }

    private let repair = """
        {"segments":9,"full":5,"degraded":2,"at_risk":1,"lost":1,"queue":3,"bytes_repaired":77,
        "paused":true,"throttle":1048576,"storm_seconds":null,"scanning":false}
        """

    @Test func readsRepairAndSaysWhatToDo() throws {
        let (report, request) = try ask(repair) { try $0.throttleRepair(1 << 20) }
        #expect(request == "POST /api/v1/repair/throttle?rate=1048576 HTTP/1.1")
        #expect(report.segments == 9 && report.full == 5 && report.degraded == 2)
        #expect(report.atRisk == 1 && report.lost == 1 && report.queue == 3)
        #expect(report.isPaused && !report.isScanning)
        #expect(report.throttle == 1 << 20)
        #expect(report.stormSeconds == nil)
        #expect(
            try ask(repair) { try $0.pauseRepair(false) }.request
                == "POST /api/v1/repair/pause?paused=false HTTP/1.1")
    }

    @Test func readsAuditsAndScores() throws {
        let log =
            #"{"audits":[{"time":"2026-01-01T00:00:00Z","peer":"ab","segment":"cd","#
            + #""index":3,"result":"wrong"}]}"#
        let audits = try ask(log) { try $0.runAudits(5) }
        #expect(audits.request == "POST /api/v1/audit/run?sample=5 HTTP/1.1")
        #expect(audits.value.map(\.result) == ["wrong"])
        #expect(audits.value.map(\.index) == [3])
        let text =
            #"{"scores":[{"peer":"ab","standing":"warned","reason":"wrong answers","#
            + #""wrong":0.98,"unknown":1,"online":null}]}"#
        let scores = try ask(text) { try $0.auditScores("a b") }
        #expect(scores.request == "GET /api/v1/audit/score?peer=a%20b HTTP/1.1")
        let score = try #require(scores.value.first)
        #expect(score.wrong == 0.98 && score.unknown == 1 && score.online == nil)
    }

    @Test func countsWhatASegmentSurvivesByItsLivingIndices() throws {
        let text =
            #"{"segments":[{"id":"ab","k":2,"m":2,"holders":["#
            + #"{"index":0,"peer":"p0","zone":"a","alive":true,"standing":"good"},"#
            + #"{"index":0,"peer":"p1","zone":"a","alive":true,"standing":"good"},"#
            + #"{"index":1,"peer":"p2","zone":"b","alive":true,"standing":"good"},"#
            + #"{"index":2,"peer":"p3","zone":"b","alive":true,"standing":"warned"},"#
            + #"{"index":3,"peer":"p4","zone":"c","alive":false,"standing":"good"}]}]}"#
        let (segments, request) = try ask(text) { try $0.place(of: "a/ü", in: "b") }
        #expect(request == "GET /api/v1/where?bucket=b&key=a%2F%C3%BC HTTP/1.1")
        #expect(segments.map(\.survives) == [1])
        #expect(segments.first?.holders.count == 5)
    }

    @Test func aMissingFieldIsToldByName() throws {
        #expect {
            try ask(#"{"segments":1}"#) { try $0.repair() }
        } throws: { error in
            (error as? ClientError)?.text.contains("`full`") == true
        }
    }
}
