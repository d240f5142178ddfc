internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What `GET /api/v1/datasets/CID/stream` is asked for. Pure.
struct SampleRequest: Equatable, Sendable {
    static let names: Set<String> = [
        "batch_size", "format", "record_size", "offset", "limit", "drop_last", "shuffle",
    ]
    static let batchMax: UInt64 = 65_536
    static let recordBytesMax: UInt64 = 1 << 30

    enum Format: String, Sendable { case raw, jsonl, numpy }

    var slice: SampleSlice
    /// Nil: the one that goes with what the object is.
    var format: Format?
    /// Of an object that consists of nothing but records of one size.
    var recordBytes: UInt64?

    @inline(never)
    init(_ call: DatasetCall) throws(RESTError) {
        let count: ClosedRange<UInt64> = 0...UInt64(Int64.max)
        slice = SampleSlice(
            batch: try call.number("batch_size", in: 1...SampleRequest.batchMax) ?? 32)
        slice.offset = try call.number("offset", in: count) ?? 0
        slice.limit = try call.number("limit", in: count)
        slice.dropsLast = try SampleRequest.flag("drop_last", call)
        recordBytes = try call.number("record_size", in: 1...SampleRequest.recordBytesMax)
        guard try !SampleRequest.flag("shuffle", call) else {
            throw SampleRequest.notImplemented(
                "Shuffled streams", "shuffle what comes, in a buffer")
        }
        guard let text = call.query["format"] else { return }
        guard text != "arrow" else {
            throw SampleRequest.notImplemented("Streams of Arrow", "ask for raw, jsonl or numpy")
        }
        guard let format = Format(rawValue: text) else {
            throw .invalid("`format` is none of raw, jsonl and numpy")
        }
        self.format = format
    }

    private static func flag(_ name: String, _ call: DatasetCall) throws(RESTError) -> Bool {
        switch call.query[name] {
        case nil, "false", "0": false
        case "true", "1": true
        default: throw .invalid("`\(name)` is neither true nor false")
        }
    }

    private static func notImplemented(_ what: String, _ advice: String) -> RESTError {
        RESTError("NotImplemented", 501, "\(what) are not implemented", advice: advice)
    }
}

/// Streams of samples, in batches. What a sample is goes by the format that the data set has: a line of
/// `jsonl` or `csv`, a row of `npy` along the first axis, and else a record of `record_size` bytes.
extension RESTGateway {
    func streamDataset(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery(SampleRequest.names)
        let request = try SampleRequest(call)
        let found = try await find(call)
        let reading = try await reading(found, call)
        do {
            return try await stream(request, found.dataset, reading)
        } catch let fault as SampleFault {
            throw RESTError(fault)
        }
    }

    @inline(never)
    private func stream(
        _ request: SampleRequest, _ dataset: Dataset, _ reading: S3Gateway.Call
    ) async throws -> HTTPResponse {
        _ = try await headOf(reading, dataset)
        switch dataset.format {
        case "csv" where request.recordBytes == nil:
            return try await lines(.csv, request, dataset, reading)
        case "jsonl", "ndjson":
            return try await lines(.jsonLines, request, dataset, reading)
        case "npy" where request.recordBytes == nil:
            return try await rows(request, dataset, reading)
        default: return try await records(request, dataset, reading)
        }
    }

    // MARK: Lines

    @inline(never)
    private func lines(
        _ text: SampleBatcher.Text, _ request: SampleRequest, _ dataset: Dataset,
        _ reading: S3Gateway.Call
    ) async throws -> HTTPResponse {
        let output: SampleBatcher.Output =
            switch request.format ?? .jsonl {
            case .raw: .lines
            case .jsonl: .jsonLines
            case .numpy: .numpy
            }
        let machine = try SampleBatcher(text, as: output, request.slice)
        guard let slot = samples.take() else {
            var error = RESTError(
                "SlowDown", 503, "This gateway serves as many streams as it can",
                advice: "try again in \(SampleSlots.retrySeconds) s")
            error.headers["retry-after"] = String(SampleSlots.retrySeconds)
            throw error
        }
        let body = try await bytes(.whole, dataset, reading)
        var stream = SampleStream(
            body, machine, tellsFaults: output == .jsonLines, blocking: environment.blocking,
            slot: slot)
        let headers = RESTGateway.headers(request, isJSON: output == .jsonLines)
        guard let first = try await stream.next() else {
            return HTTPResponse(status: 200, headers: headers)
        }
        return HTTPResponse(
            status: 200, headers: headers,
            body: .stream(length: nil, BegunSource(first, stream)))
    }

