package import CyxCore
package import CyxHTTP

/// The admin port of a peer: `/health` for anyone who reaches it, the rest with a bearer token.
package struct AdminAPI: Sendable {
    /// Answers a path with JSON text; throws what becomes a 404 with the error's words.
    package typealias Route = @Sendable (_ query: [String: String]) async throws -> String

    private let environment: Environment
    private let token: [UInt8]
    private let routes: [String: Route]

    /// `token` is what `Authorization: Bearer` must carry.
    package init(environment: Environment, token: String, routes: [String: Route]) {
        self.environment = environment
        self.token = Array("Bearer \(token)".utf8)
        self.routes = routes
    }

    package func handle(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> HTTPResponse {
        let parts = request.target.split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        guard request.method == "GET" || request.method == "HEAD" else {
            return AdminAPI.answer(405, error: "\(path) is read with GET")
        }
        if path == "/health" { return AdminAPI.answer(200, #"{"status":"serving"}"#) }
        let given = Array((request.headers["authorization"] ?? "").utf8)
        guard AdminAPI.isEqual(given, token) else {
            return AdminAPI.answer(
                401, error: "the bearer token in DATA-DIR/admin.token is needed")
        }
        if path == "/metrics" {
            let text = environment.metrics.exposition()
            return AdminAPI.answer(200, text, type: "text/plain; version=0.0.4")
        }
        guard let route = routes[path] else {
            return AdminAPI.answer(404, error: "there is no \(path)")
        }
        do {
            return AdminAPI.answer(
                200, try await route(AdminAPI.query(parts.count > 1 ? parts[1] : "")))
        } catch {
            return AdminAPI.answer(404, error: "\(error)")
        }
    }

    private static func query(_ text: Substring) -> [String: String] {
        var query: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1).map { decode($0) }
            query[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        return query
    }

    private static func decode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))
            {
                bytes += value
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Takes as long for a near miss as for any other of that length.
    private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | $1.0 ^ $1.1 } == 0
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
