internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3
internal import Synchronization

/// What opens links: `/s/TOKEN` is a page for browsers, and the bytes for everything else.
///
/// Whoever has the token is let in as the account would be which made the link, and only to read what
/// it shares; the bucket's policy and the key that made the link are asked each time.
struct LinkGateway: Sendable {
    static let cookie = "cyx-link"
    static let formBytes = 8 << 10

    /// A link that is there and open, and what of it a request wants.
    struct Visit: Sendable {
        var share: Share
        var account: S3Accounts.Account
        var request: HTTPRequest
        var body: HTTPRequestBody
        /// `/s/TOKEN`, as it came.
        var root: String
        /// What the path names within the link, decoded.
        var rest: String
        var query: S3Query

        /// The key that is meant, or how the names begin of what is listed.
        var key: String { share.isFolder ? share.path + rest : share.path }
        var isListing: Bool { share.isFolder && (rest.isEmpty || rest.hasSuffix("/")) }
        var isHead: Bool { request.method == "HEAD" }

        /// Whether an answer for people is wanted, rather than the bytes.
        var wantsPage: Bool { LinkGateway.wantsPage(request) }
    }

    let rest: RESTGateway
    var s3: S3Gateway { rest.s3 }
    var environment: Environment { rest.environment }

    static func wantsPage(_ request: HTTPRequest) -> Bool {
        (request.headers["accept"] ?? "").lowercased().contains("text/html")
    }

    func handle(_ request: HTTPRequest, _ body: HTTPRequestBody) async throws -> HTTPResponse {
        var trace = RESTGateway.Trace()
        trace.operation = "OpenLink"
        var response: HTTPResponse
        do {
            response = try await answer(request, body, &trace)
        } catch {
            let refusal = try rest.describe(error)
            trace.code = refusal.code
            response = refused(request, refusal)
        }
        response.headers.set("referrer-policy", "no-referrer")
        response.headers.set("x-content-type-options", "nosniff")
        response.headers.set("x-robots-tag", "noindex")
        if !response.headers.contains("content-security-policy") {
            response.headers.set("content-security-policy", LinkPage.contentSecurityPolicy)
        }
        return rest.finish(response, request, trace)
    }

    private func refused(_ request: HTTPRequest, _ refusal: RESTError) -> HTTPResponse {
        guard LinkGateway.wantsPage(request) else {
            // The path holds the token: it is not said again.
            return refusal.response(path: "link", isHead: request.method == "HEAD")
        }
        var headers = HTTPHeaders()
        for (name, value) in refusal.headers.sorted(by: { $0.key < $1.key })
        where name != "www-authenticate" {
            headers.add(name, value)
        }
        let page =
            refusal.code == LinkGateway.passwordWanted
            ? LinkPage.password(refusal.message) : LinkPage.refusal(refusal)
        return LinkPage.response(page, status: refusal.status, headers, request)
    }

    // MARK: Finding the link

    private static let passwordWanted = "PasswordRequired"

    private func answer(
        _ request: HTTPRequest, _ body: HTTPRequestBody, _ trace: inout RESTGateway.Trace
    ) async throws -> HTTPResponse {
        let address = RESTGateway.limitedAddress(of: request)
        if let wait = rest.limiters.addresses.withLock({ $0.take(address, environment.now()) }) {
            throw RESTError.slowDown(wait)
        }
        guard ["GET", "HEAD", "POST"].contains(request.method) else {
            var error = RESTError("MethodNotAllowed", 405, "A link is opened with GET")
            error.headers["allow"] = "GET, HEAD, POST"
            throw error
        }
        let visit = try await visit(request, body)
        trace.account = visit.account.name
        trace.subject = "link \(visit.share.id)"
        if request.method == "POST" { return try await takePassword(visit) }
        try await demandPassword(visit)
        return try await serve(visit)
    }

    /// The same answer for what no gateway ever gave out and for what this one does not know.
    private static let noSuchLink = RESTError(
        "NoSuchShare", 404, "There is no such link", advice: "ask who sent it for a new one")

    private static func gone(_ message: String) -> RESTError {
        RESTError("ShareEnded", 410, message, advice: "ask who sent it for a new one")
    }

