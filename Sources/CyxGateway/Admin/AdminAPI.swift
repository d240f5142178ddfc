package import CyxCore
internal import CyxCrypto
package import CyxHTTP

/// The admin port of a peer: `/health` for anyone who reaches it, the rest with a bearer token.
package struct AdminAPI: Sendable {
    /// Answers a path with JSON text; throws what becomes a 404 with the error's words.
    package typealias Route = @Sendable (_ query: [String: String]) async throws -> String

    /// The same for a body.
    package typealias Upload = @Sendable (_ body: [UInt8]) async throws -> String

    /// A longer body is refused before it is read.
    package static let bodyLimit = 1 << 20

    private let environment: Environment
    private let token: [UInt8]
    private let routes: [String: Route]
    private let actions: [String: Route]
    private let uploads: [String: Upload]

    /// `token` is what `Authorization: Bearer` must carry; `routes` are read with GET, `actions`
    /// change something and are asked for with POST, as are `uploads`, which take its body.
    package init(
        environment: Environment, token: String, routes: [String: Route],
        actions: [String: Route] = [:], uploads: [String: Upload] = [:]
    ) {
        self.environment = environment
        self.token = Array("Bearer \(token)".utf8)
        self.routes = routes
        self.actions = actions
        self.uploads = uploads
    }

    package func handle(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> HTTPResponse {
        let parts = request.target.split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        let isRead = request.method == "GET" || request.method == "HEAD"
        let isAction = actions[path] != nil || uploads[path] != nil
        guard isRead ? !isAction : request.method == "POST" && isAction else {
            let method = isAction ? "asked for with POST" : "read with GET"
            return AdminAPI.answer(405, error: "\(path) is \(method)")
        }
        if path == "/health" { return AdminAPI.answer(200, #"{"status":"serving"}"#) }
        let given = Array((request.headers["authorization"] ?? "").utf8)
        guard isEqualInConstantTime(given, token) else {
            return AdminAPI.answer(
                401, error: "the bearer token in DATA-DIR/admin.token is needed")
        }
        if path == "/metrics" {
            let text = environment.metrics.exposition()
            return AdminAPI.answer(200, text, type: "text/plain; version=0.0.4")
        }
        do {
            if let upload = uploads[path] {
                guard let bytes = try await AdminAPI.read(request, body) else {
                    return AdminAPI.answer(413, error: "more than \(AdminAPI.bodyLimit) bytes")
                }
                return AdminAPI.answer(200, try await upload(bytes))
            }
            guard let route = routes[path] ?? actions[path] else {
                return AdminAPI.answer(404, error: "there is no \(path)")
            }
            var fields: [String: String] = [:]
            for item in try S3Query(target: request.target).items { fields[item.name] = item.value }
            return AdminAPI.answer(200, try await route(fields))
        } catch {
            return AdminAPI.answer(404, error: "\(error)")
        }
    }

    /// The whole body; nil if it is too long.
    private static func read(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> [UInt8]? {
        guard request.contentLength ?? 0 <= bodyLimit else { return nil }
        var body = body
        var bytes: [UInt8] = []
        while let piece = try await body.next() {
            bytes += piece
            guard bytes.count <= bodyLimit else { return nil }
        }
        return bytes
    }

    private static func answer(
        _ status: Int, _ text: String, type: String = "application/json"
    ) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: HTTPHeaders([("content-type", type)]),
            body: .bytes(Array(text.utf8)))
    }

    private static func answer(_ status: Int, error: String) -> HTTPResponse {
        answer(status, JSONValue.object([("error", .string(error))]).encoded)
    }
}
