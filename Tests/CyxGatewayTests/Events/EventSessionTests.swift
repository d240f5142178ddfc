import CyxCore
import CyxObjects
import Glibc
import Testing

@testable import CyxGateway

@Suite struct EventSessionTests {
    private func withBucket(
        _ body: @Sendable (GatewayHarness) async throws -> Void
    ) async throws {
        try await GatewayHarness.run { harness in
            _ = try await harness.objects.createBucket("photos", settings: BucketSettings())
            try await body(harness)
        }
    }

    private func client(
        _ harness: GatewayHarness, limits: AccessKeyLimits? = nil, seconds: Int64 = 3600
    ) throws -> EventClient {
        let token = try harness.token(of: harness.objects, limits: limits, seconds: seconds)
        return try EventClient(port: harness.port, token: token)
    }

    /// The type of the next message, with the code of an error.
    private func next(_ client: EventClient) throws -> String {
        switch try client.next() {
        case .text(let value):
            (value["code"] ?? value["type"])?.text ?? "\(value)"
        case .closed(let code): "closed \(code.map(String.init) ?? "")"
        }
    }

    private func answer(_ client: EventClient, _ command: String) throws -> String {
        client.say(command)
        return try next(client)
    }

    private func objects(_ prefix: String) -> String {
        #"{"subscribe":"objects","bucket":"photos","prefix":"\#(prefix)"}"#
    }

    @Test func aConnectionListensToSoMuchAtATime() async throws {
        try await withBucket { harness in
            let client = try client(harness)
            for index in 0..<EventSession.subscriptionsMax {
                #expect(try answer(client, objects("\(index)/")) == "subscribed")
            }
            #expect(try answer(client, objects("more")) == "TooManySubscriptions")
            #expect(try answer(client, objects("0/")) == "subscribed")
        }
    }

    @Test func whoSubscribesTwiceHearsOnce() async throws {
        try await withBucket { harness in
            let client = try client(harness)
            for _ in 0..<2 { #expect(try answer(client, objects("")) == "subscribed") }
            let now = harness.environment.wallTime()
            harness.objects.told.tell(
                ["1", "2"].map { ScriptedChanges.write($0, modified: now) })
            for key in ["1", "2"] {
                guard case .text(let value) = try client.next() else { return }
                #expect(value["key"]?.text == key)
            }
        }
    }

    @Test func whoIsCutOffBeforeWhatWasMissedAsksForItAgain() async throws {
        try await withBucket { harness in
            let first = try client(harness)
            first.say(objects(""))
            guard case .text(let begun) = try first.next() else { return }
            let position = try #require(begun["position"]?.text)
            let now = harness.environment.wallTime()
            harness.objects.told.tell([ScriptedChanges.write("k", modified: now)])
            #expect(try next(first) == "created")
            let second = try client(harness)
            second.say(
                #"{"subscribe":"objects","bucket":"photos","after":"\#(position)"}"#)
            guard case .text(let again) = try second.next() else { return }
            #expect(again["type"]?.text == "subscribed")
            #expect(again["position"]?.text == position)
            #expect(try next(second) == "created")
        }
    }

    @Test func onlyTheOperatorsWholeAccountSeesThePeer() async throws {
        try await withBucket { harness in
            let all = try client(harness)
            #expect(try answer(all, #"{"subscribe":"metrics","seconds":3600}"#) == "subscribed")
            #expect(try next(all) == "metrics")
            let other = try EventClient(
                port: harness.port, token: try harness.token(of: harness.others))
            var limits = AccessKeyLimits()
            limits.rights = .read
            for client in [other, try client(harness, limits: limits)] {
                for stream in ["metrics", "notifications"] {
                    #expect(try answer(client, #"{"subscribe":"\#(stream)"}"#) == "AccessDenied")
                }
            }
            // No second one before its time, however often the clock is looked at. This thread is
            // kept: when many tests run it may be minutes before there is another, and the gateway
            // closes connections that answer no pings.
            usleep(2_000_000)
            #expect(try answer(all, #"{"unsubscribe":"metrics"}"#) == "unsubscribed")
        }
    }

    @Test func nobodyListensToMoreThanHeMayList() async throws {
        try await withBucket { harness in
            var limits = AccessKeyLimits()
            (limits.bucket, limits.prefix) = ("photos", "a&b/")
            let client = try client(harness, limits: limits)
            #expect(try answer(client, objects("a&b/c")) == "subscribed")
            #expect(try answer(client, objects("")) == "AccessDenied")
            #expect(try answer(client, objects("a")) == "AccessDenied")
            let other = try EventClient(
                port: harness.port, token: try harness.token(of: harness.others))
            #expect(try answer(other, objects("")) == "AccessDenied")
            #expect(
                try answer(other, #"{"subscribe":"objects","bucket":"a/b"}"#)
                    == "InvalidBucketName")
        }
    }

    @Test func aConnectionEndsWithTheTokenThatOpenedIt() async throws {
        try await withBucket { harness in
            let brief = try client(harness, seconds: 2)
            #expect(try answer(brief, objects("")) == "subscribed")
            #expect(try next(brief) == "closed 1001")
        }
    }

    @Test func messagesThatAreNoTextAreRefused() async throws {
        try await withBucket { harness in
            let client = try client(harness)
            client.send(2, [1])
            #expect(try next(client) == "InvalidMessage")
        }
    }

    /// Each has to be answered, and nobody may be reading.
    @Test func floodsOfPingsEndTheConnection() async throws {
        try await withBucket { harness in
            let client = try client(harness)
            // However they are cut into reads, one of these has more than may wait.
            client.send(9, times: 20 * EventQueue.messagesMax)
            // What would be answered if the gateway still listened.
            client.say("x")
            #expect(try next(client) == "closed ")
        }
    }

    @Test func anAccountHasSoManyConnections() async throws {
        try await withBucket { harness in
            var clients: [EventClient] = []
            for _ in 0..<EventHub.connectionsOfAccountMax {
                clients.append(try client(harness))
                #expect(try answer(clients[clients.count - 1], "x") == "InvalidMessage")
            }
            #expect(try next(try client(harness)) == "closed 1013")
            clients.removeLast()
            var isIn = false
            for _ in 0..<100 where !isIn {
                try await harness.environment.sleep(for: .milliseconds(50))
                isIn = try answer(try client(harness), "x") == "InvalidMessage"
            }
            #expect(isIn)
        }
    }
}
