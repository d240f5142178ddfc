internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Links to what an account shares: `POST /api/v1/shares` makes one, `GET` lists them, and `DELETE
/// /api/v1/shares/ID` revokes one.
extension RESTGateway {
    private static let idBytes = 8
    /// A hundred years.
    private static let longestSeconds: Int64 = 100 * 365 * 86_400

    private func shares(_ call: Call) throws(S3Error) -> any ShareService {
        guard let service = call.account.shares else {
            throw .notImplemented("Links of this account")
        }
        return service
    }

    // Each step is a coroutine of its own, and none calls what throws at once beside what it waits for:
    // the optimizer of Swift 6.3 crashes when it splits one that does all of it.
    func createShare(_ call: Call) async throws -> HTTPResponse {
        let token = environment.random.bytes(LinkToken.byteCount)
        let share = try await requestedShare(call, LinkToken.hash(token))
        try await keep(share, call)
        return answer(call, share, token)
    }

    @inline(never)
    private func keep(_ share: Share, _ call: Call) async throws {
        try await authorize(share, call)
        try await shares(call).createShare(share)
    }

    /// The link that is asked for.
    @inline(never)
    private func requestedShare(_ call: Call, _ token: Digest) async throws -> Share {
        try await checkLasting(call)
        return try await locked(try await share(call, token))
    }

    /// The same with what is kept of its password.
    @inline(never)
    private func locked(_ asked: (share: Share, password: String?)) async throws -> Share {
        guard let password = asked.password else { return asked.share }
        let kept = try await passwords.make(password, environment)
        var share = asked.share
        share.password = kept
        return share
    }

    @inline(never)
    private func share(
        _ call: Call, _ token: Digest
    ) async throws -> (share: Share, password: String?) {
        let body = try await body(
            of: call, allowing: ["bucket", "key", "prefix", "expires", "password", "download"])
        return try share(body, call, token)
    }

    @inline(never)
    private func share(
        _ body: JSONBody, _ call: Call, _ token: Digest
    ) throws -> (share: Share, password: String?) {
        let now = environment.wallTime()
        let place = try RESTGateway.place(body)
        var share = Share(
            id: Hex.encode(environment.random.bytes(RESTGateway.idBytes)), token: token,
            bucket: place.bucket, path: place.path, created: now)
        share.isFolder = place.isFolder
        share.isViewOnly = try body.flag("download") == false
        share.expires = try RESTGateway.expiry(body, now)
        share.accessKey = call.account.limitedKey
        return (share, try body.text("password"))
    }

    @inline(never)
    private func answer(_ call: Call, _ share: Share, _ token: [UInt8]) -> HTTPResponse {
        let path = LinkToken.path(token)
        var fields = RESTGateway.describe(share, share.created)
        fields.append(("token", .string(Base64.encode(token, .url))))
        fields.append(("path", .string(path)))
        if let host = call.headers["host"] {
            let scheme = call.s3.request.http.scheme
            fields.append(("url", .string("\(scheme)://\(host)\(path)")))
        }
        return RESTGateway.json(.object(fields), status: 201)
    }

    /// A link lasts longer than a token. So one that may less than the key which asked for it makes
    /// none: the link would go on where the token ended.
    @inline(never)
    private func checkLasting(_ call: Call) async throws {
        guard call.token != nil, let reach = call.account.reach else { return }
        if let id = call.account.limitedKey,
            var limits = try await call.account.keys?.accessKey(id: id)?.limits
        {
            limits.expires = reach.limits.expires
            if limits == reach.limits { return }
        }
        throw RESTError.denied(
            "A token that may less than its key makes no links",
            advice: "sign the request with the key, or use a token without limits of its own")
    }

    struct Place: Equatable {
        var bucket: String
        var path: String
        var isFolder: Bool
    }

