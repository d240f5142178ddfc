package import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTables

extension ObjectGateway {
    package func put(
        _ key: String, in bucket: String, options: PutOptions, body: any ByteSource
    ) async throws -> ObjectInfo {
        try check(key: key)
        let handle = try await handle(bucket)
        if options.condition != .none {
            // Spares the upload of a body whose condition is false already.
            let head = try await readHead(key, in: handle)
            if let refusal = options.condition.refusal(head) { throw refusal }
        }
        let version = newVersion(of: key, in: handle)
        let writer = ObjectWriter(
            context: context, keys: keys, bucket: handle.keys,
            reference: SegmentReference(handle.keys, version), packer: packer)
        do {
            let content = try await writer.write(body, size: options.size)
            var head = HeadRow(key: key, size: content.size, etag: Hex.encode(content.md5))
            head.write = version.write
            head.headers = options.headers
            head.attributes = options.attributes
            head.allChecksums = options.checksums.merging(options.checksumsAtEnd?() ?? [:]) { $1 }
            let early = context.keeps(.writesHeadLast)
            async let claimed: Void = writer.claim(content)
            try await prepare(
                &head, chunks: content.chunks, placed: content.placed,
                inline: content.inline, code: content.code, in: handle, withLayout: early)
            try await claimed
            let condition = options.condition
            let committed = try await commit(head, in: handle) { condition.refusal($0) }
            if !early, content.inline == nil {
                try await store(handle).writeLayout(content.placed, of: version)
            }
            return info(of: committed, in: handle)
        } catch let failure as CommitUnknown {
            // The head may yet take effect: its segments must stay.
            throw failure.error
        } catch {
            await abandon(writer, SegmentReference(handle.keys, version), of: version, in: handle)
            throw error
        }
    }

    /// A name for a write that is about to begin.
    func newVersion(of key: String, in bucket: BucketHandle) -> VersionID {
        VersionID(
            position: bucket.keys.position(of: key),
            write: context.environment.random.bytes(VersionID.writeBytes))
    }

    /// A commit of which nobody knows whether it took effect.
    struct CommitUnknown: Error {
        var error: ObjectError
    }

    /// Removes, in the background, what a failed write had stored. `version`: what it was to become,
    /// whose rows nobody finds any more without its references.
    func abandon(
        _ writer: ObjectWriter, _ reference: SegmentReference, of version: VersionID? = nil,
        in bucket: BucketHandle
    ) async {
        let store = store(bucket)
        let unfinished = await writer.unfinished
        if !unfinished.isEmpty { await cleaner.submit(.uploads(unfinished), in: store) }
        let segments = await writer.begun
        guard !segments.isEmpty else { return }
        let storers = context.membership.snapshot.storers.map(\.peer)
        let leftover: Leftover =
            if let version {
                .write(version, segments, [reference], hints: storers)
            } else {
                .segments(segments, [reference], hints: storers)
            }
        await cleaner.submit(leftover, in: store)
    }

    /// Everything of the version `head.write` but its head: manifest pages and layout (B2's order).
    /// `withLayout`: whether the layout, too, is written now.
    func prepare(
        _ head: inout HeadRow, chunks: [ManifestChunk], placed: [PlacedSegment],
        inline: [UInt8]?, code: Redundancy, in bucket: BucketHandle, withLayout: Bool = true
    ) async throws {
        let version = VersionID(
            position: bucket.keys.position(of: head.key), write: head.write)
        head.modifiedMs = context.environment.wallTime().milliseconds
        let store = store(bucket)
        let manifest = ContentManifest(chunks: chunks, size: head.size).protobufBytes()
        if let inline {
            head.data = inline
            head.version = BLAKE3.keyedHash(key: bucket.keys.dedup, inline).bytes
            return
        }
        head.version = VersionStore.version(of: manifest).bytes
        head.dataShards = UInt32(code.dataShards)
        head.parityShards = UInt32(code.parityShards)
        if manifest.count <= ObjectLimits.inlineManifestBytes {
            head.manifest = manifest
        } else {
            head.manifestPages = UInt32(try await store.writePages(manifest, of: version))
        }
        if withLayout { try await store.writeLayout(placed, of: version) }
        do throws(RowError) {
            let content = try VersionContent(
                chunks: chunks, placed: placed, layoutGeneration: 1)
            versions.insert(content, for: version, cost: content.cost)
        } catch { preconditionFailure("a layout that was just made fits its manifest: \(error)") }
    }

