internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    /// What one request may write at a time (S3).
    static let maximumPutBytes: UInt64 = 5 << 30

    static func checkSize(_ call: Call) throws(S3Error) {
        let length = call.body.length
        // HTTP takes a request without a length for one without a body; S3 wants it said.
        let isTold = ["content-length", "x-amz-decoded-content-length"]
            .contains { call.headers.contains($0) }
        guard isTold else {
            throw S3Error(
                "MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
        }
        guard length <= maximumPutBytes else {
            throw S3Error(
                "EntityTooLarge", 400,
                "Your proposed upload of \(length) bytes exceeds the maximum allowed size of "
                    + "\(maximumPutBytes); upload it in parts")
        }
    }

    func putObject(_ call: Call) async throws -> HTTPResponse {
        try S3Gateway.checkSize(call)
        var options = PutOptions()
        options.headers = try S3Headers.stored(from: call.headers)
        options.attributes = call.attributes
        options.condition = try S3Headers.putCondition(call.headers)
        options.size = call.body.length
        let outcome = call.body.outcome
        options.checksumsAtEnd = { outcome.checksums }
        var checked = call.body
        if checked.promisedAlgorithm == nil { checked.compute(.implied) }
        var body: any ByteSource = checked
        let key = try CustomerKey(call.headers)
        if let key {
            let cipher = CustomerCipher(key, random: environment.random)
            cipher.store(in: &options.headers)
            body = cipher.encrypting(body, blocking: environment.blocking)
        }
        let info = try await call.service.put(
            call.key, in: call.bucket, options: options, body: body)
        var headers = HTTPHeaders([("etag", "\"\(info.etag)\"")])
        S3Headers.addVersion(info.versionID, to: &headers)
        S3Headers.addObjectChecksums(outcome.checksums, to: &headers)
        S3Headers.addPlaced(info.headers, to: &headers)
        key?.describe(in: &headers)
        S3Headers.addPlacement(info, to: &headers)
        S3Headers.addExpiration(of: info, call, to: &headers)
        return HTTPResponse(status: 200, headers: headers)
    }

    // MARK: Reading

    func headObject(_ call: Call) async throws -> HTTPResponse {
        try S3Gateway.checkRead(call)
        let version = call.versionID
        return try describe(
            try await S3Gateway.named(version) {
                try await call.service.head(call.key, version: version, in: call.bucket)
            }, call)
    }

    /// Answers a HEAD for the version that `info` tells of.
    func describe(_ info: ObjectInfo, _ call: Call) throws -> HTTPResponse {
        let key = try CustomerKey(call.headers)
        _ = try cipher(of: info, key)
        if let status = S3Headers.readStatus(info, call.headers) {
            return try conditional(status, info, call)
        }
        let wanted = try WantedBytes(of: info, call)
        let bytes: Range<UInt64>
        do throws(ObjectError) {
            bytes = try wanted.range.resolved(size: info.size)
        } catch {
            throw S3Error(error)
        }
        var headers = S3Headers.describing(info, call)
        wanted.describe(info, bytes, call, in: &headers)
        key?.describe(in: &headers)
        return HTTPResponse(
            status: wanted.isPartial ? 206 : 200, headers: headers,
            body: .head(length: UInt64(bytes.count)))
    }

    func getObject(_ call: Call) async throws -> HTTPResponse {
        try S3Gateway.checkRead(call)
        let version = call.versionID
        return try await S3Gateway.named(version) {
            try await give(
                call,
                info: {
                    try await call.service.head(call.key, version: version, in: call.bucket)
                },
                body: {
                    try await call.service.get(
                        call.key, version: version, in: call.bucket, range: $0)
                })
        }
    }

    /// How an object is encrypted is the writer's to say.
    private static func checkRead(_ call: Call) throws(S3Error) {
        guard !call.headers.contains(S3Headers.encryptionName) else {
            throw .invalidArgument(
                "x-amz-server-side-encryption header is not supported for this operation.")
        }
        // Else a public object could be served as whatever a stranger's link says that it is.
        let overrides = call.query.items.contains { $0.name.hasPrefix("response-") }
        guard call.account != nil || !overrides else {
            throw .invalidRequest(
                "Request specific response headers cannot be used for anonymous GET requests.")
        }
    }

    /// Answers a GET for the version that the two closures read.
    func give(
        _ call: Call, info: () async throws -> ObjectInfo,
        body: (ByteRange) async throws -> ObjectBody
    ) async throws -> HTTPResponse {
        let key = try CustomerKey(call.headers)
        var wanted = WantedBytes(call)
        var seen: ObjectInfo?
        if WantedBytes.needsHead(call) {
            let info = try await info()
            _ = try cipher(of: info, key)
            if let status = S3Headers.readStatus(info, call.headers) {
                return try conditional(status, info, call)
            }
            wanted = try WantedBytes(of: info, call)
            seen = info
        }
        let found = try await body(wanted.range)
        if let seen, wanted.part != nil, seen.cid != found.info.cid || seen.etag != found.info.etag
        {
            // The offsets are those of parts that another write has replaced meanwhile.
            throw S3Error(.conflict)
        }
        var source = found.source
        if let cipher = try cipher(of: found.info, key) {
            source = cipher.decrypting(
                source, of: found.info, from: found.range.lowerBound,
                blocking: environment.blocking)
        }
        var headers = S3Headers.describing(found.info, call)
        wanted.describe(found.info, found.range, call, in: &headers)
        key?.describe(in: &headers)
        return HTTPResponse(
            status: wanted.isPartial ? 206 : 200, headers: headers,
            body: .stream(length: UInt64(found.range.count), source))
    }

    /// What decrypts the object, if it is encrypted with a customer's key: then the request must
    /// bring that key, and else none.
    func cipher(of info: ObjectInfo, _ key: CustomerKey?) throws(S3Error) -> CustomerCipher? {
        guard let key else {
            guard !CustomerCipher.isUsed(by: info.headers) else {
                throw .invalidRequest(
                    "The object was stored using a form of Server Side Encryption. The correct "
                        + "parameters must be provided to retrieve the object.")
            }
            return nil
        }
        guard let cipher = try CustomerCipher(key, stored: info.headers) else {
            throw .invalidRequest("The encryption parameters are not applicable to this object.")
        }
        return cipher
    }

    private func conditional(
        _ status: Int, _ info: ObjectInfo, _ call: Call
    ) throws(S3Error) -> HTTPResponse {
        guard status == 304 else { throw .preconditionFailed }
        return HTTPResponse(status: 304, headers: S3Headers.describing(info, call))
    }

    // MARK: Delete

    func deleteObject(_ call: Call) async throws -> HTTPResponse {
        let condition = try DeleteCondition(call.headers)
        let bypasses = try await bypassesGovernance(call)
        let outcome = try await delete(
            call.key, version: call.versionID, condition, bypasses: bypasses, call)
        var headers = HTTPHeaders()
        S3Headers.addVersion(outcome.versionID, to: &headers)
        if outcome.isDeleteMarker { headers.add("x-amz-delete-marker", "true") }
        return HTTPResponse(status: 204, headers: headers)
    }

    /// Deletes unless a condition does not hold, or a lock protects the version that is named. A
    /// delete marker takes nothing away, and so is written whatever is locked.
    private func delete(
        _ key: String, version: String?, _ condition: DeleteCondition, bypasses: Bool, _ call: Call
    ) async throws -> DeleteOutcome {
        let now = environment.wallTime()
        var options = condition.options
        let holds = options.check
        if version != nil {
            options.check = { info in
                try holds?(info)
                guard let info else { return }
                let lock = try ObjectLockState(info.attributes)
                guard lock.permitsDeletion(now: now, bypassing: bypasses) else {
                    throw S3Error.accessDenied(
                        "Access Denied because object protected by object lock.")
                }
            }
        }
        return try await call.service.delete(
            key, version: version, in: call.bucket, options: options)
    }

    private static let maximumDeletes = 1000

    /// What `DeleteObjects` asks of one key.
    private struct Deletion {
        var key: String
        var version: String?
        var element: XMLElement
    }

    func deleteObjects(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let root = try S3Gateway.parse(
            try await call.body.collect(limit: XMLReader.maximumBytes))
        let wanted = root.children(named: "Object").map {
            Deletion(
                key: $0.text(of: "Key") ?? "", version: $0.text(of: "VersionId"), element: $0)
        }
        guard root.name == "Delete", !wanted.isEmpty, wanted.count <= S3Gateway.maximumDeletes,
            !wanted.contains(where: { $0.key.isEmpty })
        else { throw S3Error.malformedXML }
        let isQuiet = root.text(of: "Quiet") == "true"
        _ = try await call.service.bucket(call.bucket)
        let bypasses = try await bypassesGovernance(call)
        var failures: [(wanted: Deletion, error: S3Error)] = []
        var deleted: [(wanted: Deletion, outcome: DeleteOutcome)] = []
        for wanted in wanted {
            do {
                let version = try S3Headers.version(
                    wanted.version.flatMap { $0.isEmpty ? nil : $0 })
                let action = version == nil ? "DeleteObject" : "DeleteObjectVersion"
                let isAllowed = try await isAllowed(
                    .write(action), call, key: wanted.key, version: version)
                guard isAllowed else {
                    failures.append((wanted, .denied))
                    continue
                }
                deleted.append(
                    (
                        wanted,
                        try await delete(
                            wanted.key, version: version, try DeleteCondition(wanted.element),
                            bypasses: bypasses, call)
                    ))
            } catch let error as S3Error {
                failures.append((wanted, error))
            } catch let error as ObjectError {
                failures.append((wanted, S3Error(error)))
            }
        }
        return S3Gateway.xml(
            XMLWriter.document("DeleteResult") { xml in
                for (wanted, outcome) in deleted where !isQuiet {
                    xml.element("Deleted") { xml in
                        xml.element("Key", wanted.key)
                        if let version = wanted.version { xml.element("VersionId", version) }
                        guard outcome.isDeleteMarker else { return }
                        xml.element("DeleteMarker", true)
                        xml.element("DeleteMarkerVersionId", outcome.versionID ?? "null")
                    }
                }
                for failure in failures {
                    xml.element("Error") { xml in
                        xml.element("Key", failure.wanted.key)
                        if let version = failure.wanted.version {
                            xml.element("VersionId", version)
                        }
                        xml.element("Code", failure.error.code)
                        xml.element("Message", failure.error.message)
                    }
                }
            })
    }
}
