/// Puts one file into a bucket: whole if it is small, in parallel parts if not.
package struct Upload: Sendable {
    /// Files up to this size are one PUT.
    package static let multipartThreshold: UInt64 = 64 << 20
    /// The usual size of a part; larger where there would be too many.
    package static let partBytes: UInt64 = 32 << 20
    /// S3's limit on parts.
    static let partLimit: UInt64 = 10_000

    package var client: S3Client
    package var bucket: String
    package var key: String
    package var parallel: Int
    /// Where interrupted uploads are remembered; nil to remember none.
    package var journalDirectory: String?

    package init(
        client: S3Client, bucket: String, key: String, parallel: Int, journalDirectory: String?
    ) {
        self.client = client
        self.bucket = bucket
        self.key = key
        self.parallel = parallel
        self.journalDirectory = journalDirectory
    }

    /// Sends the file at `path` and returns what the gateway says of the stored object.
    ///
    /// Parts that an interrupted upload of the same, unchanged file has stored are not sent again.
    package func run(path: String, meter: TransferMeter) async throws -> RemoteObject {
        let file = try OpenFile.reading(path)
        let (size, modified) = try file.status()
        guard size > Self.multipartThreshold else {
            let object = try await client.put(
                bucket: bucket, key: key, file: file, size: size, meter: meter)
            meter.secure(size)
            return object
        }
        let identity = "\(client.endpoint.url) \(bucket)/\(key) \(path) \(size) \(modified)"
        let journal = journalDirectory.map { UploadJournal(directory: $0, identity: identity) }
        let (upload, stored) = try await begin(journal, size: size)
        let layout = PartLayout(size: size, partBytes: Self.partSize(of: size))
        for number in stored.keys {
            let count = layout.range(of: number).count
            meter.move(UInt64(count))
            meter.secure(UInt64(count))
        }
        let missing = (1...layout.count).filter { stored[$0] == nil }
        let sent = try await inParallel(missing, limit: parallel) { number in
            let range = layout.range(of: number)
            let part = try await client.uploadPart(
                bucket: bucket, key: key, upload: upload, number: number, file: file,
                offset: range.lowerBound, count: UInt64(range.count), meter: meter)
            try journal?.add(part)
            meter.secure(UInt64(range.count))
            return part
        }
        let known = stored.map { UploadedPart(number: $0.key, etag: $0.value) }
        try await client.completeUpload(
            bucket: bucket, key: key, upload: upload,
            parts: (known + sent).sorted { $0.number < $1.number })
        journal?.remove()
        return try await client.head(bucket: bucket, key: key)
    }

    static func partSize(of size: UInt64) -> UInt64 {
        let needed = (size + partLimit - 1) / partLimit
        // Whole MiB, so that parts end where chunks do.
        return max(partBytes, (needed + 0xf_ffff) & ~0xf_ffff)
    }

    /// The upload to go on with, and the ETags of its stored parts by number.
    private func begin(
        _ journal: UploadJournal?, size: UInt64
    ) async throws(ClientError) -> (upload: String, stored: [Int: String]) {
        if let journal, let (upload, parts) = try journal.load() {
            let layout = PartLayout(size: size, partBytes: Self.partSize(of: size))
            do throws(ClientError) {
                let listed = try await client.listParts(bucket: bucket, key: key, upload: upload)
                let kept = listed.filter { number, part in
                    (1...layout.count).contains(number) && parts[number] == part.etag
                        && part.size == UInt64(layout.range(of: number).count)
                }
                return (upload, kept.mapValues(\.etag))
            } catch let error where error.isTransient || error.status == 403 {
                throw error
            } catch {
                // It was completed, aborted or forgotten, or parts cannot be listed: begin anew.
                journal.remove()
            }
        }
        let upload = try await client.createUpload(bucket: bucket, key: key)
        try journal?.start(upload: upload)
        return (upload, [:])
    }
}

/// How a file is divided: parts from 1, all but the last of the same size.
struct PartLayout: Sendable {
    let size: UInt64
    let partBytes: UInt64

    var count: Int { Int((size + partBytes - 1) / partBytes) }

    func range(of number: Int) -> Range<UInt64> {
        let start = UInt64(number - 1) * partBytes
        return start..<min(start + partBytes, size)
    }
}

/// Runs `body` for every item, at most `limit` at a time; the first error ends it.
package func inParallel<Item: Sendable, Result: Sendable>(
    _ items: [Item], limit: Int, _ body: @escaping @Sendable (Item) async throws -> Result
) async throws -> [Result] {
    precondition(limit > 0, "at least one at a time")
    return try await withThrowingTaskGroup(of: Result.self) { group in
        var results: [Result] = []
        var rest = items[...]
        while let item = rest.popFirst() {
            if items.count - rest.count > limit, let result = try await group.next() {
                results.append(result)
            }
            group.addTask { try await body(item) }
        }
        for try await result in group { results.append(result) }
        return results
    }
}
