internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import Synchronization

/// The REST interface `/api/v1`: JSON over the same accounts, buckets and rights as S3.
///
/// Requests are signed as S3's are, or carry a bearer token that a signed request has asked for. Who
/// may do what with a bucket is decided where S3's requests have it decided.
struct RESTGateway: Sendable {
    /// How fast requests may come, from one address and for one account. A proxy counts as one
    /// address, so that this is more than one user's programs need.
    static let addressRate = RateLimiter<String>.Rate(burst: 1000, perSecond: 200)
    static let accountRate = RateLimiter<String>.Rate(burst: 500, perSecond: 100)
    static let limitedKeys = 4096

    /// A request of somebody who has shown who he is.
    struct Call: Sendable {
        /// As S3's operations take it; it names no bucket yet.
        var s3: S3Gateway.Call
        var account: S3Accounts.Account
        /// What it was authenticated by; nil: an access key.
        var token: SessionToken?
        /// The parts of the path after `/api/v1/`, decoded.
        var path: [String]
        var method: String

        var headers: HTTPHeaders { s3.headers }

        /// Throws unless the request may do whatever its account may.
        func requireWholeAccount(_ action: String) throws(RESTError) {
            guard account.reach == nil else {
                throw .denied("A limited key, or a token of one, may not \(action)")
            }
        }
    }

    final class Limiters: Sendable {
        let addresses = Mutex(
            RateLimiter<String>(RESTGateway.addressRate, capacity: RESTGateway.limitedKeys))
        let accounts = Mutex(
            RateLimiter<String>(RESTGateway.accountRate, capacity: RESTGateway.limitedKeys))
    }

    /// Whom the rate of addresses counts a request to: an IPv4 address, or the /64 of an IPv6 one.
    /// Whoever has one address of such a network has all 2^64 of them (RFC 4291 §2.5.1).
    static func limitedAddress(of request: HTTPRequest) -> String {
        guard var remote = request.remote else { return "" }
        if !remote.isIPv4 { remote.ip &= ~UInt128(UInt64.max) }
        return remote.hostDescription
    }

    static let root = "/api/v1/"

    let s3: S3Gateway
    /// Nil: it tells none.
    var events: EventSettings?
    let limiters = Limiters()
    let passwords = PasswordGate()
    let samples = SampleSlots()

    var environment: Environment { s3.environment }

    func handle(_ request: HTTPRequest, _ body: HTTPRequestBody) async throws -> HTTPResponse {
        var trace = Trace()
        var response: HTTPResponse
        do {
            response = try await answer(request, body, &trace)
        } catch {
            let refusal = try describe(error)
            trace.code = refusal.code
            response = RESTGateway.refused(request, refusal)
        }
        return finish(response, request, trace)
    }

    func incompleteBody(_ request: HTTPRequest) -> HTTPResponse {
        let refusal = RESTError(
            "IncompleteBody", 400, "The body ended before its length; nothing was stored")
        var trace = Trace()
        trace.code = refusal.code
        return finish(RESTGateway.refused(request, refusal), request, trace)
    }

    /// What is known of a request whatever becomes of it.
    struct Trace: Sendable {
        var operation = "Unknown"
        var code = "OK"
        var account = "-"
        /// The access key, or who asked for the token.
        var subject = "-"
    }

    private static func refused(_ request: HTTPRequest, _ refusal: RESTError) -> HTTPResponse {
        let path = String(request.target.prefix { $0 != "?" })
        return refusal.response(path: path, isHead: request.method == "HEAD")
    }

    /// Completes the answer, and has the log told in the end who did what: names of objects and tokens
    /// stay out.
    func finish(
        _ response: HTTPResponse, _ request: HTTPRequest, _ trace: Trace
    ) -> HTTPResponse {
        var response = response
        let id = Hex.encode(environment.random.bytes(8)).uppercased()
        response.headers.set("x-amz-request-id", id)
        response.headers.set("server", "cyxcloud")
        // Answers may hold tokens, and are nobody else's.
        if !response.headers.contains("cache-control") {
            response.headers.set("cache-control", "no-store")
        }
        let first = environment.now() - request.received
        if case .upgrade = response.body {
            record(request, response.status, trace, trace.code, id, first)
            return response
        }
        response.whenOver = { [self, status = response.status] outcome in
            let code = outcome.isWhole ? trace.code : S3Gateway.cutOff
            record(request, status, trace, code, id, first)
        }
        return response
    }

