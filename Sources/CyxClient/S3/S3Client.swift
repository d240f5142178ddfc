package import CyxCore
internal import CyxS3
internal import Glibc

/// Where a gateway is: `http://127.0.0.1:9000`.
package struct Endpoint: Sendable, Equatable {
    /// Without a slash at the end.
    package var url: String
    /// Host and port, as the `host` header has them.
    package var host: String

    /// Nil unless it is `http://HOST[:PORT]` or `https://HOST[:PORT]`; the scheme may be left out.
    package init?(_ text: String) {
        var full = text.contains("://") ? text : "http://\(text)"
        while full.hasSuffix("/") { full.removeLast() }
        for (scheme, port) in [("http://", ":80"), ("https://", ":443")]
        where full.hasPrefix(scheme) {
            var host = full.dropFirst(scheme.count)
            guard !host.contains(where: { "/?#@ ".contains($0) }) else { return nil }
            // libcurl sends no default port.
            if host.hasSuffix(port) { host.removeLast(port.count) }
            // One colon before a port; more are an IPv6 address, which has brackets.
            let colons = host.count { $0 == ":" }
            guard !host.isEmpty, host.first != ":", colons <= 1 || host.first == "[",
                !host.hasSuffix(port)
            else { return nil }
            url = scheme + host
            self.host = String(host)
            return
        }
        return nil
    }
}

/// One S3 operation, before it is signed.
package struct S3Request: Sendable {
    /// As S3 calls it, for errors: `PutObject`.
    package var operation: String
    package var method: String
    package var bucket: String?
    package var key: String?
    package var query: [(name: String, value: String)] = []
    package var headers: [(name: String, value: String)] = []
    package var body = HTTPRequest.Body.none
    package var sink = HTTPRequest.Sink.memory
    package var meter: TransferMeter?

    package init(_ operation: String, _ method: String, bucket: String?, key: String? = nil) {
        self.operation = operation
        self.method = method
        self.bucket = bucket
        self.key = key
    }

    var path: String {
        let parts = [bucket, key].compactMap(\.self)
        return "/"
            + parts.map { PercentEncoding.encode($0, keepingSlashes: true) }.joined(separator: "/")
    }
}

/// An S3 client (path-style addresses, Signature V4, payloads signed by their SHA-256).
///
/// `send` and everything above it is asynchronous; the work runs on the pool's threads.
package struct S3Client: Sendable {
    /// Attempts for one request, the first included.
    static let attemptLimit = 4
    static let firstBackoffMilliseconds: Int32 = 200
    static let longestBackoffMilliseconds: Int32 = 30_000

    package let endpoint: Endpoint
    private let signer: SignatureV4
    private let http: HTTPClient
    private let pool: any BlockingPool
    private let wallTime: @Sendable () -> WallTime

    package init(
        endpoint: Endpoint, credentials: Credentials, region: String, http: HTTPClient,
        pool: any BlockingPool, wallTime: @escaping @Sendable () -> WallTime
    ) {
        self.endpoint = endpoint
        signer = SignatureV4(credentials: credentials, region: region)
        self.http = http
        self.pool = pool
        self.wallTime = wallTime
    }

    /// Sends the request, again where that may help; throws for every answer but success.
    package func send(_ request: S3Request) async throws(ClientError) -> HTTPResponse {
        try await pool.run { () throws(ClientError) in try sendBlocking(request) }
    }

    private func sendBlocking(_ request: S3Request) throws(ClientError) -> HTTPResponse {
        let payloadHash = try PayloadHash.hex(of: request.body)
        var backoff = Self.firstBackoffMilliseconds
        for attempt in 1...Self.attemptLimit {
            let error: ClientError
            var wait = backoff
            do throws(ClientError) {
                let response = try http.perform(sign(request, payloadHash))
                if response.isSuccess { return response }
                error = .s3(
                    response, operation: request.operation, bucket: request.bucket,
                    key: request.key)
                if let seconds = response.headers["retry-after"].flatMap(Int32.init), seconds > 0 {
                    wait = min(seconds, Self.longestBackoffMilliseconds / 1000) * 1000
                }
            } catch let problem {
                error = problem
            }
            guard error.isTransient, attempt < Self.attemptLimit, !request.sink.isStream else {
                throw error
            }
            // This thread is the pool's, for work that blocks.
            poll(nil, 0, wait)
            backoff = min(backoff * 4, Self.longestBackoffMilliseconds)
        }
        preconditionFailure("the last attempt returns or throws")
    }

    private func sign(_ request: S3Request, _ payloadHash: String) -> HTTPRequest {
        let now = wallTime()
        let headers =
            request.headers + [
                ("host", endpoint.host), ("x-amz-content-sha256", payloadHash),
                ("x-amz-date", CivilDate(now).basic),
            ]
        let signed = SignatureV4.Request(
            method: request.method, path: request.path, query: request.query, headers: headers,
            payloadHash: payloadHash)
        let query = signed.canonicalQuery
        var result = HTTPRequest(
            method: request.method,
            url: endpoint.url + request.path + (query.isEmpty ? "" : "?\(query)"))
        result.headers = headers + [("authorization", signer.authorization(for: signed, at: now))]
        result.body = request.body
        result.sink = request.sink
        result.meter = request.meter
        return result
    }
}

extension HTTPRequest.Sink {
    /// Whether what was written cannot be written again.
    var isStream: Bool { if case .stream = self { true } else { false } }
}
