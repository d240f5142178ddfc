package import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTables

/// What the commit of a head found.
private enum CommitOutcome: Sendable {
    case committed(replaced: HeadRow?)
    case refused(ObjectError)
    /// The head was there already: an earlier try of the same write had got through, or another of
    /// the same upload's completion.
    case repeated(HeadRow)
}

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
            reference: SegmentReference(handle.keys, version))
        do {
            let content = try await writer.write(body, size: options.size)
            var head = HeadRow(key: key, size: content.size, etag: Hex.encode(content.md5))
            head.write = version.write
            head.headers = options.headers
            head.checksums = options.checksums
            for (name, value) in options.checksumsAtEnd?() ?? [:] { head.checksums[name] = value }
            let early = context.keeps(.writesHeadLast)
            async let claimed: Void = writer.claim(content)
            try await prepare(
                &head, chunks: content.chunks, placed: content.segments.map(\.placed),
                inline: content.inline, code: content.code, in: handle, withLayout: early)
            try await claimed
            let committed = try await commit(head, options.condition, in: handle)
            if !early, content.inline == nil {
                try await store(handle).writeLayout(
                    content.segments.map(\.placed), of: version)
            }
            return info(of: committed)
        } catch let failure as CommitUnknown {
            // The head may yet take effect: its segments must stay.
            throw failure.error
        } catch {
            await abandon(writer, SegmentReference(handle.keys, version), in: handle)
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

    /// Removes, in the background, what a failed write had stored.
    func abandon(
        _ writer: ObjectWriter, _ reference: SegmentReference, in bucket: BucketHandle
    ) async {
        let store = store(bucket)
        let unfinished = await writer.unfinished
        if !unfinished.isEmpty { await cleaner.submit(.uploads(unfinished), in: store) }
        let segments = await writer.begun
        guard !segments.isEmpty else { return }
        let storers = context.membership.snapshot.storers.map(\.peer)
        await cleaner.submit(.segments(segments, [reference], hints: storers), in: store)
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

    /// The compare-and-set that makes a version visible (A8). Returns the head that is there then.
    func commit(
        _ head: HeadRow, _ condition: PutCondition, in bucket: BucketHandle
    ) async throws -> HeadRow {
        let key = bucket.keys.head(head.key)
        let store = store(bucket)
        let now = context.environment.wallTime()
        let end = store.fenceEnd(now: now)
        let comparesHeads = context.keeps(.comparesHeads)
        let outcome: CommitOutcome
        do throws(TableError) {
            outcome = try await context.tables.update(key) { state -> (_, CommitOutcome) in
                let found = state.value.flatMap { store.head($0, at: key) }
                let current = found.flatMap { $0.isObject ? $0 : nil }
                if let found, found.refuses(head.write) {
                    let reason = "the write took so long that it was given up"
                    return (.abandon, .refused(.unavailable(reason)))
                }
                if let found, found.refusesUpload(head.upload) {
                    return (.abandon, .refused(.noSuchUpload))
                }
                if let current, current.write == head.write {
                    return (.abandon, .repeated(current))
                }
                if let current, !head.upload.isEmpty, current.upload == head.upload {
                    // Two gateways complete one upload: the versions share their segments, so that
                    // neither may replace the other.
                    return (.abandon, .repeated(current))
                }
                if comparesHeads, let refusal = condition.refusal(current) {
                    return (.abandon, .refused(refusal))
                }
                var next = head
                next.previous = current?.version ?? []
                next.fenced = found?.refusingItsUpload(until: end, now: now).fenced ?? []
                return (.set(store.seal(next, at: key)), .committed(replaced: current))
            }
        } catch {
            throw error == .contended
                ? ObjectError.conflict : CommitUnknown(error: ObjectError(error))
        }
        switch outcome {
        case .committed(let replaced?):
            await discard(replaced, in: bucket)
        case .refused(let error): throw error
        case .repeated(let current):
            if current.write != head.write {
                try await discardRows(
                    VersionID(position: key.position, write: head.write), in: bucket)
            }
            return current
        case .committed(nil): break
        }
        return head
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

    package func delete(_ key: String, in bucket: String) async throws {
        try check(key: key)
        let handle = try await handle(bucket)
        let row = handle.keys.head(key)
        let store = store(handle)
        let now = context.environment.wallTime()
        let end = store.fenceEnd(now: now)
        let removed = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, HeadRow?) in
                guard let value = state.value else { return (.abandon, nil) }
                let head = store.head(value, at: row)
                if let head, !head.isObject { return (.abandon, nil) }
                let fenced = head?.refusingItsUpload(until: end, now: now)
                guard let rest = fenced?.deleted(now: now) else { return (.delete, head) }
                return (.set(store.seal(rest, at: row)), head)
            }
        }
        if let removed { await discard(removed, in: handle) }
    }
}

extension VersionStore {
    /// A head that can be opened.
    func head(_ value: [UInt8], at key: RowKey) -> HeadRow? {
        do { return try open(HeadRow.self, value, at: key) } catch { return nil }
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
