internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway.Call {
    /// The version that the request names; nil: the current one.
    var versionID: String? { request.version }

    /// Whose the bucket is.
    var owner: String { access?.owner ?? requester.id ?? "" }
}

/// The one place that decides who may do what. Everything here happens before an operation begins.
extension S3Gateway {
    /// Finds the bucket, whoever's it is, and throws unless the requester may do all of `operation`.
    func authorize(_ operation: S3Operation, _ call: inout Call) async throws {
        let hasBucket = call.request.bucket != nil && operation != .writeGetObjectResponse
        guard hasBucket, operation != .createBucket else {
            guard let account = call.account else { throw S3Error.denied }
            let isWithinReach =
                account.reach?.reachesAccount(lists: operation == .listBuckets) ?? true
            guard isWithinReach else { throw S3Error.denied }
            return
        }
        try await open(&call, expecting: "x-amz-expected-bucket-owner")
        if operation == .putObjectTagging {
            call.document = try await call.body.collect(limit: S3Gateway.maximumDocumentBytes)
        }
        let isOwner = call.requester.id == call.owner
        guard let needs = operation.needs(of: call.request) else {
            guard isOwner, call.account?.reach == nil else { throw S3Error.denied }
            return
        }
        for need in needs {
            if try await !isAllowed(need, call) {
                guard try await isOwnUpload(operation, need, call) else { throw S3Error.denied }
            }
            guard isOwner || !need.isOfPolicy else {
                throw S3Error.methodNotAllowed(call.request.http.method)
            }
        }
        switch operation {
        case .putObject, .createMultipartUpload:
            call.attributes = try attributesOfNewObject(call, isCopy: false)
        case .copyObject:
            call.attributes = try attributesOfNewObject(call, isCopy: true)
            call.source = try await authorizeSource(call)
        case .uploadPartCopy: call.source = try await authorizeSource(call)
        default: break
        }
    }

    /// Whoever began an upload may look at it and abort it, unless a policy denies it ("Multipart
    /// upload API and permissions" of S3's guide).
    private func isOwnUpload(
        _ operation: S3Operation, _ need: AccessNeed, _ call: Call
    ) async throws -> Bool {
        guard operation == .listParts || operation == .abortMultipartUpload,
            let requester = call.requester.id, call.account?.reach == nil,
            !isForbidden(need, call)
        else { return false }
        do {
            let upload = try await call.service.upload(
                call.query["uploadId"] ?? "", key: call.key, in: call.bucket)
            return upload.headers[S3Headers.initiator] == requester
        } catch ObjectError.noSuchUpload {
            return false
        }
    }

    /// Of what is read before the decision.
    static let maximumDocumentBytes = 128 << 10

    /// Has the call go on with the bucket's owner's objects, as far as the requester may. `header`
    /// may say whose the bucket must be.
    private func open(_ call: inout Call, expecting header: String) async throws {
        let (info, owner) = try await bucket(call.bucket, for: call)
        call.service = owner.service
        call.bucketInfo = info
        call.rules = try rules.rules(of: info, owner: owner.id)
        if let expected = call.headers[header], expected != owner.id {
            throw S3Error.denied
        }
    }

    /// A bucket of whichever account has it.
    private func bucket(
        _ name: String, for call: Call
    ) async throws -> (info: BucketInfo, owner: S3Accounts.Account) {
        if let account = call.account {
            do {
                return (try await account.service.bucket(name), account)
            } catch ObjectError.noSuchBucket {
                // Perhaps it is somebody else's.
            }
        }
        return try await bucket(name, askedOf: call.service)
    }

    /// A bucket of whichever account has it, as `service` tells.
    func bucket(
        _ name: String, askedOf service: any ObjectService
    ) async throws -> (info: BucketInfo, owner: S3Accounts.Account) {
        if let id = owners.owner(of: name, environment.now()), let owner = accounts.account(id: id)
        {
            do {
                return (try await owner.service.bucket(name), owner)
            } catch ObjectError.noSuchBucket {
                // Deleted at another gateway; its name may be somebody else's by now.
                owners.forget(name)
            }
        }
        guard let id = try await service.owner(of: name) else {
            throw ObjectError.noSuchBucket
        }
        guard let owner = accounts.account(id: id.hex) else {
            // Its keys are at other gateways only.
            throw S3Error.denied
        }
        owners.remember(owner.id, of: name, environment.now())
        return (try await owner.service.bucket(name), owner)
    }

