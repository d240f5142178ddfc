internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Data sets by CID: their bytes, what is said of them, and what their owner changes of that.
extension RESTGateway {
    func getDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery([])
        let found = try await find(call)
        let stored = try await bytes(found, try await reading(found, call), call)
        return RESTGateway.file(stored, found.dataset)
    }

    @inline(never)
    private func bytes(
        _ found: FoundDataset, _ reading: S3Gateway.Call, _ call: DatasetCall
    ) async throws -> HTTPResponse {
        let response: HTTPResponse
        do {
            response =
                call.method == "HEAD"
                ? try await s3.headObject(reading) : try await s3.getObject(reading)
        } catch let error as S3Error where RESTGateway.absent.contains(error.code) {
            throw RESTGateway.replaced
        } catch ObjectError.noSuchKey, ObjectError.noSuchVersion {
            throw RESTGateway.replaced
        }
        guard response.headers["x-cyx-cid"] == found.dataset.cid else {
            throw RESTGateway.replaced
        }
        return response
    }

    private static let absent: Set<String> = ["NoSuchKey", "NoSuchVersion"]

    /// The bytes as they are stored, as a file that no browser shows as a page of the gateway's.
    private static func file(_ stored: HTTPResponse, _ dataset: Dataset) -> HTTPResponse {
        var headers = HTTPHeaders()
        for field in stored.headers.fields where givenHeaders.contains(field.name) {
            headers.add(field.name, field.value)
        }
        let type = DatasetFields.contentType(of: dataset.format)
        if type != DatasetFields.otherType { headers.set("content-type", type) }
        headers.set("cache-control", "private, no-cache")
        headers.set("content-disposition", FileName.disposition(dataset.name))
        headers.set("content-security-policy", LinkPage.sandbox)
        headers.set("x-content-type-options", "nosniff")
        return HTTPResponse(status: stored.status, headers: headers, body: stored.body)
    }

    private static let givenHeaders: Set<String> = [
        "content-type", "content-encoding", "content-range", "accept-ranges", "etag",
        "last-modified", "x-cyx-cid", "x-cyx-redundancy", "x-cyx-survives",
    ]

    // MARK: What is said of one

    func describeDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery([])
        let found = try await find(call)
        let info = try await info(found, call)
        return RESTGateway.json(.object(RESTGateway.describe(found, call) + info))
    }

    /// Who may read may know how it lies; of one that searches find anybody may know the rest.
    @inline(never)
    private func info(
        _ found: FoundDataset, _ call: DatasetCall
    ) async throws -> [(key: String, value: JSONValue)] {
        do {
            let reading = try await reading(found, call)
            return RESTGateway.durability(try await headOf(reading, found.dataset))
        } catch let error as RESTError
            where [401, 403, 501].contains(error.status) && found.dataset.access.isListed
        {
            return []
        }
    }

    /// What anybody may know who may know of it; its owner's account, as far as the key of the request
    /// reaches, also where it lies and who may read.
    static func describe(
        _ found: FoundDataset, _ call: DatasetCall
    ) -> [(key: String, value: JSONValue)] {
        let dataset = found.dataset
        var fields: [(key: String, value: JSONValue)] = [
            ("cid", .string(dataset.cid)), ("size", .integer(Int64(clamping: dataset.size))),
            ("chunks", .integer(Int64(clamping: dataset.chunks))),
        ]
        fields += dataset.described
        fields += [
            ("owner", .string(found.owner.id)), ("created_at", .string(dataset.created.rfc3339)),
        ]
        guard let account = call.account, account.id == found.owner.id,
            reaches(dataset, account)
        else { return fields }
        fields += [
            ("bucket", .string(dataset.bucket)), ("key", .string(dataset.key)),
            ("access", dataset.access.json),
        ]
        return fields
    }

    func updateDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery([])
        let fields = try await fields(call)
        try RESTGateway.check(fields, by: try call.owner)
        var found = try await findOwn(call)
        try await authorizeChange(.putObject, found, call)
        found.dataset = try await changed(found, fields)
        return RESTGateway.json(.object(RESTGateway.describe(found, call)))
    }

    @inline(never)
    private func fields(_ call: DatasetCall) async throws -> DatasetFields {
        let bytes = try await RESTGateway.bytes(call.s3.body)
        return try DatasetFields(try JSONBody(bytes, allowing: DatasetFields.names))
    }

    /// Whoever may write the object may say what it is.
    @inline(never)
    private func authorizeChange(
        _ operation: S3Operation, _ found: FoundDataset, _ call: DatasetCall
    ) async throws {
        var writing = call.s3Call(operation == .putObject ? "PUT" : "DELETE", found.dataset)
        // Its version is the catalog's affair.
        writing.request.version = nil
        try await s3.authorize(operation, &writing)
    }

    @inline(never)
    private func changed(
        _ found: FoundDataset, _ fields: DatasetFields
    ) async throws -> Dataset {
        do {
            return try await catalog(found.owner).update(found.dataset.cid) {
                try fields.apply(to: &$0)
            }
        } catch ObjectError.noSuchKey {
            // Deleted meanwhile.
            throw RESTError.noSuchDataset
        }
    }

    /// Takes the data set away, with its bytes if they lie in the bucket of data sets; an object that
    /// was put elsewhere stays what it is for S3.
    func deleteDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery([])
        let found = try await findOwn(call)
        try await remove(found, call)
        return HTTPResponse(status: 204)
    }

    @inline(never)
    private func remove(_ found: FoundDataset, _ call: DatasetCall) async throws {
        do {
            try await authorizeChange(.deleteObject, found, call)
        } catch ObjectError.noSuchBucket {
            // What was said of it is left, and nobody's but the account's.
            guard try call.owner.reach == nil else { throw ObjectError.noSuchBucket }
        }
        let catalog = catalog(found.owner)
        // The bytes first: else nobody would know of them if this ended in between.
        if found.dataset.bucket == catalog.bucket { try await drop(found.dataset, call) }
        try await catalog.remove(found.dataset.cid)
    }

    // MARK: Lists

    /// Data sets of a page, unless the request asks for fewer.
    static let datasetsOfPage: UInt64 = 64

    func listDatasets(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery(["limit", "after"])
        let limit = try call.number("limit", in: 1...RESTGateway.datasetsOfPage)
        let account = try call.owner
        let page = try await catalog(account).page(
            after: call.query["after"] ?? "", limit: Int(limit ?? RESTGateway.datasetsOfPage))
        let datasets = page.datasets.filter { RESTGateway.reaches($0, account) }.map {
            JSONValue.object(
                RESTGateway.describe(FoundDataset(dataset: $0, owner: account), call))
        }
        return RESTGateway.json(
            .object([("datasets", .array(datasets)), ("next", .optional(page.next))]))
    }

    /// Whether the request's key reaches what is of its account.
    private static func reaches(_ dataset: Dataset, _ account: S3Accounts.Account) -> Bool {
        let need = AccessNeed.object("GetObject", .read)
        return account.reach?.allows(
            need, bucket: dataset.bucket, key: dataset.key, listed: nil) ?? true
    }
}
