internal import CyxS3

/// A limited access key of a gateway's account.
package struct RemoteKey: Sendable, Equatable {
    package var name: String
    package var id: String
    /// Only told when the key is made.
    package var secret: String?
    /// Nil: every bucket.
    package var bucket: String?
    package var prefix: String
    /// `all`, `read` or `write`.
    package var rights: String
    /// RFC 3339.
    package var created: String
    /// When it ends by itself; nil: never.
    package var expires: String?
    /// Keys of the gateways that serve it without the account's seed.
    package var gateways: [String] = []
}

/// What a new key is limited to.
package struct KeyLimits: Sendable {
    package var bucket: String?
    package var prefix: String?
    package var rights = "all"
    package var seconds: Int64?
    /// Comma-separated.
    package var gateways: String?
    package init() {}
}

/// Making keys is no part of S3: only gateways of ours have it.
extension S3Client {
    package func createKey(
        _ name: String, _ limits: KeyLimits
    ) async throws(ClientError) -> RemoteKey {
        var request = S3Request("CreateKey", "POST", bucket: nil)
        request.query = [("cyx-keys", ""), ("name", name), ("rights", limits.rights)]
        if let bucket = limits.bucket { request.query.append(("bucket", bucket)) }
        if let prefix = limits.prefix { request.query.append(("prefix", prefix)) }
        if let seconds = limits.seconds { request.query.append(("seconds", String(seconds))) }
        if let gateways = limits.gateways { request.query.append(("gateway", gateways)) }
        return try Self.key(try Self.document(try await send(request), "CreateKeyResult"))
    }

    package func keys() async throws(ClientError) -> [RemoteKey] {
        var request = S3Request("ListKeys", "GET", bucket: nil)
        request.query = [("cyx-keys", "")]
        var keys: [RemoteKey] = []
        let document = try Self.document(try await send(request), "ListKeysResult")
        for item in document.children(named: "Key") { keys.append(try Self.key(item)) }
        return keys
    }

    package func revokeKey(_ name: String) async throws(ClientError) {
        var request = S3Request("DeleteKey", "DELETE", bucket: nil)
        request.query = [("cyx-key", name)]
        _ = try await send(request)
    }

    private static func key(_ item: XMLElement) throws(ClientError) -> RemoteKey {
        guard let name = item.text(of: "Name"), let id = item.text(of: "Id"),
            let prefix = PercentEncoding.decodeText(item.text(of: "Prefix") ?? "")
        else { throw .malformed("ListKeysResult") }
        return RemoteKey(
            name: name, id: id, secret: item.text(of: "Secret"), bucket: item.text(of: "Bucket"),
            prefix: prefix, rights: item.text(of: "Rights") ?? "",
            created: item.text(of: "Created") ?? "", expires: item.text(of: "Expires"),
            gateways: item.children(named: "Gateway").map(\.text))
    }
}
