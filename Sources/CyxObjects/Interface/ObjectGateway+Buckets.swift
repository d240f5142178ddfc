package import CyxCore
internal import CyxTables

extension ObjectGateway {
    package func createBucket(
        _ name: String, settings: BucketSettings
    ) async throws -> BucketInfo {
        try requireWholeKeys()
        let row = BucketNames.row(name)
        let id = context.environment.random.digest()
        let created = context.environment.wallTime()
        var bucket = BucketRow(bucket: id.bytes, createdMs: created.milliseconds)
        if settings != BucketSettings() { bucket.settings = try encrypt(settings, id, at: row) }
        let value = Rows.sign(bucket.protobufBytes(), at: row, with: keys.signing)
        let isNew = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Bool) in
                state.value == nil ? (.set(value), true) : (.abandon, false)
            }
        }
        guard isNew else { throw ObjectError.bucketExists }
        try await setListed(name, id, created, isListed: true)
        return BucketInfo(name: name, created: created, settings: settings)
    }

    /// Adds the bucket to the account's list, or takes it off.
    private func setListed(
        _ name: String, _ id: Digest, _ created: WallTime, isListed: Bool
    ) async throws {
        let key = ObjectRows.accountBuckets(keys.account)
        let listing = BucketListingRow(
            name: name, bucket: id.bytes, createdMs: created.milliseconds)
        let value = Rows.seal(
            listing, at: key, keys: (keys.rowKey, keys.signer),
            random: context.environment.random)
        try await withTables { () async throws(TableError) in
            try await context.tables.merge(
                key, [MergeElement(element: id.bytes, value: isListed ? value : nil)])
        }
    }

    package func bucket(_ name: String) async throws -> BucketInfo {
        let handle = try await handle(name)
        return BucketInfo(
            name: handle.name, created: handle.created, settings: handle.settings)
    }

    package func buckets() async throws -> [BucketInfo] {
        if let onlyBucket {
            do { return [try await bucket(onlyBucket)] } catch ObjectError.noSuchBucket {
                return []
            }
        }
        return try await listedBuckets().map {
            BucketInfo(name: $0.name, created: WallTime(milliseconds: $0.createdMs))
        }.sorted { Bytes.precede(Array($0.name.utf8), Array($1.name.utf8)) }
    }

    /// The account's list of buckets.
    func listedBuckets() async throws -> [BucketListingRow] {
        try requireWholeKeys()
        let key = ObjectRows.accountBuckets(keys.account)
        let elements = try await withTables { () async throws(TableError) in
            try await context.tables.readMerge(key)
        }
        let rowKey = keys.rowKey
        return elements.compactMap { element in
            do {
                return try Rows.open(
                    BucketListingRow.self, element.value ?? [], at: key, key: rowKey)
            } catch { return nil }
        }
    }

    /// The bucket with its keys; `noSuchBucket` also for another account's.
    func handle(_ name: String) async throws -> BucketHandle {
        let now = context.environment.now()
        if let cached = buckets[name], now - cached.read < context.timings.bucketCache {
            return cached.handle
        }
        buckets.remove(name)
        let row = BucketNames.row(name)
        let changes = bucketChanges
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        guard let value = state.value else { throw ObjectError.noSuchBucket }
        let handle = try open(value, name, row)
        if changes == bucketChanges { buckets[name] = (handle, now) }
        return handle
    }

    /// Has the next reader look for himself.
    private func forget(_ name: String) {
        bucketChanges &+= 1
        buckets.remove(name)
    }

    private func open(
        _ value: [UInt8], _ name: String, _ row: RowKey
    ) throws(ObjectError) -> BucketHandle {
        guard let bucket = ownBucket(value, at: row), let id = Digest(bytes: bucket.bucket),
            !bucket.deleting, keys.reach(id)
        else { throw .noSuchBucket }
        return BucketHandle(
            name: name, created: WallTime(milliseconds: bucket.createdMs),
            keys: keys.keys(for: id), settings: try settings(of: bucket, id, at: row))
    }

    /// The bucket's row, if it is this account's.
    private nonisolated func ownBucket(_ value: [UInt8], at row: RowKey) -> BucketRow? {
        do {
            let (payload, account) = try Rows.verify(value, at: row)
            return account == keys.account ? try BucketRow(protobuf: payload) : nil
        } catch { return nil }
    }

    package func owner(of bucket: String) async throws -> AccountID? {
        let row = BucketNames.row(bucket)
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        guard let value = state.value else { return nil }
        do { return try Rows.verify(value, at: row).account } catch {
            throw ObjectError.dataLost("the row of a bucket's name cannot be read: \(error)")
        }
    }

    /// First marks the bucket, so that nobody writes to it while this looks whether it is empty.
    package func deleteBucket(_ name: String) async throws {
        try requireWholeKeys()
        forget(name)
        let handle = try await handle(name)
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
        do { try await dropIndex(handle.keys.bucket) } catch {
            // The next start does it.
            context.logger.info("a bucket's index stays", [("reason", "\(error)")])
        }
    }

    /// Whether the bucket has no version. Heads that hold only fences do not count.
    private func isEmpty(_ handle: BucketHandle) async throws -> Bool {
        guard try await !heads(in: handle, limit: 1).isEmpty else { return true }
        let store = store(handle)
        for head in try await headRows(in: handle) where head.hasVersion || head.hasEarlier {
            guard !head.hasVersion else { return false }
            let position = handle.keys.position(of: head.key)
            let newest = try await withTables { () async throws(TableError) in
                try await store.newest(below: head, at: position)
            }
            guard newest == nil else { return false }
        }
        return true
    }

    private func mark(_ handle: BucketHandle, deleting: Bool) async throws {
        _ = try await change(handle.name) { $0.deleting = deleting }
    }

    // MARK: Settings

    package func updateBucket(
        _ name: String, _ change: @escaping @Sendable (inout BucketSettings) throws -> Void
    ) async throws -> BucketInfo {
        try requireWholeKeys()
        let row = BucketNames.row(name)
        _ = try await self.change(name) { bucket in
            guard let id = Digest(bytes: bucket.bucket), !bucket.deleting else {
                throw ObjectError.noSuchBucket
            }
            var settings = try self.settings(of: bucket, id, at: row)
            try change(&settings)
            bucket.settings = try self.encrypt(settings, id, at: row)
        }
        return try await bucket(name)
    }

    /// Changes the row of one of the account's buckets; what `change` throws is thrown.
    private func change(
        _ name: String, _ change: @escaping @Sendable (inout BucketRow) throws -> Void
    ) async throws {
        // Also where it is not known whether the row changed.
        defer { forget(name) }
        let row = BucketNames.row(name)
        let signing = keys.signer
        let result = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Result<Void, any Error>) in
                guard let value = state.value, var bucket = self.ownBucket(value, at: row) else {
                    return (.abandon, .failure(ObjectError.noSuchBucket))
                }
                do { try change(&bucket) } catch { return (.abandon, .failure(error)) }
                let changed = Rows.sign(bucket.protobufBytes(), at: row, with: signing)
                return (.set(changed), .success(()))
            }
        }
        try result.get()
    }

    private nonisolated func settings(
        of bucket: BucketRow, _ id: Digest, at row: RowKey
    ) throws(ObjectError) -> BucketSettings {
        guard !bucket.settings.isEmpty else { return BucketSettings() }
        do throws(RowError) {
            return BucketSettings(
                try Rows.decrypt(
                    BucketSettingsRow.self, bucket.settings, at: row, key: keys.keys(for: id).row))
        } catch { throw .dataLost("the settings of a bucket cannot be read: \(error)") }
    }

    private nonisolated func encrypt(
        _ settings: BucketSettings, _ id: Digest, at row: RowKey
    ) throws(ObjectError) -> [UInt8] {
        let encrypted = Rows.encrypt(
            settings.row, at: row, key: keys.keys(for: id).row, random: context.environment.random)
        guard encrypted.count <= ObjectLimits.settingsBytes else { throw .settingsTooLarge }
        return encrypted
    }
}

extension BucketSettings {
    fileprivate var row: BucketSettingsRow {
        let versioning: Versioning =
            switch versioning {
            case .never: .never
            case .enabled: .enabled
            case .suspended: .suspended
            }
        return BucketSettingsRow(versioning: versioning, documents: documents)
    }

    fileprivate init(_ row: BucketSettingsRow) {
        self.init()
        documents = row.documents
        // A value of a later version of the program keeps versions rather than lose them.
        versioning =
            switch row.versioning {
            case .never: .never
            case .suspended: .suspended
            default: .enabled
            }
    }
}
