internal import CyxCore
internal import CyxCrypto
internal import CyxObjects

/// A bearer token of the REST interface: a JSON Web Token (RFC 7519) in compact form, signed with
/// Ed25519 (RFC 8037) by a key that every gateway of the account has. Nothing is kept of it anywhere:
/// it says itself whose it is, what it may and until when.
struct SessionToken: Equatable, Sendable {
    /// What a token is good for; one is never taken for the other.
    enum Purpose: String, Sendable {
        /// Requests to `/api/v1`.
        case session = "cyx-session+jwt"
        /// Opening one link, by who has given its password.
        case link = "cyx-link+jwt"
    }

    static let lifetimeSeconds: Int64 = 3600
    static let maximumBytes = 4096
    static let idBytes = 16
    /// How far the clock of the gateway that issued it may be ahead of ours.
    static let skewMilliseconds: Int64 = 60_000
    static let audience = "cyx-gateway"

    var purpose = Purpose.session
    /// The account's canonical user ID.
    var account: String
    /// The access key that asked for it, or the link that it opens.
    var subject: String
    /// Whether the subject is a limited key, without which the token does not count.
    var isOfLimitedKey = false
    /// Nil: all that the account may.
    var limits: AccessKeyLimits?
    var id: [UInt8]
    /// Both in whole seconds.
    var issued: WallTime
    var expires: WallTime

    // MARK: Writing

    func signed(with key: SigningKey) -> String {
        let header = JSONValue.object([
            ("alg", .string("EdDSA")), ("typ", .string(purpose.rawValue)),
            ("kid", .string(account)),
        ])
        let text = SessionToken.encode(header) + "." + SessionToken.encode(claims)
        return text + "." + Base64.encode(key.sign(Array(text.utf8)), .url)
    }

    private static func encode(_ value: JSONValue) -> String {
        Base64.encode(Array(value.encoded.utf8), .url)
    }

    private var claims: JSONValue {
        var fields: [(key: String, value: JSONValue)] = [
            ("iss", .string(account)), ("sub", .string(subject)),
            ("aud", .string(SessionToken.audience)), ("iat", .integer(issued.milliseconds / 1000)),
            ("exp", .integer(expires.milliseconds / 1000)), ("jti", .string(Hex.encode(id))),
        ]
        if isOfLimitedKey { fields.append(("key", .bool(true))) }
        if let limits { fields.append(("limits", limits.json)) }
        return .object(fields)
    }

    // MARK: Reading

    /// A token as it came, of which nothing is believed before `verified`.
    struct Received: Sendable {
        /// Whose key must have signed it.
        var account: String
        fileprivate var purpose: Purpose
        fileprivate var message: [UInt8]
        fileprivate var signature: [UInt8]
        fileprivate var payload: Substring
    }

