internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects

/// The one place that finds out who a request to the REST interface is from.
extension RESTGateway {
    private static let scheme = "Bearer "

    /// Throws unless the request is signed as S3's are or has a bearer token that counts.
    func authenticate(
        _ request: HTTPRequest, _ body: HTTPRequestBody, _ path: [String]
    ) async throws -> Call {
        guard let token = RESTGateway.bearerToken(of: request) else {
            let call = try await s3.authenticate(request, body)
            guard let account = call.account else {
                var error = RESTError(
                    "AccessDenied", 401, "The request is neither signed nor has a bearer token",
                    advice: RESTError.tokenAdvice)
                error.headers["www-authenticate"] = "Bearer"
                throw error
            }
            return Call(s3: call, account: account, path: path, method: request.method)
        }
        do {
            let (account, token) = try await holder(of: token)
            let call = S3Gateway.Call(
                request: try S3Request(request, hostSuffix: nil), service: account.service,
                account: account,
                body: CheckedBody(
                    body, try PayloadCheck(unsigned: request), blocking: environment.blocking))
            return Call(
                s3: call, account: account, token: token, path: path, method: request.method)
        } catch let fault as TokenFault {
            let code = RESTError(fault).code
            environment.metrics.counter("cyxcloud_auth_failures_total", [("reason", code)]).add()
            throw fault
        }
    }

    /// The scheme's name is that of RFC 6750 in any case of letters (RFC 9110 §11.1).
    private static func bearerToken(of request: HTTPRequest) -> String? {
        guard let value = request.headers["authorization"],
            value.prefix(scheme.count).lowercased() == scheme.lowercased()
        else { return nil }
        return String(value.dropFirst(scheme.count))
    }

    /// Whose token it is, limited to what the token may. Throws `TokenFault` where it does not count,
    /// and what the tables say where nobody can tell.
    func holder(of text: String) async throws -> (S3Accounts.Account, SessionToken) {
        let received = try SessionToken.receive(text, for: .session)
        guard var account = s3.accounts.account(id: received.account),
            let tokens = account.tokens
        else { throw TokenFault.malformed("is of an account that this gateway does not serve") }
        let now = environment.wallTime()
        let token = try SessionToken.verified(
            received, by: tokens.tokenKey.verifyingKey, now: now)
        if token.isOfLimitedKey {
            guard try await account.keys?.accessKey(id: token.subject) != nil else {
                throw TokenFault.malformed("is of an access key that was revoked")
            }
            account.limitedKey = token.subject
        }
        guard try await !tokens.isRevoked(token: token.id, issued: token.issued) else {
            throw TokenFault.revoked
        }
        account.reach = token.limits.map { KeyReach(limits: $0) }
        return (account, token)
    }
}
