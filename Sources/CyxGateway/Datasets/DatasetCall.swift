internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// A request about data sets: unlike others of REST's it may be nobody's in particular.
struct DatasetCall: Sendable {
    /// It names no bucket yet.
    var s3: S3Gateway.Call
    var account: S3Accounts.Account?
    /// The parts of the path after `/api/v1/`, decoded.
    var path: [String]
    var method: String

    init(s3: S3Gateway.Call, account: S3Accounts.Account?, path: [String], method: String) {
        self.s3 = s3
        self.account = account
        self.path = path
        self.method = method
    }

    init(_ call: RESTGateway.Call) {
        self.init(s3: call.s3, account: call.account, path: call.path, method: call.method)
    }

    var query: S3Query { s3.query }

    /// The CID that the path names, in the one spelling that there is of it.
    var cid: String {
        get throws(RESTError) {
            guard path.count > 1 else { throw .noSuchDataset }
            do throws(CIDError) { return try CID(path[1]).text } catch {
                throw .invalid("`\(path[1].prefix(100))` is no CID")
            }
        }
    }

    /// Routes that are not open have one.
    var owner: S3Accounts.Account {
        get throws(S3Error) {
            guard let account else { throw .denied }
            return account
        }
    }

    /// As S3 would be asked about the object of `dataset`, with nothing of the request in it that
    /// would have the answer be something else than what is stored.
    func s3Call(
        _ method: String, bucket: String, key: String, version: String? = nil
    ) -> S3Gateway.Call {
        var call = s3
        call.request.bucket = bucket
        call.request.key = key
        call.request.version = version
        call.request.query = S3Query()
        call.request.http.method = method
        var headers = HTTPHeaders()
        for field in s3.headers.fields where DatasetCall.passedHeaders.contains(field.name) {
            headers.add(field.name, field.value)
        }
        call.request.http.headers = headers
        return call
    }

    func s3Call(_ method: String, _ dataset: Dataset) -> S3Gateway.Call {
        s3Call(method, bucket: dataset.bucket, key: dataset.key, version: dataset.version)
    }

    private static let passedHeaders: Set<String> = [
        "range", "if-range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "referer", "user-agent",
    ]

    /// A whole number of the query.
    func number(
        _ name: String, in range: ClosedRange<UInt64>
    ) throws(RESTError) -> UInt64? {
        guard let text = query[name] else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(text),
            range.contains(number)
        else {
            throw .invalid(
                "`\(name)` is no whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Throws where the query has what means nothing here: a misspelt filter would otherwise be none.
    func checkQuery(_ names: Set<String>) throws(RESTError) {
        // A signature may stand there too.
        for item in query.items
        where !names.contains(item.name) && !item.name.hasPrefix("X-Amz-") {
            throw .invalid(
                "`\(item.name.prefix(100))` means nothing here",
                advice: "give any of: \(names.sorted().joined(separator: ", "))")
        }
    }
}

/// A data set that was found, and whose it is.
struct FoundDataset: Sendable {
    var dataset: Dataset
    var owner: S3Accounts.Account
}

extension RESTGateway {
    func catalog(_ account: S3Accounts.Account) -> DatasetCatalog {
        DatasetCatalog(service: account.service)
    }

    /// The data set that the path names, of whichever account has it. Each that this gateway serves is
    /// asked, the requester's first: they are few. A registry of all CIDs is for a later stage.
    @inline(never)
    func find(_ call: DatasetCall) async throws -> FoundDataset {
        let cid = try call.cid
        let all = s3.accounts.all.sorted { $0.id < $1.id }
        let own = all.filter { $0.id == call.account?.id }
        for account in own + all.filter({ $0.id != call.account?.id }) {
            if let dataset = try await catalog(account).find(cid) {
                return FoundDataset(dataset: dataset, owner: account)
            }
        }
        throw RESTError.noSuchDataset
    }

    /// The requester's own data set that the path names.
    @inline(never)
    func findOwn(_ call: DatasetCall) async throws -> FoundDataset {
        let found = try await find(call)
        guard try call.owner.id == found.owner.id else {
            throw RESTError.denied("Only the account whose the data set is may change it")
        }
        return found
    }

    // MARK: Who may read

    /// A call that may read the bytes. Throws where the requester may not.
    @inline(never)
    func reading(_ found: FoundDataset, _ call: DatasetCall) async throws -> S3Gateway.Call {
        let (dataset, isOwner) = (found.dataset, call.account?.id == found.owner.id)
        var reading = call.s3Call(call.method == "HEAD" ? "HEAD" : "GET", dataset)
        if !isOwner, dataset.access.isGated {
            throw RESTError(
                "NotImplemented", 501,
                "Readers must own a token, and there is no ledger to ask yet",
                advice: "its owner can take `required_token` and `required_balance` away")
        }
        do {
            try await authorizeReading(&reading)
        } catch let error as S3Error where error.status == 403 {
            guard try admits(found, call, reading) else { throw RESTGateway.refusal(call) }
            reading.service = found.owner.service
        } catch ObjectError.noSuchBucket {
            throw RESTGateway.replaced
        }
        return reading
    }

    @inline(never)
    private func authorizeReading(_ reading: inout S3Gateway.Call) async throws {
        try await s3.authorize(.getObject, &reading)
    }

    /// Whether what its owner said lets the requester read, where the bucket's own rules do not.
    @inline(never)
    private func admits(
        _ found: FoundDataset, _ call: DatasetCall, _ reading: S3Gateway.Call
    ) throws -> Bool {
        let (dataset, need) = (found.dataset, AccessNeed.object("GetObject", .read))
        // A key of the owner's account may what its own limits say, and no more.
        guard let access = reading.access, access.owner == found.owner.id,
            call.account?.id != found.owner.id, !s3.isForbidden(need, reading)
        else { return false }
        if let reach = call.account?.reach {
            let isReached = reach.allows(
                need, bucket: dataset.bucket, key: dataset.key, listed: nil)
            guard isReached else { return false }
        }
        if let id = call.account?.id, dataset.access.readers.contains(id) { return true }
        let block = access.block
        return dataset.access.isPublic && !block.ignoresPublicACLs && !block.restrictsPublicBuckets
    }

    private static func refusal(_ call: DatasetCall) -> RESTError {
        guard call.account == nil else {
            return .denied(
                "The data set is not yours to read",
                advice: "ask its owner to name your account in `allowed_readers`")
        }
        var error = RESTError(
            "AccessDenied", 401, "The data set is not public, and the request is nobody's",
            advice: RESTError.tokenAdvice)
        error.headers["www-authenticate"] = "Bearer"
        return error
    }

    /// Its description is there, and the object is another by now, or gone.
    static let replaced = RESTError(
        "NoSuchDataset", 404, "The object of the data set was deleted or replaced",
        advice: "its owner can upload it anew, or DELETE what is left of it")

    /// Throws unless that is still the data set's object.
    static func check(_ info: ObjectInfo, _ dataset: Dataset) throws(RESTError) {
        guard info.cid == dataset.cid else { throw replaced }
    }

    /// Tells what is gone as such.
    @inline(never)
    func headOf(_ reading: S3Gateway.Call, _ dataset: Dataset) async throws -> ObjectInfo {
        let info: ObjectInfo
        do {
            info = try await reading.service.head(
                dataset.key, version: dataset.version, in: dataset.bucket)
        } catch ObjectError.noSuchKey, ObjectError.noSuchVersion, ObjectError.noSuchBucket {
            throw RESTGateway.replaced
        }
        try RESTGateway.check(info, dataset)
        return info
    }
}
