internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Tags, retention and legal hold of object versions.
extension S3Gateway {
    /// Carries out what concerns a document of an object; nil if `operation` is about something else.
    @inline(never)
    func performOnObjectDocument(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .getBucketAcl: try getBucketAcl(call)
        case .putBucketAcl: try await putBucketAcl(call)
        case .getObjectAcl: try await getObjectAcl(call)
        case .putObjectAcl: try await putObjectAcl(call)
        case .getObjectTagging: try await getObjectTagging(call)
        case .putObjectTagging: try await putObjectTagging(call)
        case .deleteObjectTagging: try await deleteObjectTagging(call)
        case .getObjectRetention: try await getRetention(call)
        case .putObjectRetention: try await putRetention(call)
        case .getObjectLegalHold: try await getLegalHold(call)
        case .putObjectLegalHold: try await putLegalHold(call)
        default: nil
        }
    }

    /// Changes the attributes of the version that the request names.
    private func update(
        _ call: Call, status: Int,
        _ change: @escaping @Sendable (inout [String: [UInt8]]) throws -> Void
    ) async throws -> HTTPResponse {
        let version = call.versionID
        let info = try await S3Gateway.named(version) {
            try await call.service.updateAttributes(
                of: call.key, version: version, in: call.bucket, change)
        }
        return versioned(HTTPResponse(status: status), info)
    }

    private func versioned(_ response: HTTPResponse, _ info: ObjectInfo) -> HTTPResponse {
        var response = response
        S3Headers.addVersion(info.versionID, to: &response.headers)
        return response
    }

    func head(_ call: Call) async throws -> ObjectInfo {
        let version = call.versionID
        return try await S3Gateway.named(version) {
            try await call.service.head(call.key, version: version, in: call.bucket)
        }
    }

    // MARK: Tags

    private func getObjectTagging(_ call: Call) async throws -> HTTPResponse {
        let info = try await head(call)
        return versioned(S3Gateway.xml(TagSet(of: info).document), info)
    }

    private func putObjectTagging(_ call: Call) async throws -> HTTPResponse {
        let tags = try await read(call) { bytes throws(DocumentFault) in
            try TagSet(parsing: bytes, of: .object)
        }
        let bytes = tags.tags.isEmpty ? nil : tags.document
        return try await update(call, status: 200) { $0[DocumentName.tags] = bytes }
    }

    private func deleteObjectTagging(_ call: Call) async throws -> HTTPResponse {
        try await update(call, status: 204) { $0[DocumentName.tags] = nil }
    }

    /// What is kept with a copy: the tags of its source, unless the request brings others.
    static func attributes(of call: Call, copying source: ObjectInfo) -> [String: [UInt8]] {
        var attributes = call.attributes
        if call.headers["x-amz-tagging-directive"] != "REPLACE" {
            attributes[DocumentName.tags] = source.attributes[DocumentName.tags]
        }
        return attributes
    }

    // MARK: Locks

    private func checkLockable(_ call: Call) throws(S3Error) {
        guard call.bucketInfo?.settings.documents[DocumentName.objectLock] != nil else {
            throw S3Error(S3Gateway.noObjectLock)
        }
    }

    private static let notLocked = S3Error(
        "NoSuchObjectLockConfiguration", 404,
        "The specified object does not have a ObjectLock configuration")

    private func getRetention(_ call: Call) async throws -> HTTPResponse {
        try checkLockable(call)
        guard let bytes = try await head(call).attributes[DocumentName.retention] else {
            throw S3Gateway.notLocked
        }
        return S3Gateway.xml(bytes)
    }

    private func putRetention(_ call: Call) async throws -> HTTPResponse {
        try checkLockable(call)
        let now = environment.wallTime()
        let next = try await read(call) { bytes throws(DocumentFault) in
            let next = try ObjectRetention.parse(bytes)
            try next?.checkFuture(now)
            return next
        }
        let bypasses = try await bypassesGovernance(call)
        return try await update(call, status: 200) { attributes in
            let old = try ObjectLockState(attributes).retention
            guard old?.permits(next, now: now, bypassing: bypasses) ?? true else {
                throw S3Error.accessDenied(
                    "Access Denied because object protected by object lock.")
            }
            attributes[DocumentName.retention] = next?.document
        }
    }

    /// Whether the request asks to pass over a governance, and may.
    func bypassesGovernance(_ call: Call) async throws -> Bool {
        guard call.headers["x-amz-bypass-governance-retention"]?.lowercased() == "true" else {
            return false
        }
        return try await isAllowed(.object("BypassGovernanceRetention"), call)
    }

    private func getLegalHold(_ call: Call) async throws -> HTTPResponse {
        try checkLockable(call)
        guard let bytes = try await head(call).attributes[DocumentName.legalHold] else {
            throw S3Gateway.notLocked
        }
        return S3Gateway.xml(bytes)
    }

    private func putLegalHold(_ call: Call) async throws -> HTTPResponse {
        try checkLockable(call)
        let isHeld = try await read(call) { bytes throws(DocumentFault) in
            try ObjectLockState.parseHold(bytes)
        }
        return try await update(call, status: 200) {
            $0[DocumentName.legalHold] = ObjectLockState.holdDocument(isHeld)
        }
    }
}

