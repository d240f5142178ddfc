internal import CyxCore
internal import CyxTables

/// Listings of objects and of versions: first what has changed in the bucket is read, then the index
/// answers (A9).
extension ObjectGateway {
    /// How often one listing begins to go through all rows.
    private static let walks = 8
    /// Ended fences that one listing has removed.
    private static let fencesAtOnce = 100

    package func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing {
        let handle = try await handle(bucket)
        let infos = infos(in: handle)
        return try await answer(handle, needsVersions: false) { index throws(StoreError) in
            let found = try index.objects(request)
            var listing = ObjectListing()
            listing.objects = found.heads.map(infos)
            listing.commonPrefixes = found.page.commonPrefixes
            listing.nextMarker = found.page.marker.map { String(decoding: $0, as: UTF8.self) }
            return listing
        }
    }

    package func listVersions(
        _ bucket: String, _ request: VersionListRequest
    ) async throws -> VersionListing {
        let handle = try await handle(bucket)
        let infos = infos(in: handle)
        return try await answer(handle, needsVersions: true) { index throws(StoreError) in
            let found = try index.versions(request) { handle.version(named: request, below: $0) }
            var listing = VersionListing()
            listing.versions = found.versions.map {
                ListedVersion(info: infos($0.head), isLatest: $0.isLatest)
            }
            listing.commonPrefixes = found.page.commonPrefixes
            listing.next = found.page.marker.map { marker in
                let key = String(decoding: marker, as: UTF8.self)
                // A common prefix has no version, and is no key that was told by itself.
                guard found.page.commonPrefixes.last.map({ Array($0.utf8) }) != marker,
                    let last = found.versions.last
                else { return (key, nil) }
                return (key, handle.versionID(of: last.head) ?? "null")
            }
            return listing
        }
    }

    // MARK: The index

    /// The index could not be read, and is gone.
    private struct DamagedIndex: Error {}

    /// Answers from an index that shows all that was acknowledged before. A damaged one is made anew.
    private func answer<Value: Sendable>(
        _ bucket: BucketHandle, needsVersions: Bool,
        _ body: @escaping @Sendable (BucketIndex) throws(StoreError) -> Value
    ) async throws -> Value {
        do {
            try await follow(bucket, needsVersions: needsVersions)
            return try await indexed(bucket, body)
        } catch is DamagedIndex {}
        do {
            try await follow(bucket, needsVersions: needsVersions)
            return try await indexed(bucket, body)
        } catch is DamagedIndex {
            throw ObjectError.unavailable("the index of the bucket is damaged again and again")
        }
    }

    /// Runs `body` in the pool with the bucket's index. One that turns out to be damaged is dropped.
    private func indexed<Value: Sendable>(
        _ bucket: BucketHandle,
        _ body: @escaping @Sendable (BucketIndex) throws(StoreError) -> Value
    ) async throws -> Value {
        let (listings, id) = (context.listings, bucket.keys.bucket)
        do throws(StoreError) {
            return try await context.environment.blocking.run { () throws(StoreError) in
                try body(BucketIndex(try listings.opened(), id))
            }
        } catch .corrupt(let detail) {
            context.logger.warning("the index of a bucket is made anew", [("reason", detail)])
            await discardIndex(id)
            throw DamagedIndex()
        } catch {
            throw ObjectError.unavailable("the index of the bucket cannot be used: \(error)")
        }
    }

    /// Drops a damaged index, and the whole store if not even that can be done.
    private func discardIndex(_ bucket: Digest) async {
        let listings = context.listings
        do throws(StoreError) { return try await dropIndex(bucket) } catch {
            context.logger.warning("all indexes of buckets go", [("reason", "\(error)")])
        }
        do throws(StoreError) {
            try await context.environment.blocking.run { () throws(StoreError) in
                try listings.discard()
            }
        } catch {
            context.logger.error("a damaged index stays", [("reason", "\(error)")])
        }
    }