    /// Has the rows removed that a write prepared and that no head will name.
    func discardRows(_ version: VersionID, in bucket: BucketHandle) async throws(ObjectError) {
        let store = store(bucket)
        let rows = try await withTables { () async throws(TableError) in
            try await store.rows(of: version)
        }
        await cleaner.submit(.rows(rows), in: store)
    }

    /// Has a version that is no longer current removed.
    func discard(_ head: HeadRow, in bucket: BucketHandle) async {
        guard head.chunkBytesAreElsewhere else { return }
        let version = VersionID(position: bucket.keys.position(of: head.key), write: head.write)
        versions.remove(version)
        await cleaner.submit(
            .version(version, manifestPages: Int(head.manifestPages), owners(of: head, in: bucket)),
            in: store(bucket))
    }

    /// In whose name the segments of a version may have been stored: its own, and that of the upload
    /// which was completed into it.
    private func owners(of head: HeadRow, in bucket: BucketHandle) -> [SegmentReference] {
        let position = bucket.keys.position(of: head.key)
        let version = VersionID(position: position, write: head.write)
        var owners = [SegmentReference(bucket.keys, version)]
        if let upload = Hex.decode(head.upload), !upload.isEmpty {
            owners.append(
                SegmentReference(
                    bucket: bucket.keys.bucket, position: position, owner: .upload(upload)))
        }
        return owners
    }

    /// After a version's layout has changed: notes the new code in its head if it is still current,
    /// and has the old segments and pages removed.
    func noteRecoded(
        _ head: HeadRow, _ code: Redundancy, _ old: (segments: [PlacedSegment], row: LayoutRow),
        in bucket: BucketHandle
    ) async {
        let store = store(bucket)
        let row = bucket.keys.head(head.key)
        let version = VersionID(position: row.position, write: head.write)
        versions.remove(version)
        do throws(TableError) {
            _ = try await context.tables.update(row) { state in
                guard var current = state.value.flatMap({ store.head($0, at: row) }),
                    current.write == head.write
                else { return .abandon }
                current.dataShards = UInt32(code.dataShards)
                current.parityShards = UInt32(code.parityShards)
                return .set(store.seal(current, at: row))
            }
        } catch {
            context.logger.info("a head keeps its old code's name", [("error", "\(error)")])
        }
        let segments = old.segments.compactMap { placed in
            placed.core.flatMap { SegmentID(bytes: $0.segment) }
        }
        let hints = Set(old.segments.flatMap { Digests.split($0.holders) }).subtracting([.zero])
        await cleaner.submit(
            .segments(
                segments, owners(of: head, in: bucket), hints: hints.map { PeerID($0) }.sorted()),
            in: store)
        await cleaner.submit(.rows(store.layoutPages(of: version, old.row)), in: store)
    }
}

extension VersionStore {
    /// A head that can be opened.
    func head(_ value: [UInt8], at key: RowKey) -> HeadRow? {
        do { return try open(HeadRow.self, value, at: key) } catch { return nil }
    }
}

extension HeadRow {
    private static let crc64Name = "crc64nvme"
    private static let crc64Bytes = 8

    /// In base 64, by name.
    var allChecksums: [String: String] {
        get {
            guard !crc64.isEmpty else { return checksums }
            return checksums.merging([HeadRow.crc64Name: Base64.encode(crc64)]) { known, _ in known
            }
        }
        set {
            checksums = newValue
            crc64 = []
            guard let bytes = newValue[HeadRow.crc64Name].flatMap({ Base64.decode($0) }),
                bytes.count == HeadRow.crc64Bytes
            else { return }
            crc64 = bytes
            checksums[HeadRow.crc64Name] = nil
        }
    }
}

extension PutCondition {
    /// Why a put under this condition must not replace `head`; nil if it may.
    func refusal(_ head: HeadRow?) -> ObjectError? {
        switch self {
        case .none: return nil
        case .absent: return head == nil ? nil : .preconditionFailed
        case .matches(let etag):
            guard let head else { return .noSuchKey }
            return etag == "*" || head.etag == etag ? nil : .preconditionFailed
        }
    }
}
