internal import Glibc

/// What is downloaded: what a key has now, or what a pin keeps.
package enum DownloadSource: Sendable, Equatable {
    case object(bucket: String, key: String)
    case pin(String)

    package var text: String {
        switch self {
        case .object(let bucket, let key): "\(bucket)/\(key)"
        case .pin(let id): "pin:\(id)"
        }
    }

    var request: S3Request {
        switch self {
        case .object(let bucket, let key):
            return S3Request("GetObject", "GET", bucket: bucket, key: key)
        case .pin(let id):
            var request = S3Request("GetPin", "GET", bucket: nil)
            request.query = [("cyx-pin", id)]
            return request
        }
    }
}

/// Gets one object, in parallel ranges if it is large, and puts it in place when it is complete.
package struct Download: Sendable {
    /// The length of one range.
    package static let rangeBytes: UInt64 = 16 << 20

    package var client: S3Client
    package var source: DownloadSource
    package var parallel: Int

    package init(client: S3Client, source: DownloadSource, parallel: Int) {
        self.client = client
        self.source = source
        self.parallel = parallel
    }

    /// Writes the object, or bytes `wanted` of it, to the file at `path`.
    ///
    /// A file beside it takes the bytes and is renamed at the end, so that `path` is the old file
    /// or all of the new one. Every range is asked of the version seen first; if the object changes
    /// meanwhile, the download fails with `PreconditionFailed`.
    package func run(
        object: RemoteObject, wanted: Range<UInt64>, path: String, meter: TransferMeter
    ) async throws {
        let partial = path + ".cyxpart"
        let file = try OpenFile.writing(partial)
        try file.resize(to: UInt64(wanted.count))
        let starts = stride(
            from: wanted.lowerBound, to: wanted.upperBound, by: Int(Self.rangeBytes))
        _ = try await inParallel(Array(starts), limit: parallel) { start in
            let range = start..<min(start + Self.rangeBytes, wanted.upperBound)
            try await client.get(
                source, range: range, etag: object.etag,
                sink: .file(file, offset: start - wanted.lowerBound, count: UInt64(range.count)),
                meter: meter)
        }
        try file.synchronize()
        guard rename(partial, path) == 0 else {
            throw ClientError.file("rename \(partial) to", path, errno: errno)
        }
    }

    /// Writes the bytes in order to standard output.
    package func stream(
        object: RemoteObject, wanted: Range<UInt64>, meter: TransferMeter
    ) async throws {
        try await client.get(
            source, range: wanted, etag: object.etag,
            sink: .stream(.standardOutput()), meter: meter)
    }
}
