internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    /// Reads the source and writes the copy; the bytes pass through this gateway.
    func copyObject(_ call: Call) async throws -> HTTPResponse {
        let replaces = try S3Gateway.replaces(call.headers, "metadata")
        _ = try S3Gateway.replaces(call.headers, "tagging")
        let placed = try S3Headers.placed(from: call.headers)
        let key = try CustomerKey(call.headers)
        try checkChange(call, replaces: replaces, changesPlacement: !placed.isEmpty || key != nil)
        let described = replaces ? try S3Headers.described(from: call.headers) : nil
        let source = try await openCopySource(call, .whole)
        try S3Gateway.checkCopySize(source.info.size)
        var options = PutOptions()
        options.headers =
            (described ?? source.info.headers.filter { S3Headers.isDescription($0.key) })
            .merging(placed) { $1 }
        options.attributes = S3Gateway.attributes(of: call, copying: source.info)
        options.condition = try S3Headers.putCondition(call.headers)
        options.size = source.info.size
        let outcome = CheckedBody.Outcome()
        var body = source.source
        if let algorithm = try S3Gateway.copiedChecksum(call.headers, source.info) {
            body = ChecksummedSource(body, algorithm, outcome)
            options.checksumsAtEnd = { outcome.checksums }
        } else {
            options.checksums = source.info.checksums
        }
        if let key {
            let cipher = CustomerCipher(key, random: environment.random)
            cipher.store(in: &options.headers)
            body = cipher.encrypting(body, blocking: environment.blocking)
        }
        let info = try await call.service.put(
            call.key, in: call.bucket, options: options, body: body)
        var response = S3Gateway.xml(
            XMLWriter.document("CopyObjectResult") { xml in
                xml.element("LastModified", info.modified.rfc3339)
                xml.element("ETag", "\"\(info.etag)\"")
                S3Headers.writeObjectChecksums(&xml, info.checksums)
            })
        S3Headers.addVersion(info.versionID, to: &response.headers)
        S3Gateway.addSourceVersion(source.info, to: &response.headers)
        S3Headers.addPlaced(info.headers, to: &response.headers)
        key?.describe(in: &response.headers)
        S3Headers.addPlacement(info, to: &response.headers)
        S3Headers.addExpiration(of: info, call, to: &response.headers)
        return response
    }

    /// What `x-amz-NAME-directive` says: whether the copy gets new ones.
    static func replaces(_ headers: HTTPHeaders, _ name: String) throws(S3Error) -> Bool {
        switch headers["x-amz-\(name)-directive"] ?? "COPY" {
        case "COPY": return false
        case "REPLACE": return true
        default: throw .invalidArgument("Unknown \(name) directive.")
        }
    }

    /// An object may replace itself only to be described or kept in another way.
    private func checkChange(
        _ call: Call, replaces: Bool, changesPlacement: Bool
    ) throws(S3Error) {
        let named = try S3Gateway.copySource(call.headers["x-amz-copy-source"] ?? "")
        let isItself =
            named.version == nil && named.bucket == call.bucket
            && named.key.utf8.elementsEqual(call.key.utf8)
        let changes =
            replaces || changesPlacement || call.headers.contains(S3Headers.storageClassName)
            || call.headers.contains("x-amz-tagging-directive")
        guard !isItself || changes else {
            throw .invalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself "
                    + "without changing the object's metadata, storage class, website redirect "
                    + "location or encryption attributes.")
        }
    }

    private static let maximumCopyBytes: UInt64 = 5 << 30

    static func checkCopySize(_ size: UInt64) throws(S3Error) {
        guard size <= maximumCopyBytes else {
            throw .invalidRequest(
                "The specified copy source is larger than the maximum allowable size for a copy "
                    + "source: \(maximumCopyBytes)")
        }
    }

    /// The algorithm of a checksum that must be computed anew; nil where that of the source is the
    /// copy's. Checksums of parts are none of a copy, which has no parts.
    private static func copiedChecksum(
        _ headers: HTTPHeaders, _ source: ObjectInfo
    ) throws(S3Error) -> ChecksumAlgorithm? {
        let known = source.checksums.first.flatMap { name, value in
            ChecksumAlgorithm(rawValue: name).map { ($0, ChecksumType(of: value)) }
        }
        guard let text = headers["x-amz-checksum-algorithm"] else {
            guard let known else { return .implied }
            return known.1 == .composite ? known.0 : nil
        }
        guard let wanted = ChecksumAlgorithm(rawValue: text.lowercased()) else {
            throw .invalidRequest(
                "Checksum algorithm provided is unsupported. Please try again with any of the "
                    + "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        }
        if let known, known == (wanted, .fullObject) { return nil }
        return wanted
    }

    /// The object that `x-amz-copy-source` names, decrypted, if its conditions hold.
    func openCopySource(_ call: Call, _ range: ByteRange) async throws -> ObjectBody {
        let named = try S3Gateway.copySource(call.headers["x-amz-copy-source"] ?? "")
        let key = try CustomerKey(call.headers, prefix: CustomerKey.copySourcePrefix)
        let service = call.source ?? call.service
        var body: ObjectBody
        do {
            body = try await service.get(
                named.key, version: named.version, in: named.bucket, range: range)
        } catch ObjectError.deleteMarker where named.version != nil {
            throw S3Error.invalidRequest(
                "The source of a copy request may not specifically refer to a delete marker by "
                    + "version id.")
        }
        if let cipher = try cipher(of: body.info, key) {
            body.source = cipher.decrypting(
                body.source, of: body.info, from: body.range.lowerBound,
                blocking: environment.blocking)
        }
        let prefix = "x-amz-copy-source-"
        if S3Headers.readStatus(body.info, call.headers, prefix: prefix) != nil {
            throw S3Error.preconditionFailed
        }
        return body
    }

    static func addSourceVersion(_ source: ObjectInfo, to headers: inout HTTPHeaders) {
        guard let version = source.versionID else { return }
        headers.add("x-amz-copy-source-version-id", version)
    }

    static func copySource(_ header: String) throws(S3Error) -> CopySource {
        let parts = header.split(separator: "?", maxSplits: 1)
        guard let path = parts.first else {
            throw .invalidArgument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        }
        var version: String?
        if parts.count > 1 {
            guard parts[1].hasPrefix("versionId=") else {
                throw .invalidArgument("x-amz-copy-source takes no parameter but versionId")
            }
            version = try S3Headers.version(String(parts[1].dropFirst("versionId=".count)))
        }
        let decoded = try S3Request.decode(path.hasPrefix("/") ? path.dropFirst() : path)
        let names = decoded.split(
            separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty else {
            throw .invalidArgument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        }
        let key = String(names[1])
        try S3Request.checkParents(in: key)
        return CopySource(bucket: String(names[0]), key: key, version: version)
    }
}

/// What `x-amz-copy-source` names.
struct CopySource: Sendable {
    var bucket: String
    var key: String
    var version: String?
}