    /// Brings the index up to what was acknowledged before this was called.
    func follow(_ bucket: BucketHandle, needsVersions: Bool) async throws {
        let id = bucket.keys.bucket
        while true {
            if !flights.take(id) {
                let turn = await withUnsafeContinuation { continuation in
                    flights.wait(
                        id, .init(needsVersions: needsVersions, continuation: continuation))
                }
                switch turn {
                case .told(let result): return try result.get()
                case .again: continue
                case .lead: break
                }
            }
            let others = flights.begin(id)
            let all = needsVersions || others.contains(where: \.needsVersions)
            var result = Result<Void, any Error>.success(())
            do { try await read(bucket, needsVersions: all) } catch { result = .failure(error) }
            flights.end(id)?.continuation.resume(returning: .lead)
            for other in others {
                other.continuation.resume(returning: Task.isCancelled ? .again : .told(result))
            }
            return try result.get()
        }
    }

    private func read(_ bucket: BucketHandle, needsVersions: Bool) async throws {
        let (account, listings) = (keys.account.digest, context.listings)
        let state = try await indexed(bucket) { index throws(StoreError) in
            if let state = try index.state(), state.account == account { return state }
            try listings.exclusively { () throws(StoreError) in try index.drop() }
            return ListingState(account: account)
        }
        // Heads first: a version that leaves its head meanwhile has its row already.
        let next = try await read(.heads, bucket, state)
        guard needsVersions || next.needsVersions else { return }
        _ = try await read(.versions, bucket, next)
    }

    private func read(
        _ table: TableID, _ bucket: BucketHandle, _ state: ListingState
    ) async throws -> ListingState {
        let (store, listings) = (store(bucket), context.listings)
        let now = context.environment.wallTime()
        var state = state
        var walks = 0
        while true {
            let cursor = state.cursor(table)
            let page = try await withTables { () async throws(TableError) in
                try await context.tables.changes(
                    table, position: bucket.keys.firstPosition, since: cursor)
            }
            let before = state
            let (next, spent) = try await indexed(bucket) { index throws(StoreError) in
                let gone = page.rows.filter { $0.state.value == nil }.map(\.key)
                if table == .heads, !gone.isEmpty { listings.remember(try index.names(of: gone)) }
                let next = try listings.exclusively { () throws(StoreError) in
                    try index.apply(page, table, to: before, now: now) { key, value in
                        store.head(value, at: key)
                    }
                }
                let spent = try index.spentFences(now: now, limit: ObjectGateway.fencesAtOnce)
                return (next, spent)
            }
            if !spent.isEmpty { await cleaner.submit(.fences(spent), in: store) }
            state = next
            if page.isComplete { return state }
            if let stretch = page.stretch, stretch.after == nil { walks += 1 }
            guard walks <= ObjectGateway.walks else {
                throw ObjectError.unavailable("the bucket's custodians change all the time")
            }
        }
    }

    /// Drops what is here of buckets of this account that are gone, by whichever gateway.
    func dropFormerIndexes() async {
        let account = keys.account.digest
        do {
            let listings = context.listings
            let known = try await context.environment.blocking.run { () throws(StoreError) in
                try BucketIndex.buckets(of: account, in: try listings.opened())
            }
            guard !known.isEmpty else { return }
            let present = Set(try await listedBuckets().map(\.bucket))
            for bucket in known where !present.contains(bucket.bytes) {
                try await dropIndex(bucket)
            }
        } catch {
            context.logger.info("old indexes of buckets stay", [("reason", "\(error)")])
        }
    }

    func dropIndex(_ bucket: Digest) async throws(StoreError) {
        let listings = context.listings
        try await context.environment.blocking.run { () throws(StoreError) in
            let index = BucketIndex(try listings.opened(), bucket)
            try listings.exclusively { () throws(StoreError) in try index.drop() }
        }
    }

    // MARK: All rows

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
}
