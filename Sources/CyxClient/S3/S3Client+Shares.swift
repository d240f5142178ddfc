package import CyxCore
internal import CyxS3

/// A link that a gateway's account has made.
package struct RemoteShare: Sendable, Equatable {
    package var id: String
    package var bucket: String
    /// The object's key, or how the names begin of what is in the folder.
    package var path: String
    package var isFolder: Bool
    /// RFC 3339.
    package var created: String
    /// When it ends by itself; nil: never.
    package var expires: String?
    package var hasPassword: Bool
    package var allowsDownload: Bool
    /// `open`, `expired` or `revoked`.
    package var state: String
    /// Only told when the link is made.
    package var link: String?
    /// As the gateway said it, for programs.
    package var json: JSONValue
}

/// What a new link gives, and to whom.
package struct ShareRequest: Sendable {
    package var bucket: String
    package var path: String
    package var isFolder: Bool
    package var seconds: Int64?
    package var password: String?
    package var allowsDownload = true

    package init(bucket: String, path: String, isFolder: Bool) {
        self.bucket = bucket
        self.path = path
        self.isFolder = isFolder
    }
}

/// Links are part of the REST interface: its requests are signed as S3's are, and its answers JSON.
extension S3Client {
    private static let root = (bucket: "api", key: "v1/shares")

    package func createShare(_ share: ShareRequest) async throws(ClientError) -> RemoteShare {
        var fields: [(key: String, value: JSONValue)] = [
            ("bucket", .string(share.bucket)),
            (share.isFolder ? "prefix" : "key", .string(share.path)),
            ("download", .bool(share.allowsDownload)),
        ]
        if let seconds = share.seconds { fields.append(("expires", .integer(seconds))) }
        if let password = share.password { fields.append(("password", .string(password))) }
        var request = S3Request("CreateShare", "POST", bucket: Self.root.bucket, key: Self.root.key)
        request.body = .bytes(Array(JSONValue.object(fields).encoded.utf8))
        let answer = try Self.json(try await send(request), "CreateShare")
        guard var made = RemoteShare(answer), let path = answer["path"]?.text else {
            throw .malformed("CreateShare")
        }
        // The address under which the gateway was reached here, whatever it takes for its own.
        made.link = endpoint.url + path
        return made
    }

    package func shares() async throws(ClientError) -> [RemoteShare] {
        let request = S3Request("ListShares", "GET", bucket: Self.root.bucket, key: Self.root.key)
        let answer = try Self.json(try await send(request), "ListShares")
        guard case .array(let items) = answer["shares"] else { throw .malformed("ListShares") }
        var shares: [RemoteShare] = []
        for item in items {
            guard let share = RemoteShare(item) else { throw .malformed("ListShares") }
            shares.append(share)
        }
        return shares
    }

    package func revokeShare(_ id: String) async throws(ClientError) {
        let key = Self.root.key + "/" + id
        _ = try await send(S3Request("RevokeShare", "DELETE", bucket: Self.root.bucket, key: key))
    }

    private static func json(
        _ response: HTTPResponse, _ operation: String
    ) throws(ClientError) -> JSONValue {
        do { return try JSONValue(parsing: response.body) } catch { throw .malformed(operation) }
    }
}

extension RemoteShare {
    init?(_ json: JSONValue) {
        guard let id = json["id"]?.text, let bucket = json["bucket"]?.text,
            let path = json["key"]?.text ?? json["prefix"]?.text,
            let created = json["created"]?.text, let state = json["state"]?.text
        else { return nil }
        self.init(
            id: id, bucket: bucket, path: path, isFolder: json["key"] == nil, created: created,
            expires: json["expires"]?.text, hasPassword: json["password"] == .bool(true),
            allowsDownload: json["download"] != .bool(false), state: state, json: json)
    }
}
