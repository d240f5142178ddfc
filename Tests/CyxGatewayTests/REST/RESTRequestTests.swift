import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct RESTRequestTests {
    // MARK: Routes

    @Test func everyRouteIsFoundByItsPatterns() throws {
        for route in RESTRoute.allCases {
            for pattern in route.patterns {
                let path = pattern.path.map { $0 == "*" ? "some id" : $0 }
                #expect(try RESTRoute(method: pattern.method, path: path) == route)
            }
        }
    }

    @Test func otherPathsAndMethodsAreToldApart() {
        let absent = #expect(throws: RESTError.self) {
            try RESTRoute(method: "GET", path: ["token"])
        }
        #expect(absent?.status == 404)
        let long = #expect(throws: RESTError.self) {
            try RESTRoute(method: "DELETE", path: ["tokens", "a", "b"])
        }
        #expect(long?.status == 404)
        let wrong = #expect(throws: RESTError.self) {
            try RESTRoute(method: "PATCH", path: ["tokens"])
        }
        #expect(wrong?.status == 405)
        #expect(wrong?.headers["allow"] == "DELETE, POST")
    }

    private static func request(
        _ target: String, host: String = "127.0.0.1:9000"
    ) -> HTTPRequest {
        HTTPRequest(
            method: "GET", target: target, headers: HTTPHeaders([("host", host)]),
            received: Instant(nanoseconds: 0))
    }

    @Test func addressesOfOneNetworkAreLimitedTogether() throws {
        let counted = try [
            "192.0.2.1:1", "192.0.2.2:1", "[2001:db8:1:2:3::4]:5", "[2001:db8:1:2::9]:6",
        ]
        .map { text in
            var request = Self.request("/")
            request.remote = try SocketAddress(parsing: text)
            return RESTGateway.limitedAddress(of: request)
        }
        #expect(counted == ["192.0.2.1", "192.0.2.2", "2001:db8:1:2::", "2001:db8:1:2::"])
        #expect(RESTGateway.limitedAddress(of: Self.request("/")) == "")
    }

    @Test func pathsAreDecodedOncePartByPart() throws {
        let parts = try RESTGateway.path(of: Self.request("/api/v1/a%2Fb/%2525?x=/y"))
        #expect(parts == ["a/b", "%25"])
        for target in ["/api", "/api/", "/api/v2/x", "/api/v1", "/api/v1/", "/api/v1/a//b"] {
            let error = #expect(throws: RESTError.self) {
                try RESTGateway.path(of: Self.request(target))
            }
            #expect(error?.status == 404)
        }
        #expect(throws: S3Error.self) { try RESTGateway.path(of: Self.request("/api/v1/%zz")) }
    }

    @Test func onlyPathsOfReservedNamesAreNotForS3() async throws {
        try await GatewayHarness.run { harness in
            var settings = S3Gateway.Settings()
            settings.hostSuffix = "s3.example.com"
            let router = GatewayRouter(
                environment: harness.environment, accounts: S3Accounts(), settings: settings)
            for target in ["/api/v1/", "/api/v1/tokens", "/api/v1/x?y"] {
                #expect(router.route(Self.request(target)) == .rest)
                // The host names a bucket, so that the path is a key in it.
                let hosted = Self.request(target, host: "photos.s3.example.com")
                #expect(router.route(hosted) == .s3)
            }
            for target in ["/s/", "/s/x", "/s/x/y?z"] {
                #expect(router.route(Self.request(target)) == .link)
                let hosted = Self.request(target, host: "photos.s3.example.com")
                #expect(router.route(hosted) == .s3)
            }
            for target in [
                "/", "/s", "/sx/y", "/apis/x", "/ap", "/photos/api/v1/tokens", "/?api", "/%61pi/v1",
            ] {
                #expect(router.route(Self.request(target)) == .s3)
            }
        }
        for name in ["api", "health", "metrics", "console", "s"] {
            #expect(S3Request.objection(to: name) != nil)
        }
    }

    // MARK: Bodies

    private static func body(_ text: String) throws(RESTError) -> JSONBody {
        try JSONBody(Array(text.utf8), allowing: ["a", "b"])
    }

    @Test func membersHaveTheirKinds() throws {
        let body = try Self.body(#"{"a":"x","b":7}"#)
        #expect(try body.text("a") == "x")
        #expect(try body.integer("b", in: 1...7) == 7)
        #expect(throws: RESTError.self) { try body.integer("b", in: 1...6) }
        #expect(throws: RESTError.self) { try body.integer("a", in: 1...6) }
        #expect(throws: RESTError.self) { try body.text("b") }
        #expect(throws: RESTError.self) { try body.flag("b") }
        #expect(try Self.body(#"{"a":true}"#).flag("a") == true)
        #expect(try Self.body(#"{"a":null}"#) == Self.body(""))
    }

    @Test func whatIsNoObjectOrHasForeignMembersIsRefused() {
        for text in ["[]", "1", "{", "{\"a\":1,\"a\":1}", "{}x", "{\"c\":1}", " "] {
            #expect(throws: RESTError.self) { try Self.body(text) }
        }
    }

    // MARK: Rates

    @Test func allowancesAreTakenAndFillUpAgain() {
        var limiter = RateLimiter<String>(.init(burst: 3, perSecond: 2), capacity: 10)
        let start = Instant(nanoseconds: 0)
        for _ in 0..<3 { #expect(limiter.take("a", start) == nil) }
        #expect(limiter.take("a", start) == .milliseconds(500))
        #expect(limiter.take("b", start) == nil)
        #expect(limiter.take("a", start + .milliseconds(499)) != nil)
        #expect(limiter.take("a", start + .milliseconds(500)) == nil)
        #expect(limiter.take("a", start + .milliseconds(500)) != nil)
        // However long nobody came, no more than a burst is there.
        for _ in 0..<3 { #expect(limiter.take("a", start + .seconds(900)) == nil) }
        #expect(limiter.take("a", start + .seconds(900)) != nil)
        limiter.giveBack("a", start + .seconds(900))
        #expect(limiter.take("a", start + .seconds(900)) == nil)
        // Nor by what is given back, and a clock that goes back takes nothing.
        for _ in 0..<5 { limiter.giveBack("b", start + .seconds(900)) }
        for _ in 0..<2 { #expect(limiter.take("b", start + .seconds(900)) == nil) }
        #expect(limiter.take("b", start) == nil)
        #expect(limiter.take("b", start) != nil)
    }

    @Test func noMoreKeysAreRememberedThanThereIsRoomFor() {
        var limiter = RateLimiter<Int>(.init(burst: 1, perSecond: 1), capacity: 8)
        for key in 0..<100 {
            _ = limiter.take(key, Instant(nanoseconds: Int64(key)))
            #expect(limiter.count <= 8)
        }
        #expect(limiter.take(99, Instant(nanoseconds: 100)) != nil)
        // Those are forgotten that were not seen for longest.
        var other = RateLimiter<Int>(.init(burst: 1, perSecond: 1), capacity: 8)
        for key in 0...8 { _ = other.take(key, Instant(nanoseconds: Int64(key))) }
        #expect(other.take(7, Instant(nanoseconds: 9)) != nil)
        #expect(other.take(0, Instant(nanoseconds: 9)) == nil)
    }
}
