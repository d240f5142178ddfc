internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects

/// Bearer tokens: `POST /api/v1/tokens` makes one, `DELETE /api/v1/tokens` ends the one that the
/// request has, and `DELETE /api/v1/tokens/ID` any of the account's.
extension RESTGateway {
    private func tokens(_ call: Call) throws(S3Error) -> any TokenService {
        guard let service = call.account.tokens else {
            throw .notImplemented("Bearer tokens of this account")
        }
        return service
    }

    func createToken(_ call: Call) async throws -> HTTPResponse {
        let service = try tokens(call)
        // Else one that leaked could live for ever.
        guard call.token == nil else {
            throw RESTError.denied(
                "A bearer token makes no further ones",
                advice: "sign the request with an access key (AWS Signature Version 4)")
        }
        let body = try await body(of: call, allowing: ["bucket", "prefix", "rights", "seconds"])
        let own = call.account.reach?.limits
        let limits = try RESTGateway.limits(body, within: own)
        let now = environment.wallTime()
        let seconds =
            try body.integer("seconds", in: 1...SessionToken.lifetimeSeconds)
            ?? SessionToken.lifetimeSeconds
        let issued = now.milliseconds / 1000
        let last = own?.expires.map { $0.milliseconds / 1000 } ?? .max
        let expires = min(issued + seconds, last)
        guard expires > issued else {
            throw RESTError.denied("The access key ends within this second")
        }
        let token = SessionToken(
            account: call.account.id,
            subject: call.account.limitedKey ?? RESTGateway.nameOfAccountKey,
            isOfLimitedKey: call.account.limitedKey != nil, limits: limits,
            id: environment.random.bytes(SessionToken.idBytes),
            issued: WallTime(milliseconds: issued * 1000),
            expires: WallTime(milliseconds: expires * 1000))
        return RESTGateway.json(
            .object([
                ("token", .string(token.signed(with: service.tokenKey))),
                ("token_type", .string("Bearer")), ("id", .string(Hex.encode(token.id))),
                ("account", .string(token.account)), ("expires_in", .integer(expires - issued)),
                ("expires_at", .string(token.expires.rfc3339)),
                ("limits", limits?.json ?? .null),
            ]), status: 201)
    }

    /// In the place of the access key of an account that has no limits: it may have another at each
    /// gateway.
    static let nameOfAccountKey = "account"

    /// What a token may of what the key may that asks for it; nil: all, as the key.
    @inline(never)
    static func limits(
        _ body: JSONBody, within own: AccessKeyLimits?
    ) throws(RESTError) -> AccessKeyLimits? {
        var limits = own ?? AccessKeyLimits()
        let wanted = (
            bucket: try body.text("bucket"), prefix: try body.text("prefix"),
            rights: try body.text("rights")
        )
        guard wanted.bucket != nil || wanted.prefix != nil || wanted.rights != nil else {
            return own
        }
        if let bucket = wanted.bucket {
            if let objection = S3Request.objection(to: bucket) {
                throw .invalid("The bucket name is not valid: \(objection)")
            }
            limits.bucket = bucket
        }
        if let prefix = wanted.prefix {
            guard prefix.utf8.count <= S3Request.maximumKeyBytes else {
                throw .invalid("`prefix` has more bytes than the 1024 of a key")
            }
            limits.prefix = prefix
        }
        switch wanted.rights {
        case nil: break
        case "all": limits.rights = .all
        case "read": limits.rights = .read
        case "write": limits.rights = .write
        default: throw .invalid("`rights` is not all, read or write")
        }
        guard own?.contains(limits) ?? true else {
            throw .denied("The access key may not do all that the token is to do")
        }
        return limits
    }

    func revokeToken(_ call: Call) async throws -> HTTPResponse {
        let service = try tokens(call)
        if call.path.count == 1 {
            guard let token = call.token else {
                throw RESTError.invalid(
                    "The request has no bearer token to revoke",
                    advice: "send the token itself, or DELETE /api/v1/tokens/ID")
            }
            try await service.revokeToken(token.id, expires: token.expires)
            return HTTPResponse(status: 204)
        }
        try call.requireWholeAccount("revoke other tokens")
        guard let id = Hex.decode(call.path[1]), id.count == SessionToken.idBytes else {
            throw RESTError.invalid("A token's ID has 32 hexadecimal digits")
        }
        // When it ends only the token itself says: at the latest, in so long.
        let now = environment.wallTime().milliseconds
        let end = now + SessionToken.lifetimeSeconds * 1000 + SessionToken.skewMilliseconds
        try await service.revokeToken(id, expires: WallTime(milliseconds: end))
        return HTTPResponse(status: 204)
    }

    /// `GET /api/v1/users/me`: who the request is from, and what it may.
    func describeUser(_ call: Call) -> HTTPResponse {
        RESTGateway.json(
            .object([
                ("account", .string(call.account.id)), ("name", .string(call.account.name)),
                ("limits", call.account.reach?.limits.json ?? .null),
                ("token_expires_at", call.token.map { .string($0.expires.rfc3339) } ?? .null),
            ]))
    }
}