    /// Takes a token apart, as strictly as decisions §E want it: a header with exactly these members
    /// cannot bring a key of its own along (`jwk`, `x5u`) or have none (`alg: none`).
    static func receive(_ text: String, for purpose: Purpose) throws(TokenFault) -> Received {
        guard text.utf8.count <= maximumBytes else { throw .malformed("is over 4 KiB") }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("has not three parts") }
        let header = try object(parts[0], "header")
        guard header.count == 3, ["EdDSA", "Ed25519"].contains(header["alg"]?.text) else {
            throw .malformed("has another header than alg (EdDSA), typ and kid")
        }
        guard header["typ"]?.text == purpose.rawValue, let account = header["kid"]?.text else {
            throw .malformed("is not of the type \(purpose.rawValue)")
        }
        guard let signature = Base64.decode(String(parts[2]), .url),
            signature.count == SigningKey.signatureSize
        else { throw .malformed("has no Ed25519 signature") }
        return Received(
            account: account, purpose: purpose, message: Array("\(parts[0]).\(parts[1])".utf8),
            signature: signature, payload: parts[1])
    }

    /// The members of an object, none of them twice.
    private static func object(
        _ part: Substring, _ name: String
    ) throws(TokenFault) -> [String: JSONValue] {
        guard let bytes = Base64.decode(String(part), .url) else {
            throw .malformed("has a \(name) that is not base64url")
        }
        let value: JSONValue
        do { value = try JSONValue(parsing: bytes) } catch {
            throw .malformed("has a \(name) that is not JSON")
        }
        guard let members = value.members else {
            throw .malformed("has a \(name) that is no object, or has a member twice")
        }
        return members
    }

    /// What the token says, if its account's key signed it and it counts at `now`.
    static func verified(
        _ token: Received, by key: VerifyingKey, now: WallTime
    ) throws(TokenFault) -> SessionToken {
        guard key.isValid(signature: token.signature, for: token.message) else {
            throw .malformed("is not signed by its account")
        }
        let claims = try object(token.payload, "payload")
        guard claims["iss"]?.text == token.account, claims["aud"]?.text == audience,
            let subject = claims["sub"]?.text, let id = claims["jti"]?.text.flatMap(Hex.decode),
            id.count == idBytes, let issued = claims["iat"]?.integer,
            let expires = claims["exp"]?.integer, (0...lastSecond).contains(issued),
            issued < expires, expires - issued <= lifetimeSeconds
        else { throw .malformed("has claims that no gateway gives") }
        var token = SessionToken(
            purpose: token.purpose, account: token.account, subject: subject, id: id,
            issued: WallTime(milliseconds: issued * 1000),
            expires: WallTime(milliseconds: expires * 1000))
        token.isOfLimitedKey = claims["key"] == .bool(true)
        if let limits = claims["limits"] {
            guard let limits = AccessKeyLimits(limits) else {
                throw .malformed("has limits that no gateway gives")
            }
            token.limits = limits
        }
        guard token.isOfLimitedKey == (claims["key"] != nil),
            token.limits != nil || !token.isOfLimitedKey
        else { throw .malformed("has claims that no gateway gives") }
        guard token.issued.milliseconds - now.milliseconds <= skewMilliseconds else {
            throw .malformed("is not valid before \(token.issued.rfc3339)")
        }
        guard now < token.expires else { throw .expired(token.expires) }
        return token
    }

    /// The end of the year 9999: what comes later has no date.
    private static let lastSecond: Int64 = 253_402_300_799
}

/// Why a bearer token does not count.
enum TokenFault: Error, Equatable {
    /// Goes on after "The bearer token".
    case malformed(String)
    case expired(WallTime)
    case revoked
}

extension JSONValue {
    /// The members of an object by their names; nil for anything else, and where a name comes twice.
    var members: [String: JSONValue]? {
        guard case .object(let fields) = self else { return nil }
        var members: [String: JSONValue] = [:]
        for field in fields {
            guard members.updateValue(field.value, forKey: field.key) == nil else { return nil }
        }
        return members
    }
}

extension AccessKeyLimits {
    /// As tokens carry limits; when they end, the token says itself.
    var json: JSONValue {
        let rights =
            switch rights {
            case .all: "all"
            case .read: "read"
            case .write: "write"
            }
        return .object([
            ("bucket", bucket.map { .string($0) } ?? .null), ("prefix", .string(prefix)),
            ("rights", .string(rights)),
        ])
    }

    /// Nil unless every member is there and none besides: a limit that is not understood must not be
    /// passed over.
    init?(_ json: JSONValue) {
        self.init()
        guard let members = json.members, members.count == 3,
            let prefix = members["prefix"]?.text, let rights = members["rights"]?.text,
            let bucket = members["bucket"]
        else { return nil }
        self.prefix = prefix
        switch rights {
        case "all": self.rights = .all
        case "read": self.rights = .read
        case "write": self.rights = .write
        default: return nil
        }
        guard bucket != .null else { return }
        guard let name = bucket.text else { return nil }
        self.bucket = name
    }

    /// Whether whoever has these limits may hand out `other`.
    func contains(_ other: AccessKeyLimits) -> Bool {
        (bucket == nil || bucket == other.bucket)
            && other.prefix.utf8.starts(with: prefix.utf8)
            && (rights == .all || rights == other.rights)
            && (expires.map { end in other.expires.map { $0 <= end } ?? false } ?? true)
    }
}
