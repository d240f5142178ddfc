internal import CyxCore
internal import CyxTables

/// Listings of objects and of versions.
extension ObjectGateway {
    /// Rows of the bucket's objects; other buckets that share the prefix are left out.
    func heads(
        in bucket: BucketHandle, limit: Int = .max
    ) async throws -> [(key: RowKey, state: RegisterState)] {
        try await rows(.heads, in: bucket, limit: limit)
    }

    func rows(
        _ table: TableID, in bucket: BucketHandle, limit: Int = .max
    ) async throws -> [(key: RowKey, state: RegisterState)] {
        var rows: [(key: RowKey, state: RegisterState)] = []
        var after: RowKey?
        while rows.count < limit {
            let start = after
            let page = try await withTables { () async throws(TableError) in
                try await context.tables.scan(
                    table, position: bucket.keys.firstPosition,
                    prefixBits: BucketKeys.prefixBits, after: start,
                    limit: RowLimits.scanPageRows)
            }
            rows += page
            guard page.count == RowLimits.scanPageRows else { break }
            after = page.last?.key
        }
        return rows
    }

    package func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing {
        let handle = try await handle(bucket)
        let entries = try await current(in: handle)
        let page = ListingPage(keys: entries.map(\.key), request: request)
        var listing = ObjectListing()
        listing.objects = page.objects.map { info(of: entries[$0].head, in: handle) }
        listing.commonPrefixes = page.commonPrefixes
        listing.nextMarker = page.nextMarker
        return listing
    }

    /// The objects of a bucket by key, the current version of each.
    private func current(in bucket: BucketHandle) async throws -> [BucketIndex.Entry] {
        var index = try await index(.heads, in: bucket)
        let entries = index.ordered()
        let headless = index.headless
        indexes[bucket.keys.bucket] = index
        guard !headless.isEmpty else { return entries }
        // Their newest versions were removed: what they have now is in rows of its own.
        let store = store(bucket)
        var more: [BucketIndex.Entry] = []
        for (key, entry) in headless {
            let newest = try await withTables { () async throws(TableError) in
                try await store.newest(below: entry.head, at: key.position)
            }
            guard let newest, newest.isObject else { continue }
            more.append(BucketIndex.Entry(version: entry.version, head: newest.listed))
        }
        return (entries + more).sorted { Bytes.precede($0.key, $1.key) }
    }

    /// What the bucket's rows of that table are now; only those that changed are opened.
    private func index(_ table: TableID, in bucket: BucketHandle) async throws -> BucketIndex {
        let rows = try await rows(table, in: bucket)
        let known =
            table == .heads ? indexes[bucket.keys.bucket] : versionIndexes[bucket.keys.bucket]
        var index = known ?? BucketIndex()
        let opened = await opened(index.unknown(rows), in: bucket)
        index.update(rows, opened: opened)
        return index
    }

    /// Decrypts heads in the pool; what cannot be opened belongs to another bucket.
    private func opened(
        _ rows: [(RowKey, RegisterState)], in bucket: BucketHandle
    ) async -> [RowKey: HeadRow] {
        guard !rows.isEmpty else { return [:] }
        let store = store(bucket)
        let heads = await context.environment.blocking.run {
            rows.compactMap { key, state -> (RowKey, HeadRow)? in
                do {
                    return (key, try store.open(HeadRow.self, state.value ?? [], at: key))
                } catch { return nil }
            }
        }
        let now = context.environment.wallTime()
        let spent = heads.filter { !$0.1.hasVersion && $0.1.deleted(now: now) == nil }.map(\.0)
        if !spent.isEmpty { await cleaner.submit(.fences(spent), in: store) }
        return Dictionary(uniqueKeysWithValues: heads.map { ($0.0, $0.1.listed) })
    }

    /// The heads of a bucket that have objects, decrypted: for upkeep.
    func openHeads(in bucket: BucketHandle) async throws -> [HeadRow] {
        try await headRows(in: bucket).filter(\.isObject)
    }

    func headRows(in bucket: BucketHandle) async throws -> [HeadRow] {
        let rows = try await heads(in: bucket)
        let store = store(bucket)
        return await context.environment.blocking.run {
            rows.compactMap { row in row.state.value.flatMap { store.head($0, at: row.key) } }
        }
    }

    // MARK: Versions

    package func listVersions(
        _ bucket: String, _ request: VersionListRequest
    ) async throws -> VersionListing {
        let handle = try await handle(bucket)
        // Heads first: a version that leaves its head meanwhile has its row already.
        let heads = try await index(.heads, in: handle)
        let earlier = try await index(.versions, in: handle)
        indexes[handle.keys.bucket] = heads
        versionIndexes[handle.keys.bucket] = earlier
        let versions = ordered(heads, earlier)
        let skipped = try skipped(request, in: versions, of: handle)
        let page = VersionPage(keys: versions.map(\.key), skipped: skipped, request: request)
        var listing = VersionListing()
        listing.versions = page.versions.map { index in
            let isLatest = index == 0 || versions[index - 1].key != versions[index].key
            return ListedVersion(
                info: info(of: versions[index].head, in: handle), isLatest: isLatest)
        }
        listing.commonPrefixes = page.commonPrefixes
        listing.next = page.next.map { next in
            (
                String(decoding: next.key, as: UTF8.self),
                next.version.map { handle.versionID(of: versions[$0].head) ?? "null" }
            )
        }
        return listing
    }

    /// All versions that count, by key, the newest of each first.
    private func ordered(_ heads: BucketIndex, _ earlier: BucketIndex) -> [BucketIndex.Entry] {
        let byPosition = Dictionary(
            heads.entries.map { ($0.key.position, $0.value.head) }, uniquingKeysWith: { $1 })
        var versions = heads.entries.values.filter(\.head.hasVersion)
        versions +=
            earlier.entries.filter { row, entry in
                byPosition[row.position]?.keeps(entry.head) ?? false
            }.values
        return versions.sorted { first, second in
            first.key == second.key
                ? first.head.sequence > second.head.sequence : Bytes.precede(first.key, second.key)
        }
    }

    /// How many versions a request has had on the pages before.
    private func skipped(
        _ request: VersionListRequest, in versions: [BucketIndex.Entry], of bucket: BucketHandle
    ) throws(ObjectError) -> Int {
        guard !request.startAfter.isEmpty else { return 0 }
        let start = Array(request.startAfter.utf8)
        let first = versions.firstIndex { !Bytes.precede($0.key, start) } ?? versions.count
        let end = versions.firstIndex { Bytes.precede(start, $0.key) } ?? versions.count
        guard let name = request.startAfterVersion else { return end }
        guard
            let had = versions[first..<end].firstIndex(where: {
                (bucket.versionID(of: $0.head) ?? "null") == name
            })
        else {
            // It was removed since: what is left of the key is told once more rather than left out.
            return first
        }
        return had + 1
    }
}

extension HeadRow {
    /// What listings need of it.
    var listed: HeadRow {
        var head = self
        head.data = []
        head.manifest = []
        // Listings do not tell of parts, and there may be ten thousand of them.
        head.parts = []
        return head
    }
}
