import CyxCore
import CyxCrypto
import CyxObjects
import Synchronization
import TestSockets
import Testing

@testable import CyxGateway

private final class RecordedLog: LogSink {
    private let requests = Mutex<[String]>([])
    let times = Mutex<[(first: Int, whole: Int)]>([])

    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {
        guard message == "request" else { return }
        func milliseconds(_ name: String) -> Int? {
            fields.first { $0.key == name }.flatMap { Int($0.value) }
        }
        if let first = milliseconds("first_ms"), let whole = milliseconds("ms") {
            times.withLock { $0.append((first, whole)) }
        }
        let named = ["operation", "status", "code", "sent"]
        let words = fields.filter { named.contains($0.key) }.map { "\($0.key)=\($0.value)" }
        requests.withLock { $0.append(words.joined(separator: " ")) }
    }

    /// The next one's; a request is over when its client has the answer already.
    func next(_ environment: Environment) async throws -> String {
        for _ in 0..<400 {
            if let first = requests.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                return first
            }
            try await environment.sleep(for: .milliseconds(25))
        }
        return "nothing"
    }
}

@Suite struct RequestLogTests {
    private func open(_ target: String, _ port: UInt16) throws -> Client {
        let client = try Client(port: port)
        try client.send("GET \(target) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return client
    }

    @Test func answersThatWereCutOffAreLoggedAsThat() async throws {
        let log = RecordedLog()
        try await GatewayHarness.run(sink: log) { harness in
            let (objects, size) = (harness.objects, 32 << 20)
            var settings = BucketSettings()
            settings.documents[DocumentName.policy] = Array(
                (#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","#
                    + #""Action":"s3:GetObject","Resource":"arn:aws:s3:::public/*"}]}"#).utf8)
            _ = try await objects.createBucket("public", settings: settings)
            _ = try await objects.put(
                "k", in: "public", options: PutOptions(),
                body: PiecewiseBytes([UInt8](repeating: 7, count: size), pieceBytes: 1 << 20))
            let token = [UInt8](repeating: 5, count: LinkToken.byteCount)
            let share = Share(
                id: "s", token: LinkToken.hash(token), bucket: "public", path: "k",
                created: harness.environment.wallTime())
            let account = try #require(
                harness.gateway.accounts.account(id: objects.account.hex))
            try await account.shares?.createShare(share)

            for (target, operation, sent) in [
                ("/public/k", "GetObject", " sent=\(size)"),
                (LinkToken.path(token), "OpenLink", ""),
            ] {
                let whole = try open(target, harness.port)
                while try whole.next() != nil {}
                #expect(
                    try await log.next(harness.environment)
                        == "operation=\(operation) status=200 code=OK\(sent)")
                do {
                    let client = try open(target, harness.port)
                    #expect(try client.next() != nil)
                    try await harness.environment.sleep(for: .milliseconds(200))
                }
                let entry = try await log.next(harness.environment)
                let cutOff = "operation=\(operation) status=200 code=ResponseCutOff"
                #expect(entry.hasPrefix(cutOff))
                #expect(!entry.hasSuffix(" sent=\(size)"))
            }
            // The one that was cut off began before the client waited and ended after that.
            let times = log.times.withLock { $0 }
            #expect(times.count == 4)
            #expect(times.allSatisfy { 0 <= $0.first && $0.first <= $0.whole })
            for index in [1, 3] where index < times.count {
                #expect(times[index].whole - times[index].first >= 150)
            }
        }
    }
}