    // MARK: Samples of one size

    @inline(never)
    private func rows(
        _ request: SampleRequest, _ dataset: Dataset, _ reading: S3Gateway.Call
    ) async throws -> HTTPResponse {
        guard request.format != .jsonl else { throw RESTGateway.noJSON }
        let end = min(UInt64(NumpyHeader.bytesMax), dataset.size)
        var beginning: [UInt8] = []
        if end > 0 {
            var source = try await bytes(.from(0, through: end - 1), dataset, reading)
            while let more = try await source.next() { beginning += more }
        }
        let header = try NumpyHeader(parsing: beginning)
        guard header.dataOffset + header.dataBytes == dataset.size else {
            throw SampleFault.malformed(
                "The .npy file should have \(header.dataOffset + header.dataBytes) bytes by its head, "
                    + "and has \(dataset.size)")
        }
        return try await give(header, request, dataset, reading)
    }

    @inline(never)
    private func records(
        _ request: SampleRequest, _ dataset: Dataset, _ reading: S3Gateway.Call
    ) async throws -> HTTPResponse {
        guard let size = request.recordBytes else {
            throw SampleFault.unfit(
                "What a sample of the format \(dataset.format) is, is not known",
                "say `record_size` if it consists of records of one size, or GET the data set whole"
            )
        }
        guard request.format != .jsonl else { throw RESTGateway.noJSON }
        guard dataset.size % size == 0 else {
            throw SampleFault.unfit(
                "\(dataset.size) bytes are no whole number of records of \(size): "
                    + "\(dataset.size % size) are left over")
        }
        let header = try NumpyHeader(type: "|u1", shape: [dataset.size / size, size])
        return try await give(header, request, dataset, reading)
    }

    private static let noJSON = SampleFault.unfit(
        "Samples that are no text are not given as JSON", "ask for format=numpy or raw")

    @inline(never)
    private func give(
        _ header: NumpyHeader, _ request: SampleRequest, _ dataset: Dataset,
        _ reading: S3Gateway.Call
    ) async throws -> HTTPResponse {
        // Bytes of records are raw unless an array is asked for.
        let isRaw = request.format == .raw || (request.format == nil && header.dataOffset == 0)
        let head: @Sendable (UInt64) -> [UInt8] = { isRaw ? [] : header.encoded(rows: $0) }
        let wanted = request.slice.samples(of: header.rows)
        let (count, batch) = (UInt64(wanted.count), request.slice.batch)
        let length = RecordBatches.length(
            samples: count, sampleBytes: header.rowBytes, batch: batch, head: head)
        var headers = RESTGateway.headers(request, isJSON: false)
        headers.set("x-cyx-samples", String(count))
        headers.set("x-cyx-batches", String((count + batch - 1) / batch))
        headers.set("x-cyx-sample-bytes", String(header.rowBytes))
        guard count > 0 else { return HTTPResponse(status: 200, headers: headers) }
        let start = header.dataOffset + wanted.lowerBound * header.rowBytes
        let end = header.dataOffset + wanted.upperBound * header.rowBytes
        let source = try await bytes(.from(start, through: end - 1), dataset, reading)
        return HTTPResponse(
            status: 200, headers: headers,
            body: .stream(
                length: length,
                RecordBatches(
                    source, samples: count, sampleBytes: header.rowBytes, batch: batch, head: head)
            ))
    }

    // MARK: Common

    @inline(never)
    private func bytes(
        _ range: ByteRange, _ dataset: Dataset, _ reading: S3Gateway.Call
    ) async throws -> any ByteSource {
        let body = try await reading.service.get(
            dataset.key, version: dataset.version, in: dataset.bucket, range: range)
        try RESTGateway.check(body.info, dataset)
        return body.source
    }

    private static func headers(_ request: SampleRequest, isJSON: Bool) -> HTTPHeaders {
        HTTPHeaders([
            ("content-type", isJSON ? "application/x-ndjson" : "application/octet-stream"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", LinkPage.sandbox),
            ("x-cyx-batch-size", String(request.slice.batch)),
        ])
    }
}
