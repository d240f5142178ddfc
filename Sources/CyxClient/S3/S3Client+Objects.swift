internal import CyxS3

/// What S3 says of one object.
package struct RemoteObject: Sendable, Equatable {
    package var key: String
    package var size: UInt64
    package var etag: String
    /// RFC 3339 as listed, or an HTTP date from HEAD.
    package var modified: String
    /// How the gateway protects it, such as `rs(10,4)`.
    package var redundancy: String?
    /// How many more peers may be lost.
    package var survives: String?
}

/// One page of a listing.
package struct RemoteListing: Sendable, Equatable {
    package var objects: [RemoteObject] = []
    package var prefixes: [String] = []
    package var continuation: String?
}

extension S3Client {
    package func createBucket(_ bucket: String) async throws(ClientError) {
        _ = try await send(S3Request("CreateBucket", "PUT", bucket: bucket))
    }

    package func deleteBucket(_ bucket: String) async throws(ClientError) {
        _ = try await send(S3Request("DeleteBucket", "DELETE", bucket: bucket))
    }

    /// Names and creation times, in the gateway's order.
    package func listBuckets() async throws(ClientError) -> [(name: String, created: String)] {
        let response = try await send(S3Request("ListBuckets", "GET", bucket: nil))
        let document = try Self.document(response, "ListAllMyBucketsResult")
        return (document.child("Buckets")?.children(named: "Bucket") ?? []).map {
            ($0.text(of: "Name") ?? "", $0.text(of: "CreationDate") ?? "")
        }
    }

    package func head(bucket: String, key: String) async throws(ClientError) -> RemoteObject {
        let response = try await send(S3Request("HeadObject", "HEAD", bucket: bucket, key: key))
        return RemoteObject(key: key, response: response)
    }

    package func delete(bucket: String, key: String) async throws(ClientError) {
        _ = try await send(S3Request("DeleteObject", "DELETE", bucket: bucket, key: key))
    }

    /// One page of the keys that begin with `prefix`, from `continuation` on.
    ///
    /// With a delimiter, keys that go on after it are folded into `prefixes`.
    package func list(
        bucket: String, prefix: String, delimiter: String?, continuation: String?
    ) async throws(ClientError) -> RemoteListing {
        var request = S3Request("ListObjectsV2", "GET", bucket: bucket)
        request.query = [("list-type", "2"), ("encoding-type", "url")]
        if !prefix.isEmpty { request.query.append(("prefix", prefix)) }
        if let delimiter { request.query.append(("delimiter", delimiter)) }
        if let continuation { request.query.append(("continuation-token", continuation)) }
        let document = try Self.document(try await send(request), "ListBucketResult")
        let isEncoded = document.text(of: "EncodingType") == "url"
        func name(_ text: String?) throws(ClientError) -> String {
            guard isEncoded else { return text ?? "" }
            guard let decoded = PercentEncoding.decodeText(text ?? "", plusIsSpace: true) else {
                throw .malformed("ListBucketResult")
            }
            return decoded
        }
        var listing = RemoteListing()
        for item in document.children(named: "Contents") {
            guard let size = UInt64(item.text(of: "Size") ?? "") else {
                throw .malformed("ListBucketResult")
            }
            listing.objects.append(
                RemoteObject(
                    key: try name(item.text(of: "Key")), size: size,
                    etag: Self.unquoted(item.text(of: "ETag") ?? ""),
                    modified: item.text(of: "LastModified") ?? ""))
        }
        for item in document.children(named: "CommonPrefixes") {
            listing.prefixes.append(try name(item.text(of: "Prefix")))
        }
        if document.text(of: "IsTruncated") == "true" {
            listing.continuation = document.text(of: "NextContinuationToken")
        }
        return listing
    }

    static func unquoted(_ etag: String) -> String {
        etag.filter { $0 != "\"" }
    }

    /// The document of an answer. An answer that began well may still hold an error.
    static func document(
        _ response: HTTPResponse, _ name: String
    ) throws(ClientError) -> XMLElement {
        guard let document = response.document else {
            throw .malformed(name)
        }
        if document.name == "Error" {
            throw .s3(response, operation: name, bucket: nil, key: nil)
        }
        // Some servers call ListPartsResult a ListPartsResponse, and so on.
        let stem = name.hasSuffix("Result") ? name.dropLast(6) : name[...]
        guard document.name.hasPrefix(stem) else { throw .malformed(name) }
        return document
    }
}

extension RemoteObject {
    init(key: String, response: HTTPResponse) {
        let headers = response.headers
        self.init(
            key: key, size: headers["content-length"].flatMap(UInt64.init) ?? 0,
            etag: S3Client.unquoted(headers["etag"] ?? ""),
            modified: headers["last-modified"] ?? "", redundancy: headers["x-cyx-redundancy"],
            survives: headers["x-cyx-survives"])
    }
}

extension ClientError {
    static func malformed(_ document: String) -> ClientError {
        ClientError(
            code: "NET-09", message: "the answer is no \(document)",
            cause: "a server that does not speak S3 answered",
            remedy: "check --gateway: S3 and admin have ports of their own")
    }
}
