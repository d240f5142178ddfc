internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Access keys, which S3 itself does not make: `POST /?cyx-keys&name=NAME[&bucket=B][&prefix=P]
/// [&rights=read|write][&seconds=N][&gateway=HEX,HEX]` makes one, `GET /?cyx-keys` lists them, without
/// their secrets, and `DELETE /?cyx-key=NAME` revokes one. Only a key without limits may.
extension S3Gateway {
    /// The longest time that a key can be told to last: a hundred years.
    private static let longestKeySeconds: Int64 = 100 * 365 * 86_400
    private static let nameBytes = 1...64
    /// Gateways that one key can name.
    private static let gatewaysMax = 16

    /// Whose requests with that access key are; nil: nobody's here.
    func account(accessKey: String) async throws -> S3Accounts.Account? {
        if let account = accounts[accessKey] { return account }
        for account in accounts.all {
            guard let key = try await account.keys?.accessKey(id: accessKey) else { continue }
            return try limited(account, by: key)
        }
        guard let granted = try await accounts.granted?.grantedKey(id: accessKey) else {
            return nil
        }
        // What people call the account is known where its seed is.
        let account = S3Accounts.Account(
            name: granted.service.account.description, secret: granted.key.secret,
            service: granted.service)
        return try limited(account, by: granted.key)
    }

    private func limited(
        _ account: S3Accounts.Account, by key: AccessKey
    ) throws(S3Error) -> S3Accounts.Account {
        if let expires = key.limits.expires, expires <= environment.wallTime() {
            throw S3Error(
                "InvalidAccessKeyId", 403,
                "The access key `\(key.name)` expired at \(expires.rfc3339); make a new one "
                    + "with `cyxcloud key create`")
        }
        var limited = account
        limited.secret = key.secret
        limited.limitedKey = key.id
        limited.reach = KeyReach(limits: key.limits)
        return limited
    }

    private func service(_ call: Call) throws(S3Error) -> any AccessKeyService {
        guard let service = call.account?.keys else {
            throw .notImplemented("Access keys of this account")
        }
        return service
    }

    func createKey(_ call: Call) async throws -> HTTPResponse {
        let name = call.query["name"] ?? ""
        guard S3Gateway.nameBytes.contains(name.utf8.count),
            name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else {
            throw S3Error.invalidArgument(
                "name=\(name): a key's name has 1 to 64 bytes and no spaces")
        }
        var limits = AccessKeyLimits()
        if let bucket = call.query["bucket"] {
            _ = try await call.service.bucket(bucket)
            limits.bucket = bucket
        }
        if let text = call.query["gateway"] {
            limits.gateways = try S3Gateway.gateways(text)
            guard limits.bucket != nil else {
                throw S3Error.invalidArgument(
                    "gateway: a key for other gateways opens one bucket; name it with `bucket`")
            }
        }
        limits.prefix = call.query["prefix"] ?? ""
        guard limits.prefix.utf8.count <= S3Request.maximumKeyBytes else {
            throw S3Error.invalidArgument("prefix has more bytes than the 1024 of a key")
        }
        switch call.query["rights"] ?? "all" {
        case "all": limits.rights = .all
        case "read": limits.rights = .read
        case "write": limits.rights = .write
        case let other:
            throw S3Error.invalidArgument("rights=\(other): they are read, write or all")
        }
        if let text = call.query["seconds"] {
            guard let seconds = Int64(text), (1...S3Gateway.longestKeySeconds).contains(seconds)
            else {
                throw S3Error.invalidArgument(
                    "seconds=\(text): a key lasts for 1 to \(S3Gateway.longestKeySeconds) s, or "
                        + "without `seconds` until it is revoked")
            }
            let now = environment.wallTime().milliseconds
            limits.expires = WallTime(milliseconds: now + seconds * 1000)
        }
        let key = try await service(call).createAccessKey(name, limits)
        return S3Gateway.xml(
            XMLWriter.document("CreateKeyResult") { xml in
                S3Gateway.write(key, to: &xml)
                xml.element("Secret", key.secret)
            })
    }

    private static func gateways(_ text: String) throws(S3Error) -> [[UInt8]] {
        var gateways: [[UInt8]] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let key = Hex.decode(String(word)), key.count == GatewayKey.byteCount else {
                throw .invalidArgument(
                    "gateway=\(word): a gateway's key has 64 hexadecimal digits; its operator "
                        + "finds it with `cyxcloud status`")
            }
            if !gateways.contains(key) { gateways.append(key) }
        }
        guard gateways.count <= gatewaysMax else {
            throw .invalidArgument("gateway: a key names at most \(gatewaysMax) gateways")
        }
        return gateways
    }

    func listKeys(_ call: Call) async throws -> HTTPResponse {
        let keys = try await service(call).accessKeys()
        return S3Gateway.xml(
            XMLWriter.document("ListKeysResult") { xml in
                for key in keys { xml.element("Key") { S3Gateway.write(key, to: &$0) } }
            })
    }

    private static func write(_ key: AccessKey, to xml: inout XMLWriter) {
        xml.element("Name", key.name)
        xml.element("Id", key.id)
        if let bucket = key.limits.bucket { xml.element("Bucket", bucket) }
        if !key.limits.prefix.isEmpty {
            xml.element("Prefix", PercentEncoding.encode(key.limits.prefix, keepingSlashes: true))
        }
        switch key.limits.rights {
        case .all: xml.element("Rights", "all")
        case .read: xml.element("Rights", "read")
        case .write: xml.element("Rights", "write")
        }
        xml.element("Created", key.created.rfc3339)
        if let expires = key.limits.expires { xml.element("Expires", expires.rfc3339) }
        for gateway in key.limits.gateways { xml.element("Gateway", Hex.encode(gateway)) }
    }

    func deleteKey(_ call: Call) async throws -> HTTPResponse {
        try await service(call).revokeAccessKey(call.query["cyx-key"] ?? "")
        return HTTPResponse(status: 204)
    }
}