    @inline(never)
    private func visit(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> Visit {
        let path = request.target.prefix { $0 != "?" }
        guard let (token, encoded) = LinkToken.parse(path) else { throw LinkGateway.noSuchLink }
        let hash = LinkToken.hash(token)
        for var account in s3.accounts.all {
            guard let share = try await account.shares?.share(token: hash) else { continue }
            try check(share)
            if let id = share.accessKey {
                guard let key = try await account.keys?.accessKey(id: id) else {
                    throw LinkGateway.gone("The access key that made the link was revoked")
                }
                if let end = key.limits.expires, end <= environment.wallTime() {
                    throw LinkGateway.gone("link expired at \(end.rfc3339), with its access key")
                }
                account.reach = KeyReach(limits: key.limits)
            }
            let rest = try S3Request.decode(encoded)
            guard share.isFolder || rest.isEmpty else { throw LinkGateway.noSuchLink }
            return Visit(
                share: share, account: account, request: request, body: body,
                root: LinkToken.path(token), rest: rest,
                query: try S3Query(target: request.target))
        }
        throw LinkGateway.noSuchLink
    }

    @inline(never)
    private func check(_ share: Share) throws(RESTError) {
        let now = environment.wallTime()
        if let revoked = share.revoked {
            throw LinkGateway.gone("link was revoked at \(revoked.rfc3339)")
        }
        if let end = share.expires, end <= now {
            throw LinkGateway.gone("link expired at \(end.rfc3339)")
        }
    }

    // MARK: Passwords

    /// Throws unless there is no password, or it was given, now or within the hour.
    @inline(never)
    private func demandPassword(_ visit: Visit) async throws {
        guard let kept = visit.share.password, !hasShownPassword(visit) else { return }
        if let given = LinkGateway.basicPassword(visit.request) {
            let isRight = try await rest.passwords.isRight(
                given, for: kept, of: visit.share.id, environment)
            if isRight { return }
            throw LinkGateway.wrongPassword("The password is wrong")
        }
        throw LinkGateway.wrongPassword("This link has a password")
    }

    private static func wrongPassword(_ message: String) -> RESTError {
        var error = RESTError(
            passwordWanted, 401, message, advice: "send it as that of any user: curl -u :PASSWORD")
        error.headers["www-authenticate"] = "Basic realm=\"link\", charset=\"UTF-8\""
        return error
    }

    /// RFC 7617; whoever the user is.
    static func basicPassword(_ request: HTTPRequest) -> String? {
        guard let value = request.headers["authorization"],
            value.prefix(6).lowercased() == "basic ",
            let bytes = Base64.decode(String(value.dropFirst(6))),
            let text = String(validating: bytes, as: UTF8.self),
            let colon = text.firstIndex(of: ":")
        else { return nil }
        return String(text[text.index(after: colon)...])
    }

    /// Whether the request has a cookie that a right password was answered with.
    private func hasShownPassword(_ visit: Visit) -> Bool {
        guard let key = visit.account.tokens?.tokenKey else { return false }
        for field in visit.request.headers.fields where field.name == "cookie" {
            for pair in field.value.split(separator: ";") {
                let pair = pair.trimmingSpaces()
                guard pair.hasPrefix(LinkGateway.cookie + "=") else { continue }
                do {
                    let token = try SessionToken.verified(
                        try SessionToken.receive(
                            String(pair.dropFirst(LinkGateway.cookie.count + 1)), for: .link),
                        by: key.verifyingKey, now: environment.wallTime())
                    if token.subject == visit.share.id { return true }
                } catch {
                    continue
                }
            }
        }
        return false
    }

    /// The form of the page that asks for the password.
    @inline(never)
    private func takePassword(_ visit: Visit) async throws -> HTTPResponse {
        guard let kept = visit.share.password, let key = visit.account.tokens?.tokenKey else {
            throw RESTError("MethodNotAllowed", 405, "This link has no password")
        }
        var checked = CheckedBody(
            visit.body, try PayloadCheck(unsigned: visit.request), blocking: environment.blocking)
        let bytes = try await checked.collect(limit: LinkGateway.formBytes)
        guard let text = String(validating: bytes, as: UTF8.self),
            let given = try S3Query(target: "?" + text)["password"], !given.isEmpty
        else { throw LinkGateway.wrongPassword("Type the password") }
        let isRight = try await rest.passwords.isRight(
            given, for: kept, of: visit.share.id, environment)
        guard isRight else { throw LinkGateway.wrongPassword("The password is wrong") }
        let issued = environment.wallTime().milliseconds / 1000
        let token = SessionToken(
            purpose: .link, account: visit.account.id, subject: visit.share.id,
            id: environment.random.bytes(SessionToken.idBytes),
            issued: WallTime(milliseconds: issued * 1000),
            expires: WallTime(milliseconds: (issued + SessionToken.lifetimeSeconds) * 1000))
        // Lax, not strict: who follows a link from elsewhere has shown the password all the same.
        let cookie =
            "\(LinkGateway.cookie)=\(token.signed(with: key)); Path=\(visit.root); HttpOnly; "
            + "SameSite=Lax; Max-Age=\(SessionToken.lifetimeSeconds)"
            + (visit.request.isSecure ? "; Secure" : "")
        let path = String(visit.request.target.prefix { $0 != "?" })
        return HTTPResponse(
            status: 303, headers: HTTPHeaders([("location", path), ("set-cookie", cookie)]))
    }
}