    /// Whether the requester may do what `need` says with the call's bucket, or with `key` in it.
    func isAllowed(
        _ need: AccessNeed, _ call: Call, key: String? = nil, version: String? = nil
    ) async throws -> Bool {
        guard let access = call.access else { return false }
        let key = key ?? call.request.key ?? ""
        if let reach = call.account?.reach {
            let isListing = need == .list || need.action.hasPrefix("ListBucket")
            let listed =
                isListing && call.request.http.method != "HEAD"
                ? call.query["prefix"] ?? "" : nil
            guard reach.allows(need, bucket: call.bucket, key: key, listed: listed) else {
                return false
            }
        }
        var context = policyContext(need, call, key: key)
        var side: BucketAccess.ObjectSide?
        var isMissing = false
        if access.asksForObject(need, call.requester) {
            do {
                let version = version ?? call.versionID
                let info = try await call.service.head(key, version: version, in: call.bucket)
                side = try access.side(of: info)
                for tag in TagSet(of: info).tags {
                    context["s3:ExistingObjectTag/" + tag.key] = [tag.value]
                }
            } catch ObjectError.noSuchKey, ObjectError.noSuchVersion, ObjectError.deleteMarker {
                isMissing = true
            }
        }
        if access.allows(need, context, object: side) { return true }
        // Whoever may list the bucket may be told that it has no such key.
        guard isMissing, need.acl == .object, access.policy?.answer(to: context) != .denied else {
            return false
        }
        return access.allows(.list, policyContext(.list, call, key: ""))
    }

    /// Whether the bucket's policy says that the requester may not, whatever else would let it. To be
    /// asked once `authorize` has found the bucket.
    func isForbidden(_ need: AccessNeed, _ call: Call) -> Bool {
        call.access?.policy?.answer(to: policyContext(need, call, key: call.key)) == .denied
    }

    /// Whether the requester may know that a key does not exist.
    func mayKnowOfAbsence(_ call: Call) -> Bool {
        call.access?.allows(.list, policyContext(.list, call, key: "")) ?? true
    }

    /// Finds the bucket that a copy reads from and throws unless the requester may read the source.
    private func authorizeSource(_ call: Call) async throws -> (any ObjectService)? {
        let source = try S3Gateway.copySource(call.headers["x-amz-copy-source"] ?? "")
        var reading = call
        reading.request.bucket = source.bucket
        reading.request.key = source.key
        reading.request.version = source.version
        reading.service = call.account?.service ?? call.service
        try await open(&reading, expecting: "x-amz-source-expected-bucket-owner")
        let need = AccessNeed.object(
            source.version == nil ? "GetObject" : "GetObjectVersion", .read)
        guard try await isAllowed(need, reading, key: source.key) else { throw S3Error.denied }
        return reading.service
    }

    // MARK: What the request says

    private static let conditionHeaders = [
        "x-amz-acl", "x-amz-copy-source", "x-amz-metadata-directive",
        "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class",
        "x-amz-website-redirect-location", "x-amz-content-sha256", "x-amz-object-ownership",
        "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp",
        "x-amz-grant-write", "x-amz-grant-write-acp", "if-match", "if-none-match",
    ]

