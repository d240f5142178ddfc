internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    func putObject(_ call: Call) async throws -> HTTPResponse {
        var options = PutOptions()
        options.headers = try S3Headers.stored(from: call.headers)
        options.condition = try S3Headers.putCondition(call.headers)
        options.size = call.body.length
        let outcome = call.body.outcome
        options.checksumsAtEnd = { outcome.checksums }
        let info = try await call.service.put(
            call.key, in: call.bucket, options: options, body: call.body)
        var headers = HTTPHeaders([("etag", "\"\(info.etag)\"")])
        S3Headers.addChecksums(outcome.checksums, to: &headers)
        S3Headers.addPlacement(info, to: &headers)
        return HTTPResponse(status: 200, headers: headers)
    }

    func headObject(_ call: Call) async throws -> HTTPResponse {
        try describe(try await call.service.head(call.key, in: call.bucket), call)
    }

    /// Answers a HEAD for the version that `info` tells of.
    func describe(_ info: ObjectInfo, _ call: Call) throws -> HTTPResponse {
        if let status = S3Headers.readStatus(info, call.headers) {
            return try conditional(status, info, call)
        }
        var headers = S3Headers.describing(info, call)
        guard let range = try resolve(S3Headers.range(call.headers["range"]), info.size) else {
            return HTTPResponse(status: 200, headers: headers, body: .head(length: info.size))
        }
        headers.add("content-range", S3Gateway.contentRange(range, info.size))
        return HTTPResponse(
            status: 206, headers: headers, body: .head(length: UInt64(range.count)))
    }

    func getObject(_ call: Call) async throws -> HTTPResponse {
        try await give(
            call, info: { try await call.service.head(call.key, in: call.bucket) },
            body: { try await call.service.get(call.key, in: call.bucket, range: $0) })
    }

    /// Answers a GET for the version that the two closures read.
    func give(
        _ call: Call, info: () async throws -> ObjectInfo,
        body: (ByteRange) async throws -> ObjectBody
    ) async throws -> HTTPResponse {
        let wanted = S3Headers.range(call.headers["range"])
        let conditions = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
        if conditions.contains(where: { call.headers.contains($0) }) {
            let info = try await info()
            if let status = S3Headers.readStatus(info, call.headers) {
                return try conditional(status, info, call)
            }
        }
        let body = try await body(wanted)
        var headers = S3Headers.describing(body.info, call)
        let isPartial = wanted != .whole
        if isPartial {
            headers.add("content-range", S3Gateway.contentRange(body.range, body.info.size))
        }
        return HTTPResponse(
            status: isPartial ? 206 : 200, headers: headers,
            body: .stream(length: UInt64(body.range.count), body.source))
    }

    private func conditional(
        _ status: Int, _ info: ObjectInfo, _ call: Call
    ) throws(S3Error) -> HTTPResponse {
        guard status == 304 else { throw .preconditionFailed }
        // Without checksums: clients would look for the body that they belong to.
        var info = info
        info.checksums = [:]
        return HTTPResponse(status: 304, headers: S3Headers.describing(info, call))
    }

    /// The offsets that `range` means in an object of `size` bytes; nil for all of it.
    private func resolve(_ range: ByteRange, _ size: UInt64) throws(S3Error) -> Range<UInt64>? {
        switch range {
        case .whole: return nil
        case .from(let first, let last):
            guard first < size else { throw S3Error(.invalidRange(size: size)) }
            return first..<(last.map { min($0, size - 1) + 1 } ?? size)
        case .last(let count):
            guard count > 0, size > 0 else { throw S3Error(.invalidRange(size: size)) }
            return (size - min(count, size))..<size
        }
    }

    private static func contentRange(_ range: Range<UInt64>, _ size: UInt64) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
    }

    // MARK: Delete

    func deleteObject(_ call: Call) async throws -> HTTPResponse {
        try await call.service.delete(call.key, in: call.bucket)
        return HTTPResponse(status: 204)
    }

    private static let maximumDeletes = 1000

    func deleteObjects(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let root = try S3Gateway.parse(
            try await call.body.collect(limit: XMLReader.maximumBytes))
        let keys = root.children(named: "Object").map { $0.text(of: "Key") ?? "" }
        guard root.name == "Delete", !keys.isEmpty, keys.count <= S3Gateway.maximumDeletes,
            !keys.contains("")
        else { throw S3Error.malformedXML }
        let isQuiet = root.text(of: "Quiet") == "true"
        _ = try await call.service.bucket(call.bucket)
        var failures: [(key: String, error: S3Error)] = []
        var deleted: [String] = []
        for key in keys {
            do {
                try await call.service.delete(key, in: call.bucket)
                deleted.append(key)
            } catch let error as ObjectError {
                failures.append((key, S3Error(error)))
            }
        }
        return S3Gateway.xml(
            XMLWriter.document("DeleteResult") { xml in
                for key in deleted where !isQuiet {
                    xml.element("Deleted") { $0.element("Key", key) }
                }
                for failure in failures {
                    xml.element("Error") { xml in
                        xml.element("Key", failure.key)
                        xml.element("Code", failure.error.code)
                        xml.element("Message", failure.error.message)
                    }
                }
            })
    }

    // MARK: Copy

    /// Reads the source and writes the copy; the bytes pass through this gateway.
    func copyObject(_ call: Call) async throws -> HTTPResponse {
        let source = try await openCopySource(call, .whole)
        var options = PutOptions()
        switch call.headers["x-amz-metadata-directive"] ?? "COPY" {
        case "COPY": options.headers = source.info.headers
        case "REPLACE": options.headers = try S3Headers.stored(from: call.headers)
        default: throw S3Error.invalidArgument("Unknown metadata directive.")
        }
        options.checksums = source.info.checksums
        options.condition = try S3Headers.putCondition(call.headers)
        options.size = source.info.size
        let info = try await call.service.put(
            call.key, in: call.bucket, options: options, body: source.source)
        return S3Gateway.xml(
            XMLWriter.document("CopyObjectResult") { xml in
                xml.element("LastModified", info.modified.rfc3339)
                xml.element("ETag", "\"\(info.etag)\"")
            })
    }

    /// The object that `x-amz-copy-source` names, if its conditions hold.
    func openCopySource(_ call: Call, _ range: ByteRange) async throws -> ObjectBody {
        let (bucket, key) = try S3Gateway.copySource(call.headers["x-amz-copy-source"] ?? "")
        let body = try await call.service.get(key, in: bucket, range: range)
        let prefix = "x-amz-copy-source-"
        if S3Headers.readStatus(body.info, call.headers, prefix: prefix) != nil {
            throw S3Error.preconditionFailed
        }
        return body
    }

    static func copySource(_ header: String) throws(S3Error) -> (bucket: String, key: String) {
        let parts = header.split(separator: "?", maxSplits: 1)
        guard let path = parts.first else {
            throw .invalidArgument("x-amz-copy-source must be /bucket/key, percent-encoded")
        }
        if parts.count > 1, parts[1] != "versionId=null" {
            throw .notImplemented("CopyObject with versionId")
        }
        let decoded = try S3Request.decode(path.hasPrefix("/") ? path.dropFirst() : path)
        let names = decoded.split(
            separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty else {
            throw .invalidArgument("x-amz-copy-source must be /bucket/key, percent-encoded")
        }
        return (String(names[0]), String(names[1]))
    }
}