    /// What is to be shared: `key`, an object's, or `prefix`, a folder's.
    static func place(_ body: JSONBody) throws(RESTError) -> Place {
        guard let bucket = try body.text("bucket") else {
            throw .invalid("`bucket` is missing")
        }
        let (key, prefix) = (try body.text("key"), try body.text("prefix"))
        guard (key == nil) != (prefix == nil), key?.isEmpty != true else {
            throw .invalid("Give either `key`, of an object, or `prefix`, of a folder")
        }
        let path = key ?? prefix ?? ""
        guard path.utf8.count <= S3Request.maximumKeyBytes else {
            throw .invalid("A name has at most 1024 bytes")
        }
        // Else `in` would also show what is in `inner/`.
        guard prefix == nil || path.isEmpty || path.hasSuffix("/") else {
            throw .invalid("The prefix of a folder ends with `/`, or is empty for the whole bucket")
        }
        return Place(bucket: bucket, path: path, isFolder: prefix != nil)
    }

    /// When the link ends: `expires` is a number of seconds, or a time such as `24h`.
    static func expiry(_ body: JSONBody, _ now: WallTime) throws(RESTError) -> WallTime? {
        var seconds: Int64?
        if body.isText("expires"), let text = try body.text("expires") {
            guard let duration = Units.parseDuration(text) else {
                throw .invalid("`expires` is no time such as 24h or 30d")
            }
            seconds = duration.nanoseconds / 1_000_000_000
        } else {
            seconds = try body.integer("expires", in: 1...longestSeconds)
        }
        guard let seconds else { return nil }
        guard (1...longestSeconds).contains(seconds) else {
            throw .invalid("A link lasts for 1 to \(longestSeconds) s")
        }
        return WallTime(milliseconds: now.milliseconds + seconds * 1000)
    }

    /// Throws unless the bucket is the account's own, and the request may read what is to be shared
    /// there. Each time that the link is opened this is asked anew.
    @inline(never)
    private func authorize(_ place: Share, _ call: Call) async throws {
        var reading = call.s3
        reading.request.bucket = place.bucket
        reading.request.key = place.path
        reading.request.version = nil
        reading.request.http.method = "GET"
        if place.isFolder {
            var listing = reading
            listing.request.key = nil
            listing.request.query = S3Query(prefix: place.path)
            try await s3.authorize(.listObjectsV2, &listing)
        }
        reading.request.query = S3Query()
        try await s3.authorize(.getObject, &reading)
        guard reading.owner == call.account.id else {
            throw RESTError.denied("Only the account whose the bucket is makes links to it")
        }
        guard !place.isFolder else { return }
        let info = try await reading.service.head(place.path, in: place.bucket)
        // Nobody who opens the link has its key.
        guard !CustomerCipher.isUsed(by: info.headers) else {
            throw RESTError(
                "InvalidRequest", 400, "The object is encrypted with a key of its writer's")
        }
    }

    private static func describe(_ share: Share, _ now: WallTime) -> [(
        key: String, value: JSONValue
    )] {
        let state = share.revoked != nil ? "revoked" : share.hasEnded(by: now) ? "expired" : "open"
        return [
            ("id", .string(share.id)), ("bucket", .string(share.bucket)),
            (share.isFolder ? "prefix" : "key", .string(share.path)),
            ("created", .string(share.created.rfc3339)),
            ("expires", share.expires.map { .string($0.rfc3339) } ?? .null),
            ("password", .bool(share.password != nil)), ("download", .bool(!share.isViewOnly)),
            ("state", .string(state)),
        ]
    }

    /// Those that the request's key has made, if that is a limited one; else all.
    private func visible(_ call: Call) async throws -> [Share] {
        let shares = try await shares(call).shares()
        guard call.account.reach != nil else { return shares }
        guard let key = call.account.limitedKey else { return [] }
        return shares.filter { $0.accessKey == key }
    }

    func listShares(_ call: Call) async throws -> HTTPResponse {
        let now = environment.wallTime()
        let shares = try await visible(call).map {
            JSONValue.object(RESTGateway.describe($0, now))
        }
        return RESTGateway.json(.object([("shares", .array(shares))]))
    }

    func revokeShare(_ call: Call) async throws -> HTTPResponse {
        let id = call.path[1]
        guard try await visible(call).contains(where: { $0.id == id }) else {
            throw ObjectError.noSuchShare
        }
        try await shares(call).revokeShare(id)
        return HTTPResponse(status: 204)
    }
}