    private func policyContext(_ need: AccessNeed, _ call: Call, key: String) -> PolicyContext {
        let path = need.subject == .object ? "\(call.bucket)/\(key)" : call.bucket
        var context = PolicyContext(
            requester: call.requester, action: "s3:" + need.action,
            resource: "arn:aws:s3:::" + path)
        // Nothing but a policy asks for the rest.
        guard call.access?.policy != nil else { return context }
        let headers = call.headers
        for name in S3Gateway.conditionHeaders {
            if let value = headers[name] { context["s3:" + name] = [value] }
        }
        for name in ["mode", "retain-until-date", "legal-hold"] {
            if let value = headers["x-amz-object-lock-" + name] {
                context["s3:object-lock-" + name] = [value]
            }
        }
        for name in ["prefix", "delimiter", "max-keys", "versionId"] {
            if let value = call.query[name] { context["s3:" + name] = [value] }
        }
        addTags(of: call, to: &context)
        context["s3:ResourceAccount"] = [call.owner]
        if call.account != nil { context["s3:signatureversion"] = [SigningScope.algorithm] }
        let now = environment.wallTime()
        context["aws:CurrentTime"] = [now.rfc3339]
        context["aws:EpochTime"] = [String(now.milliseconds / 1000)]
        // Of TLS that ends at a proxy nothing is known: its word on it anybody could imitate.
        context["aws:SecureTransport"] = [call.request.http.isSecure ? "true" : "false"]
        context["aws:Referer"] = headers["referer"].map { [$0] }
        context["aws:UserAgent"] = headers["user-agent"].map { [$0] }
        context["aws:SourceIp"] = call.request.http.remote.map { [$0.hostDescription] }
        return context
    }

    /// The tags that the request brings. Broken ones are refused by who reads them in earnest.
    private func addTags(of call: Call, to context: inout PolicyContext) {
        let tags: [TagSet.Tag]
        do {
            if let document = call.document {
                tags = try TagSet(parsing: document, of: .object).tags
            } else if let header = call.headers["x-amz-tagging"] {
                tags = try TagSet(header: header).tags
            } else {
                return
            }
        } catch {
            return
        }
        for tag in tags { context["s3:RequestObjectTag/" + tag.key] = [tag.value] }
        if !tags.isEmpty { context["s3:RequestObjectTagKeys"] = tags.map(\.key) }
    }

    // MARK: What is kept with a new object

    /// What the request wants kept with the object that it writes, beside its bytes and headers.
    func attributesOfNewObject(
        _ call: Call, isCopy: Bool
    ) throws(S3Error) -> [String: [UInt8]] {
        guard let access = call.access else { return [:] }
        var attributes: [String: [UInt8]] = [:]
        let headers = call.headers
        let requested: RequestedACL?
        do throws(DocumentFault) {
            requested = try RequestedACL { headers[$0] }
            let takesTags = !isCopy || headers["x-amz-tagging-directive"] == "REPLACE"
            if takesTags, let header = headers["x-amz-tagging"] {
                let tags = try TagSet(header: header)
                if !tags.tags.isEmpty { attributes[DocumentName.tags] = tags.document }
            }
        } catch {
            throw S3Error(error)
        }
        let acl = try access.aclOfNewObject(requested, by: call.requester)
        attributes[DocumentName.acl] = acl?.document { _ in nil }
        try addLock(call, to: &attributes)
        return attributes
    }

    private func addLock(
        _ call: Call, to attributes: inout [String: [UInt8]]
    ) throws(S3Error) {
        let (headers, now) = (call.headers, environment.wallTime())
        do throws(DocumentFault) {
            var state = try ObjectLockState(header: { headers[$0] }, now: now)
            let bytes = call.bucketInfo?.settings.documents[DocumentName.objectLock]
            guard let bytes else {
                guard state == nil else { throw S3Gateway.noObjectLock }
                return
            }
            if state?.retention == nil {
                let standard = try ObjectLockConfiguration(parsing: bytes).retention(from: now)
                state = ObjectLockState(retention: standard, isHeld: state?.isHeld ?? false)
            }
            attributes[DocumentName.retention] = state?.retention?.document
            if state?.isHeld == true {
                attributes[DocumentName.legalHold] = ObjectLockState.holdDocument(true)
            }
        } catch {
            throw S3Error(error)
        }
    }

    static let noObjectLock = DocumentFault(
        "InvalidRequest", 400, "Bucket is missing Object Lock Configuration")
}

extension TagSet {
    /// The tags that are kept with an object; none where it has none.
    init(of info: ObjectInfo) {
        self.init()
        guard let bytes = info.attributes[DocumentName.tags] else { return }
        do { self = try TagSet(parsing: bytes, of: .object) } catch { self.init() }
    }
}
