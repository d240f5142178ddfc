internal import CyxCore

/// The admin API of one `cyxpeer` (`--admin-listen`), with the token from its data directory. Its
/// calls block the thread that makes them.
package struct AdminClient: Sendable {
    /// `127.0.0.1:7790`.
    package var address: String
    private let token: String
    private let http: HTTPClient

    package init(address: String, token: String, http: HTTPClient) {
        self.address = address
        self.token = token
        self.http = http
    }

    package func status() throws(ClientError) -> PeerStatus {
        try PeerStatus(try json("GET", "/api/v1/status"))
    }

    /// Which partitions have no quorum, as all peers that this one reaches say.
    package func recovery() throws(ClientError) -> RecoveryStatus {
        try RecoveryStatus(try json("GET", "/api/v1/recovery"))
    }

    /// Has the peer install signed recoveries wherever they concern anyone; throws `RECOVER-08`
    /// unless it takes them all.
    package func recover(_ certificates: [[UInt8]]) throws(ClientError) {
        let lines = certificates.map { Hex.encode($0) + "\n" }.joined()
        let response = try perform("POST", "/api/v1/recover", body: Array(lines.utf8))
        guard try parse(response)["installed"]?.integer == Int64(certificates.count) else {
            throw ClientError(
                code: "RECOVER-08", message: "the peer at \(address) does not take all recoveries",
                cause: String(decoding: response.body.prefix(200), as: UTF8.self),
                remedy: "check that its --admin-key is the one that every peer has")
        }
    }

    /// The JSON that a path answers with.
    func json(_ method: String, _ path: String) throws(ClientError) -> JSONValue {
        try parse(try perform(method, path))
    }

    private func parse(_ response: HTTPResponse) throws(ClientError) -> JSONValue {
        do {
            return try JSONValue(parsing: response.body)
        } catch {
            throw ClientError(
                code: "NET-09", message: "\(address) answered with something other than JSON",
                remedy: "check --admin: it is not the S3 port")
        }
    }

    /// Has the peer announce that it is off for `duration`, whole seconds up to a day, and stop.
    package func stop(for duration: Duration) throws(ClientError) {
        let seconds = duration.nanoseconds / 1_000_000_000
        _ = try perform("POST", "/api/v1/stop?seconds=\(seconds)")
    }

    /// Has the peer say that it leaves for good, and stop, with all that it holds.
    package func leaveNow() throws(ClientError) { _ = try perform("POST", "/api/v1/leave?now=1") }

    /// Has the peer give away what it holds, first of all to `successor`; then it leaves, or stays.
    package func depart(
        leaving: Bool, successor: String?
    ) throws(ClientError) -> DepartureProgress {
        let path = leaving ? "/api/v1/leave" : "/api/v1/drain"
        let query = successor.map { "?successor=\($0)" } ?? ""
        return try DepartureProgress(perform("POST", path + query))
    }

    package func departure() throws(ClientError) -> DepartureProgress {
        try DepartureProgress(get("/api/v1/departure"))
    }

    /// Has a peer that gives away what it holds keep the rest.
    package func stay() throws(ClientError) { _ = try perform("POST", "/api/v1/stay") }

    /// GET of a path; throws for every answer but success.
    package func get(_ path: String) throws(ClientError) -> HTTPResponse {
        try perform("GET", path)
    }

    private func perform(
        _ method: String, _ path: String, body: [UInt8]? = nil
    ) throws(ClientError) -> HTTPResponse {
        var request = HTTPRequest(method: method, url: "http://\(address)\(path)")
        request.headers = [("authorization", "Bearer \(token)")]
        if let body { request.body = .bytes(body) }
        let response = try http.perform(request)
        if response.isSuccess { return response }
        switch response.status {
        case 401, 403:
            throw ClientError(
                code: "ADMIN-01", message: "the token is not that of the peer at \(address)",
                remedy: "--data-dir DIR of that peer, or --admin-token FILE",
                status: response.status)
        default:
            throw ClientError(
                code: "ADMIN-02", message: "\(address)\(path) answered HTTP \(response.status)",
                cause: String(decoding: response.body.prefix(200), as: UTF8.self),
                status: response.status)
        }
    }
}