extension ObjectLockState {
    /// What protects a version, out of what is kept with it. What cannot be read protects it, too.
    init(_ attributes: [String: [UInt8]]) throws(S3Error) {
        do throws(DocumentFault) {
            self.init(
                retention: try attributes[DocumentName.retention].flatMap {
                    bytes throws(DocumentFault) in try ObjectRetention.parse(bytes)
                },
                isHeld: try attributes[DocumentName.legalHold].map {
                    bytes throws(DocumentFault) in try ObjectLockState.parseHold(bytes)
                } ?? false)
        } catch {
            throw S3Error("InternalError", 500, "The lock of an object cannot be read")
        }
    }
}

extension S3Headers {
    /// What HEAD and GET tell of what is kept with a version: how many tags, its lock, and when the
    /// bucket's lifecycle lets it go.
    static func addKept(
        with info: ObjectInfo, _ call: S3Gateway.Call, to headers: inout HTTPHeaders
    ) {
        let tags = TagSet(of: info).tags
        if !tags.isEmpty { headers.add("x-amz-tagging-count", String(tags.count)) }
        do {
            let lock = try ObjectLockState(info.attributes)
            if let retention = lock.retention {
                headers.add("x-amz-object-lock-mode", retention.mode.rawValue)
                headers.add("x-amz-object-lock-retain-until-date", retention.until.rfc3339)
            }
            if info.attributes[DocumentName.legalHold] != nil {
                headers.add("x-amz-object-lock-legal-hold", lock.isHeld ? "ON" : "OFF")
            }
        } catch {
            headers.add("x-amz-object-lock-legal-hold", "ON")
        }
        addExpiration(of: info, call, to: &headers)
    }

    /// When the bucket's lifecycle aborts an upload, and by which rule.
    static func addAbortion(
        ofUpload key: String, started: WallTime, _ call: S3Gateway.Call,
        to headers: inout HTTPHeaders
    ) {
        guard let found = call.rules?.lifecycle?.abortion(ofUpload: key, started: started) else {
            return
        }
        headers.add("x-amz-abort-date", CivilDate(found.time).http)
        headers.add("x-amz-abort-rule-id", PercentEncoding.encode(found.rule.id))
    }

    static func addExpiration(
        of info: ObjectInfo, _ call: S3Gateway.Call, to headers: inout HTTPHeaders
    ) {
        guard let lifecycle = call.rules?.lifecycle else { return }
        let subject = LifecycleConfiguration.Subject(
            key: info.key, size: info.size, tags: TagSet(of: info).tags, modified: info.modified)
        guard let found = lifecycle.expiration(of: subject) else { return }
        headers.add("x-amz-expiration", LifecycleConfiguration.header(found))
    }
}
