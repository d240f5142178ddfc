package import CyxCore
internal import CyxCrypto
package import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// S3's REST interface over the object services of a few accounts.
///
/// `handle` is an `HTTPServer` handler. Every request is authenticated in one place, before anything
/// else of it is looked at (decisions §G).
package struct S3Gateway: Sendable {
    package struct Settings: Sendable {
        /// `s3.example.com`, where buckets may be named in the host; nil: in the path only.
        package var hostSuffix: String?
        /// What GetBucketLocation tells.
        package var region = "auto"
        /// Whose the objects are that others write into a bucket which is created without a word on
        /// it: the bucket owner's, as in S3 since 2023, or the writer's, as before. The latter is
        /// usual, since every older tool sets ACLs: nobody else may do anything until one is set.
        package var objectsBelongToBucketOwner = false
        package init() {}
    }

    /// An authenticated request on its way to its operation.
    struct Call: Sendable {
        var request: S3Request
        /// Whose objects the operation works with: the bucket owner's, once `authorize` has let it.
        var service: any ObjectService
        /// Who asks; nil: nobody in particular.
        var account: S3Accounts.Account?
        var body: CheckedBody

        // What `authorize` adds.
        var bucketInfo: BucketInfo?
        var rules: BucketRules?
        /// Where the source of a copy is, if elsewhere than the bucket.
        var source: (any ObjectService)?
        /// What is to be kept with the object that the operation writes.
        var attributes: [String: [UInt8]] = [:]
        /// The body, if the decision needed it.
        var document: [UInt8]?

        var access: BucketAccess? { rules?.access }

        var requester: PolicyRequester {
            account.map { .account(id: $0.id, name: $0.name) } ?? .anonymous
        }

        var headers: HTTPHeaders { request.http.headers }
        var query: S3Query { request.query }

        /// The bucket that the operation is about; its routing made sure of it.
        var bucket: String { request.bucket ?? "" }
        var key: String { request.key ?? "" }
    }

    let environment: Environment
    let accounts: S3Accounts
    let settings: Settings
    let rules = BucketRulesCache()
    let owners = BucketOwners()
    /// Tells this gateway's answers from those of others; new each time it starts.
    let hostID: String

    package init(
        environment: Environment, accounts: S3Accounts, settings: Settings = Settings()
    ) {
        self.environment = environment
        self.accounts = accounts
        self.settings = settings
        hostID = Base64.encode(environment.random.bytes(S3Gateway.hostIDBytes))
    }

    private static let hostIDBytes = 24

    /// Answers one request; errors become S3's XML. Throws only when the client is gone.
    package func handle(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> HTTPResponse {
        let requestID = Hex.encode(environment.random.bytes(8)).uppercased()
        var trace = Trace()
        var response: HTTPResponse
        var code = "OK"
        do {
            response = try await answer(request, body, &trace)
        } catch {
            let refusal = try describe(error)
            code = refusal.code
            response = refused(request, refusal, requestID)
        }
        name(&response, requestID)
        for field in trace.headers.fields { response.headers.set(field.name, field.value) }
        return recorded(request, response, trace.operation, code)
    }

    /// What is known of a request whatever becomes of it.
    struct Trace {
        var operation = "Unknown"
        /// What every answer must say, a refusal too.
        var headers = HTTPHeaders()
    }

    /// Answers a client that ended its half of the connection before its body.
    package func incompleteBody(_ request: HTTPRequest) -> HTTPResponse {
        let requestID = Hex.encode(environment.random.bytes(8)).uppercased()
        let refusal = S3Error(
            "IncompleteBody", 400, "The body ended before its length; nothing was stored")
        var response = refused(request, refusal, requestID)
        name(&response, requestID)
        response.headers.set("date", CivilDate(environment.wallTime()).http)
        return recorded(request, response, "Unknown", refusal.code)
    }

    /// Answers what was no HTTP request.
    func refused(_ refusal: HTTPRefusal) -> HTTPResponse {
        let requestID = Hex.encode(environment.random.bytes(8)).uppercased()
        let error = S3Error(refusal)
        var response = error.response(
            resource: "", requestID: requestID, hostID: hostID, isHead: false)
        name(&response, requestID)
        environment.metrics.counter(
            "cyxcloud_s3_requests_total", [("operation", "Unknown"), ("code", error.code)]
        ).add()
        return response
    }

    private func refused(
        _ request: HTTPRequest, _ refusal: S3Error, _ requestID: String
    ) -> HTTPResponse {
        refusal.about(request, hostSuffix: settings.hostSuffix).response(
            resource: String(request.target.prefix { $0 != "?" }), requestID: requestID,
            hostID: hostID, isHead: request.method == "HEAD")
    }

    /// Says which answer it is, and whose.
    private func name(_ response: inout HTTPResponse, _ requestID: String) {
        response.headers.set("x-amz-request-id", requestID)
        response.headers.set("x-amz-id-2", hostID)
        response.headers.set("server", "cyxcloud")
    }

    private func answer(
        _ request: HTTPRequest, _ body: HTTPRequestBody, _ trace: inout Trace
    ) async throws -> HTTPResponse {
        if request.method == "OPTIONS" {
            trace.operation = "OptionsObject"
            return try await preflight(request)
        }
        if let boundary = S3Gateway.formBoundary(request) {
            trace.operation = "PostObject"
            return try await postObject(request, body, boundary: boundary, &trace)
        }
        var call = try await authenticate(request, body)
        let operation = try S3Operation(call.request)
        trace.operation = operation.name
        try S3Headers.refuseUnknown(call.headers)
        if let bucket = call.request.bucket, operation == .createBucket,
            let objection = S3Request.objection(to: bucket)
        {
            throw S3Error("InvalidBucketName", 400, "The bucket name is not valid: \(objection)")
        }
        defer { trace.headers = corsHeaders(call) }
        try await authorize(operation, &call)
        do {
            return try await perform(operation, call)
        } catch ObjectError.noSuchKey where !isCopy(operation) && !mayKnowOfAbsence(call) {
            throw S3Error.denied
        }
    }

    private func isCopy(_ operation: S3Operation) -> Bool {
        operation == .copyObject || operation == .uploadPartCopy
    }

    func authenticate(
        _ http: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> Call {
        do {
            let query = try S3Query(target: http.target)
            guard S3Gateway.isSigned(http, query) else { return try anonymous(http, body) }
            let claim = try RequestClaim(http, query)
            guard let account = try await account(accessKey: claim.accessKey) else {
                throw S3Error.unknown(accessKey: claim.accessKey)
            }
            let check = try claim.check(
                http, query, hostSuffix: settings.hostSuffix, secret: account.secret,
                environment.wallTime())
            let request = try S3Request(
                claim.completed(http, query), hostSuffix: settings.hostSuffix)
            return Call(
                request: request, service: account.service, account: account,
                body: CheckedBody(body, check, blocking: environment.blocking))
        } catch let error as S3Error {
            if error.status == 403 {
                environment.metrics.counter(
                    "cyxcloud_auth_failures_total", [("reason", error.code)]
                ).add()
            }
            throw error
        }
    }

    /// Whether a request says in any of S3's ways who it is from.
    static func isSigned(_ http: HTTPRequest, _ query: S3Query) -> Bool {
        http.headers.contains("authorization")
            || ["X-Amz-Algorithm", "X-Amz-Signature", "AWSAccessKeyId", "Signature"]
                .contains { query.has($0) }
    }

    /// A request from anybody, who may do what a bucket's owner lets everybody do.
    private func anonymous(_ http: HTTPRequest, _ body: HTTPRequestBody) throws(S3Error) -> Call {
        guard let service = accounts.anyService else { throw .denied }
        let request = try S3Request(http, hostSuffix: settings.hostSuffix)
        let check = try PayloadCheck(unsigned: http)
        return Call(
            request: request, service: service, account: nil,
            body: CheckedBody(body, check, blocking: environment.blocking))
    }

    /// What to answer for an error; rethrows what nobody is left to hear. What is no fault of the
    /// client's is for the operator to know too.
    func describe(_ error: any Error) throws -> S3Error {
        switch error {
        case let error as S3Error: return error
        case let error as ObjectError:
            let answer = S3Error(error)
            if answer.status >= 500 {
                environment.logger.labelled("s3").warning(
                    "cannot answer", [("code", answer.code), ("reason", answer.message)])
            }
            return answer
        case is CancellationError, is HTTPBodyError: throw error
        default:
            environment.logger.error("request failed", [("error", "\(error)")])
            return S3Error(
                "InternalError", 500, "The gateway failed: \(error)")
        }
    }

    private func recorded(
        _ request: HTTPRequest, _ response: HTTPResponse, _ operation: String, _ code: String
    ) -> HTTPResponse {
        let first = environment.now() - request.received
        let sent: UInt64 =
            switch response.body {
            case .bytes(let bytes): UInt64(bytes.count)
            case .stream(let length, _): length ?? 0
            case .head, .upgrade: 0
            }
        var response = response
        let environment = environment
        response.whenOver = { [status = response.status] outcome in
            let code = outcome.isWhole ? code : S3Gateway.cutOff
            environment.metrics.counter(
                "cyxcloud_s3_requests_total", [("operation", operation), ("code", code)]
            ).add()
            environment.logger.labelled("s3").info(
                "request",
                [
                    ("operation", operation), ("status", String(status)), ("code", code),
                    ("received", String(request.contentLength ?? 0)),
                    ("sent", String(outcome.isWhole ? sent : outcome.streamedBytes)),
                ] + S3Gateway.times(first, environment.now() - request.received))
        }
        return response
    }

    /// What the log of requests says of time: until the answer was known, and until the connection had
    /// taken all of it, or was lost.
    static func times(_ first: Duration, _ whole: Duration) -> [(key: String, value: String)] {
        [
            ("first_ms", String(first.nanoseconds / 1_000_000)),
            ("ms", String(whole.nanoseconds / 1_000_000)),
        ]
    }

    /// In the place of the code, where the client did not get all of the answer.
    static let cutOff = "ResponseCutOff"

    // MARK: Common answers

    static func xml(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: HTTPHeaders([("content-type", "application/xml")]),
            body: .bytes(bytes))
    }
}