    private func record(
        _ request: HTTPRequest, _ status: Int, _ trace: Trace, _ code: String, _ id: String,
        _ first: Duration
    ) {
        environment.metrics.counter(
            "cyxcloud_rest_requests_total", [("operation", trace.operation), ("code", code)]
        ).add()
        environment.logger.labelled("rest").info(
            "request",
            [
                ("operation", trace.operation), ("status", String(status)), ("code", code),
                ("account", trace.account), ("by", trace.subject),
                ("from", request.remote?.hostDescription ?? "-"), ("id", id),
            ] + S3Gateway.times(first, environment.now() - request.received))
    }

    /// What to answer for an error; rethrows what nobody is left to hear.
    func describe(_ error: any Error) throws -> RESTError {
        switch error {
        case let error as RESTError: error
        case let fault as TokenFault: RESTError(fault)
        default: RESTError(try s3.describe(error))
        }
    }

    private func answer(
        _ request: HTTPRequest, _ body: HTTPRequestBody, _ trace: inout Trace
    ) async throws -> HTTPResponse {
        let now = environment.now()
        let address = RESTGateway.limitedAddress(of: request)
        if let wait = limiters.addresses.withLock({ $0.take(address, now) }) {
            throw RESTError.slowDown(wait)
        }
        let path = try RESTGateway.path(of: request)
        let route = try RESTRoute(method: request.method, path: path)
        trace.operation = route.name
        if route.isOpen, !S3Gateway.isSigned(request, try S3Query(target: request.target)) {
            trace.account = "anonymous"
            let s3 = try await s3.authenticate(request, body)
            return try await perform(
                route, DatasetCall(s3: s3, account: nil, path: path, method: request.method))
        }
        let call = try await authenticate(request, body, path)
        trace.account = call.account.name
        trace.subject =
            call.token?.subject ?? call.account.limitedKey ?? RESTGateway.nameOfAccountKey
        if let wait = limiters.accounts.withLock({ $0.take(call.account.id, now) }) {
            throw RESTError.slowDown(wait)
        }
        return try await perform(route, call)
    }

    /// The parts of the path after `/api/v1/`, decoded once; none is empty.
    static func path(of request: HTTPRequest) throws -> [String] {
        let path = request.target.prefix { $0 != "?" }
        guard path.hasPrefix(root) else { throw RESTError.notFound(String(path)) }
        var parts: [String] = []
        let rest = path.dropFirst(root.count).split(
            separator: "/", omittingEmptySubsequences: false)
        for part in rest {
            guard !part.isEmpty else { throw RESTError.notFound(String(path)) }
            parts.append(try S3Request.decode(part))
        }
        return parts
    }

    // Not inlined, for the same reason as S3's: see `S3Gateway.perform`.
    @inline(never)
    private func perform(_ route: RESTRoute, _ call: Call) async throws -> HTTPResponse {
        switch route {
        case .createToken: try await createToken(call)
        case .revokeToken: try await revokeToken(call)
        case .describeUser: describeUser(call)
        case .createShare: try await createShare(call)
        case .listShares: try await listShares(call)
        case .revokeShare: try await revokeShare(call)
        case .openEvents: try await openEvents(call)
        default: try await perform(route, DatasetCall(call))
        }
    }

    @inline(never)
    private func perform(_ route: RESTRoute, _ call: DatasetCall) async throws -> HTTPResponse {
        switch route {
        case .createDataset: try await createDataset(call)
        case .getDataset: try await getDataset(call)
        case .streamDataset: try await streamDataset(call)
        case .describeDataset: try await describeDataset(call)
        case .updateDataset: try await updateDataset(call)
        case .deleteDataset: try await deleteDataset(call)
        case .listDatasets: try await listDatasets(call)
        case .searchDatasets: try await searchDatasets(call)
        default: throw RESTError.notFound("/api/v1/" + call.path.joined(separator: "/"))
        }
    }

    // MARK: Common answers

    static func json(
        _ value: JSONValue, status: Int = 200, headers: HTTPHeaders = HTTPHeaders()
    ) -> HTTPResponse {
        var headers = headers
        headers.set("content-type", "application/json")
        return HTTPResponse(
            status: status, headers: headers, body: .bytes(Array(value.encoded.utf8)))
    }

    /// The request's JSON object.
    @inline(never)
    func body(of call: Call, allowing names: Set<String>) async throws -> JSONBody {
        let bytes = try await RESTGateway.bytes(of: call)
        return try JSONBody(bytes, allowing: names)
    }

    @inline(never)
    private static func bytes(of call: Call) async throws -> [UInt8] {
        var body = call.s3.body
        return try await body.collect(limit: JSONBody.maximumBytes)
    }
}
