internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// `POST /api/v1/datasets`: a form with a file, or the name of an object that is there already.
extension RESTGateway {
    // Each step is a coroutine of its own: see `createShare`.
    func createDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        let account = try call.owner
        // Who may not write has no bucket made.
        if account.reach?.limits.rights != .read { try await catalog(account).prepare() }
        let type = call.s3.headers["content-type"]
        let dataset: Dataset
        let info: ObjectInfo
        if let boundary = FormReader.boundary(type) {
            (dataset, info) = try await upload(call, boundary)
        } else if (type ?? "").lowercased().hasPrefix("application/json") {
            (dataset, info) = try await register(call)
        } else {
            throw RESTError(
                "UnsupportedMediaType", 415,
                "A data set is brought by a form (multipart/form-data) with a part `file`, or is named "
                    + "by application/json with `bucket` and `key`")
        }
        let path = RESTGateway.root + "datasets/" + dataset.cid
        return RESTGateway.json(
            .object(
                [
                    ("cid", .string(dataset.cid)),
                    ("size", .integer(Int64(clamping: dataset.size))),
                    ("chunks", .integer(Int64(clamping: dataset.chunks))),
                ] + RESTGateway.durability(info)), status: 201,
            headers: HTTPHeaders([("location", path)]))
    }

    /// CF-25: the code, how many bytes it makes of one, and how many copies would survive as much. An
    /// object that lies in rows of the tables has none of its own.
    static func durability(_ info: ObjectInfo) -> [(key: String, value: JSONValue)] {
        var (factor, expansion): (JSONValue, JSONValue) = (.null, .null)
        if let code = S3Headers.code(info.redundancy) {
            factor = .integer(Int64(code.parity) + 1)
            expansion = .number(Double(code.data + code.parity) / Double(code.data))
        }
        return [
            ("redundancy", .string(info.redundancy)), ("expansion", expansion),
            ("replication_factor", factor),
        ]
    }

    // MARK: A form

    @inline(never)
    private func upload(
        _ call: DatasetCall, _ boundary: String
    ) async throws -> (Dataset, ObjectInfo) {
        let account = try call.owner
        let file = try await DatasetUpload(call.s3.body, boundary: boundary) { fields in
            try RESTGateway.check(fields, by: account)
        }
        let place = try place(file.place, call)
        let writing = try await authorizeWriting(place, call)
        let info = try await store(file, place, writing)
        let format = file.outcome.fields.format ?? DatasetFields.format(ofFile: file.fileName)
        var dataset = Dataset(
            cid: info.cid, bucket: place.bucket, key: place.key, version: info.versionID,
            size: file.outcome.size,
            chunks: RESTGateway.chunks(file.outcome.size, place.size), created: info.modified,
            name: file.fileName.isEmpty ? info.cid : file.fileName, format: format)
        do {
            try file.outcome.fields.apply(to: &dataset)
            dataset = try await keep(dataset, file.outcome.fields, call)
        } catch {
            if place.isOwn { try await drop(dataset, call) }
            throw error
        }
        // The same content was there before, and one of both is enough.
        if place.isOwn, dataset.key != place.key {
            var spare = dataset
            (spare.key, spare.version) = (place.key, info.versionID)
            try await drop(spare, call)
        }
        return (dataset, info)
    }

    struct DatasetPlace: Equatable, Sendable {
        var bucket: String
        var key: String
        var size: UInt64?
        /// Whether it is where data sets are put that are put nowhere else.
        var isOwn: Bool
    }

    @inline(never)
    private func place(_ body: JSONBody, _ call: DatasetCall) throws -> DatasetPlace {
        let own = DatasetCatalog.bucket(of: try call.owner.service.account)
        let name = DatasetCatalog.dataPrefix + Hex.encode(environment.random.bytes(16))
        let size = try body.integer("size", in: 0...Int64.max).map { UInt64($0) }
        guard let bucket = try body.text("bucket") else {
            guard try body.text("key") == nil else {
                throw RESTError.invalid("`key` needs a `bucket`")
            }
            return DatasetPlace(bucket: own, key: name, size: size, isOwn: true)
        }
        guard let key = try body.text("key") else {
            throw RESTError.invalid("`bucket` needs a `key`")
        }
        try RESTGateway.check(key, bucket, own)
        return DatasetPlace(bucket: bucket, key: key, size: size, isOwn: false)
    }

    @inline(never)
    private static func check(_ key: String, _ bucket: String, _ own: String) throws {
        guard bucket != own else {
            throw RESTError.invalid("The bucket of data sets is for those without a `bucket`")
        }
        guard (1...S3Request.maximumKeyBytes).contains(key.utf8.count) else {
            throw RESTError.invalid("`key` has 1 to 1024 bytes")
        }
        try S3Request.checkParents(in: key)
    }

    @inline(never)
    private func authorizeWriting(
        _ place: DatasetPlace, _ call: DatasetCall
    ) async throws -> S3Gateway.Call {
        var writing = call.s3Call("PUT", bucket: place.bucket, key: place.key)
        try await s3.authorize(.putObject, &writing)
        guard try writing.owner == call.owner.id else {
            throw RESTError.denied("A data set lies in a bucket of its account's own")
        }
        return writing
    }

    @inline(never)
    private func store(
        _ file: DatasetUpload, _ place: DatasetPlace, _ writing: S3Gateway.Call
    ) async throws -> ObjectInfo {
        var options = PutOptions()
        options.size = place.size
        options.headers["content-type"] = DatasetFields.contentType(
            of: DatasetFields.format(ofFile: file.fileName))
        options.attributes = writing.attributes
        // As S3 does for what is put through it.
        let outcome = CheckedBody.Outcome()
        options.checksumsAtEnd = { outcome.checksums }
        return try await writing.service.put(
            place.key, in: place.bucket, options: options,
            body: ChecksummedSource(file, .implied, outcome))
    }

    /// How many chunks hold that many bytes; `told`: what the writer was told before they came.
    static func chunks(_ size: UInt64, _ told: UInt64?) -> UInt64 {
        // ST-03: those of which nobody knew the size have chunks of 1 MiB.
        let isLarge = (told ?? 0) > DatasetSizes.large
        let chunk = isLarge ? DatasetSizes.largeChunk : DatasetSizes.chunk
        return (size + chunk - 1) / chunk
    }

    // MARK: An object that is there

    @inline(never)
    private func register(_ call: DatasetCall) async throws -> (Dataset, ObjectInfo) {
        let bytes = try await RESTGateway.bytes(call.s3.body)
        let (place, fields) = try registered(bytes, call)
        try RESTGateway.check(fields, by: try call.owner)
        var writing = try await authorizeWriting(place, call)
        writing.request.http.method = "GET"
        try await s3.authorize(.getObject, &writing)
        let info = try await writing.service.head(place.key, in: place.bucket)
        guard !CustomerCipher.isUsed(by: info.headers) else {
            throw RESTError(
                "InvalidRequest", 400, "The object is encrypted with a key of its writer's")
        }
        let file = FileName.last(of: place.key)
        var dataset = Dataset(
            cid: info.cid, bucket: place.bucket, key: place.key, version: info.versionID,
            size: info.size, chunks: RESTGateway.chunks(of: info), created: info.modified,
            name: String(file.suffix(DatasetFields.nameBytesMax / 4)),
            format: DatasetFields.format(ofFile: file))
        try fields.apply(to: &dataset)
        return (try await keep(dataset, fields, call), info)
    }

    @inline(never)
    private func registered(
        _ bytes: [UInt8], _ call: DatasetCall
    ) throws -> (DatasetPlace, DatasetFields) {
        let places: Set<String> = ["bucket", "key"]
        let body = try JSONBody(bytes, allowing: DatasetFields.names.union(places))
        let place = try place(body, call)
        guard !place.isOwn else {
            throw RESTError.invalid("`bucket` and `key` must name an object")
        }
        return (place, try DatasetFields(body))
    }

    /// Parts have chunks of their own, of 1 MiB.
    static func chunks(of info: ObjectInfo) -> UInt64 {
        guard !info.parts.isEmpty else { return chunks(info.size, info.size) }
        return info.parts.reduce(0) { $0 + chunks($1.size, nil) }
    }

    // MARK: Common

    @inline(never)
    static func bytes(_ body: CheckedBody) async throws -> [UInt8] {
        var body = body
        return try await body.collect(limit: JSONBody.maximumBytes)
    }

    /// Throws unless the account's request may say that: a limited key decides about nobody's
    /// reading, since who has one could widen it.
    static func check(
        _ fields: DatasetFields, by account: S3Accounts.Account
    ) throws(RESTError) {
        var blank = Dataset(
            cid: "", bucket: "", key: "", version: nil, size: 0, chunks: 0,
            created: WallTime(milliseconds: 0), name: "", format: "")
        try fields.apply(to: &blank)
        guard fields.access == nil || account.reach == nil else {
            throw .denied("A limited key, or a token of one, may not say who reads a data set")
        }
    }

    /// Adds the data set. The same content in the same bucket is the same data set: what is said of it
    /// is changed then, and it stays where it is unless that is elsewhere or gone.
    @inline(never)
    private func keep(
        _ dataset: Dataset, _ fields: DatasetFields, _ call: DatasetCall
    ) async throws -> Dataset {
        let catalog = catalog(try call.owner)
        do {
            try await catalog.add(dataset)
            return dataset
        } catch ObjectError.preconditionFailed {
            let stays = try await isThere(dataset.cid, call)
            return try await catalog.update(dataset.cid) { known in
                try fields.apply(to: &known)
                let isPut = dataset.bucket != catalog.bucket
                guard !stays || isPut else { return }
                known.bucket = dataset.bucket
                known.key = dataset.key
                known.version = dataset.version
            }
        }
    }

    /// Whether the account's data set of that CID still has its object.
    @inline(never)
    private func isThere(_ cid: String, _ call: DatasetCall) async throws -> Bool {
        let account = try call.owner
        guard let known = try await catalog(account).find(cid) else { return false }
        var reading = call.s3Call("HEAD", known)
        reading.service = account.service
        do {
            _ = try await headOf(reading, known)
            return true
        } catch let error as RESTError where error == RESTGateway.replaced {
            return false
        }
    }

    /// Deletes the bytes of a data set that lies in the bucket of data sets.
    @inline(never)
    func drop(_ dataset: Dataset, _ call: DatasetCall) async throws {
        let service = try call.owner.service
        _ = try await service.delete(
            dataset.key, version: dataset.version, in: dataset.bucket, options: DeleteOptions())
    }
}

/// How objects are cut into chunks (ST-03, CF-24), as `CyxObjects` does it.
enum DatasetSizes {
    /// Beyond this size, where it is known beforehand, chunks are large ones.
    static let large: UInt64 = 1 << 30
    static let chunk: UInt64 = 1 << 20
    static let largeChunk: UInt64 = 4 << 20
}
