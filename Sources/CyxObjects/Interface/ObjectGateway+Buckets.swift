internal import CyxCore
internal import CyxTables

extension ObjectGateway {
    package func createBucket(_ name: String) async throws -> BucketInfo {
        let row = BucketNames.row(name)
        let id = context.environment.random.digest()
        let created = context.environment.wallTime()
        let value = Rows.sign(
            BucketRow(bucket: id.bytes, createdMs: created.milliseconds).protobufBytes(),
            at: row, with: keys.signing)
        let isNew = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Bool) in
                state.value == nil ? (.set(value), true) : (.abandon, false)
            }
        }
        guard isNew else { throw ObjectError.bucketExists }
        try await setListed(name, id, created, isListed: true)
        return BucketInfo(name: name, created: created)
    }

    /// Adds the bucket to the account's list, or takes it off.
    private func setListed(
        _ name: String, _ id: Digest, _ created: WallTime, isListed: Bool
    ) async throws {
        let key = ObjectRows.accountBuckets(keys.account)
        let listing = BucketListingRow(
            name: name, bucket: id.bytes, createdMs: created.milliseconds)
        let value = Rows.seal(
            listing, at: key, keys: (keys.rowKey, keys.signing),
            random: context.environment.random)
        try await withTables { () async throws(TableError) in
            try await context.tables.merge(
                key, [MergeElement(element: id.bytes, value: isListed ? value : nil)])
        }
    }

    package func bucket(_ name: String) async throws -> BucketInfo {
        let handle = try await handle(name)
        return BucketInfo(name: handle.name, created: handle.created)
    }

    package func buckets() async throws -> [BucketInfo] {
        let key = ObjectRows.accountBuckets(keys.account)
        let elements = try await withTables { () async throws(TableError) in
            try await context.tables.readMerge(key)
        }
        let rowKey = keys.rowKey
        let rows: [BucketListingRow] = elements.compactMap { element in
            do {
                return try Rows.open(
                    BucketListingRow.self, element.value ?? [], at: key, key: rowKey)
            } catch { return nil }
        }
        return rows.map {
            BucketInfo(name: $0.name, created: WallTime(milliseconds: $0.createdMs))
        }.sorted { Bytes.precede(Array($0.name.utf8), Array($1.name.utf8)) }
    }

    /// The bucket with its keys; `noSuchBucket` also for another account's.
    func handle(_ name: String) async throws -> BucketHandle {
        let now = context.environment.now()
        if let cached = buckets[name], now - cached.read < context.timings.bucketCache {
            return cached.handle
        }
        buckets.remove(name)
        let row = BucketNames.row(name)
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        guard let value = state.value else { throw ObjectError.noSuchBucket }
        let handle = try open(value, name, row)
        buckets[name] = (handle, now)
        return handle
    }

    private func open(
        _ value: [UInt8], _ name: String, _ row: RowKey
    ) throws(ObjectError) -> BucketHandle {
        do {
            let (payload, account) = try Rows.verify(value, at: row)
            let bucket = try BucketRow(protobuf: payload)
            guard account == keys.account, let id = Digest(bytes: bucket.bucket),
                !bucket.deleting
            else { throw ObjectError.noSuchBucket }
            return BucketHandle(
                name: name, created: WallTime(milliseconds: bucket.createdMs),
                keys: keys.keys(for: id))
        } catch { throw .noSuchBucket }
    }

    /// First marks the bucket, so that nobody writes to it while this looks whether it is empty.
    package func deleteBucket(_ name: String) async throws {
        buckets.remove(name)
        let handle = try await handle(name)
        buckets.remove(name)
        try await mark(handle, deleting: true)
        do {
            guard try await isEmpty(handle) else { throw ObjectError.bucketNotEmpty }
        } catch {
            try await mark(handle, deleting: false)
            throw error
        }
        let row = BucketNames.row(name)
        try await withTables { () async throws(TableError) in
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .delete
            }
        }
        try await setListed(name, handle.keys.bucket, handle.created, isListed: false)
        indexes.remove(handle.keys.bucket)
    }

    /// Whether the bucket has no object. Heads that hold only fences do not count.
    private func isEmpty(_ handle: BucketHandle) async throws -> Bool {
        guard try await !heads(in: handle, limit: 1).isEmpty else { return true }
        return try await openHeads(in: handle).isEmpty
    }

    private func mark(_ handle: BucketHandle, deleting: Bool) async throws {
        let row = BucketNames.row(handle.name)
        let value = Rows.sign(
            BucketRow(
                bucket: handle.keys.bucket.bytes, createdMs: handle.created.milliseconds,
                deleting: deleting
            ).protobufBytes(), at: row, with: keys.signing)
        try await withTables { () async throws(TableError) in
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .set(value)
            }
        }
    }

    // MARK: Listing

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
        let rows = try await heads(in: handle)
        var index = indexes[handle.keys.bucket] ?? BucketIndex()
        let opened = await opened(index.unknown(rows), in: handle)
        // Not what another listing has made of it meanwhile, which may know other rows.
        index.update(rows, opened: opened)
        let entries = index.ordered()
        indexes[handle.keys.bucket] = index
        let page = ListingPage(keys: entries.map(\.key), request: request)
        var listing = ObjectListing()
        listing.objects = page.objects.compactMap { entries[$0].info }
        listing.commonPrefixes = page.commonPrefixes
        listing.nextMarker = page.nextMarker
        return listing
    }

    /// Decrypts heads in the pool; what cannot be opened belongs to another bucket.
    private func opened(
        _ rows: [(RowKey, RegisterState)], in bucket: BucketHandle
    ) async -> [RowKey: ObjectInfo?] {
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
        let spent = heads.filter { !$0.1.isObject && $0.1.deleted(now: now) == nil }.map(\.0)
        if !spent.isEmpty { await cleaner.submit(.fences(spent), in: store) }
        return Dictionary(
            uniqueKeysWithValues: heads.map { ($0.0, $0.1.isObject ? info(of: $0.1) : nil) })
    }

    /// The heads of a bucket, decrypted: for upkeep.
    func openHeads(in bucket: BucketHandle) async throws -> [HeadRow] {
        let rows = try await heads(in: bucket)
        let store = store(bucket)
        return await context.environment.blocking.run {
            rows.compactMap { row in row.state.value.flatMap { store.head($0, at: row.key) } }
                .filter(\.isObject)
        }
    }
}
