internal import CyxCore
internal import CyxTables

/// Versions of keys: finding, removing and changing one.
extension ObjectGateway {
    /// The row that is the key's head, fences and delete markers too.
    func readHeadRow(_ key: String, in bucket: BucketHandle) async throws -> HeadRow? {
        try check(key: key)
        let row = bucket.keys.head(key)
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        guard let value = state.value else { return nil }
        do throws(RowError) {
            return try store(bucket).open(HeadRow.self, value, at: row)
        } catch {
            throw ObjectError.dataLost("the head of an object cannot be read: \(error)")
        }
    }

    /// The version that is asked for, a delete marker too; nil if there is none.
    func find(
        _ key: String, _ version: VersionSelector, in bucket: BucketHandle
    ) async throws -> HeadRow? {
        guard let head = try await readHeadRow(key, in: bucket) else { return nil }
        return try await find(version, below: head, at: bucket.keys.position(of: key), in: bucket)
    }

    private func find(
        _ version: VersionSelector, below head: HeadRow, at position: Digest,
        in bucket: BucketHandle
    ) async throws -> HeadRow? {
        let store = store(bucket)
        return try await withTables { () async throws(TableError) in
            switch version {
            case .current:
                if head.hasVersion { return head }
                return try await store.newest(below: head, at: position)
            case .null:
                if head.hasVersion, !head.named { return head }
                guard !head.earlierNull.isEmpty else { return nil }
                return try await store.earlier(head.earlierNull, at: position)
            case .write(let write):
                if head.write == write { return head.named ? head : nil }
                guard head.hasEarlier else { return nil }
                return try await store.earlier(write, at: position).flatMap { $0.named ? $0 : nil }
            }
        }
    }

    /// The same, if it is an object that can be read.
    func object(
        _ key: String, _ version: VersionSelector, in bucket: BucketHandle
    ) async throws -> HeadRow {
        try readable(try await find(key, version, in: bucket), version, in: bucket)
    }

    private func readable(
        _ head: HeadRow?, _ version: VersionSelector, in bucket: BucketHandle
    ) throws(ObjectError) -> HeadRow {
        guard let head else { throw version == .current ? .noSuchKey : .noSuchVersion }
        guard !head.deleteMarker else { throw marker(head, in: bucket) }
        return head
    }

    private func marker(_ head: HeadRow, in bucket: BucketHandle) -> ObjectError {
        .deleteMarker(
            version: bucket.versionID(of: head) ?? "null",
            modified: WallTime(milliseconds: head.modifiedMs))
    }

    // MARK: Removing

    package func delete(
        _ key: String, version: String?, in bucket: String, options: DeleteOptions
    ) async throws -> DeleteOutcome {
        try check(key: key)
        let handle = try await handle(bucket)
        let selector = try VersionSelector(version)
        guard selector == .current else {
            return try await remove(selector, of: key, in: handle, options)
        }
        if handle.settings.versioning == .never {
            if let outcome = try await removeOnly(key, in: handle, options) { return outcome }
            // Another gateway has the bucket keep versions.
            buckets.remove(bucket)
            return try await writeMarker(key, in: try await self.handle(bucket), options)
        }
        return try await writeMarker(key, in: handle, options)
    }

    /// Deletes the only version that a key has in a bucket that keeps none; nil if there are others.
    private func removeOnly(
        _ key: String, in bucket: BucketHandle, _ options: DeleteOptions
    ) async throws -> DeleteOutcome? {
        try await removeHead(of: key, in: bucket, options) { head in
            head.hasVersion ? !head.named && !head.hasEarlier : !head.hasEarlier
        } ? DeleteOutcome() : nil
    }

    /// Removes the version in a head for good, if it `isWanted`; false if it is not.
    private func removeHead(
        of key: String, in bucket: BucketHandle, _ options: DeleteOptions,
        if isWanted: @escaping @Sendable (HeadRow) -> Bool
    ) async throws -> Bool {
        let row = bucket.keys.head(key)
        let store = store(bucket)
        let now = context.environment.wallTime()
        let end = store.fenceEnd(now: now)
        let infos = infos(in: bucket)
        let removal = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Removal) in
                let head = state.value.map { store.head($0, at: row) } ?? HeadRow()
                // Damaged beyond reading: there is nothing else that could be done with it.
                guard let head else { return (.delete, .done(nil)) }
                guard isWanted(head) else { return (.abandon, .unwanted) }
                do { try options.check?(head.isObject ? infos(head) : nil) } catch {
                    return (.abandon, .refused(error))
                }
                guard head.hasVersion else { return (.abandon, .done(nil)) }
                let fenced = head.refusingItsUpload(until: end, now: now)
                guard let rest = fenced.deleted(now: now) else { return (.delete, .done(head)) }
                return (.set(store.seal(rest, at: row)), .done(head))
            }
        }
        switch removal {
        case .unwanted: return false
        case .refused(let error): throw error
        case .done(let head):
            if let head { await discard(head, in: bucket) }
            return true
        }
    }

    private enum Removal: Sendable {
        case unwanted
        case refused(any Error)
        case done(HeadRow?)
    }

    private func writeMarker(
        _ key: String, in bucket: BucketHandle, _ options: DeleteOptions
    ) async throws -> DeleteOutcome {
        var head = HeadRow(key: key)
        head.write = newVersion(of: key, in: bucket).write
        head.deleteMarker = true
        head.modifiedMs = context.environment.wallTime().milliseconds
        let infos = infos(in: bucket)
        do {
            head = try await commit(head, in: bucket) { current in
                do { try options.check?(current.map(infos)) } catch { return error }
                return nil
            }
        } catch let failure as CommitUnknown { throw failure.error }
        var outcome = DeleteOutcome()
        outcome.versionID = bucket.versionID(of: head)
        outcome.isDeleteMarker = true
        return outcome
    }

    /// Removes one version for good.
    private func remove(
        _ version: VersionSelector, of key: String, in bucket: BucketHandle,
        _ options: DeleteOptions
    ) async throws -> DeleteOutcome {
        var outcome = DeleteOutcome()
        if case .write(let write) = version { outcome.versionID = Hex.encode(write) }
        if version == .null, bucket.settings.versioning != .never { outcome.versionID = "null" }
        let position = bucket.keys.position(of: key)
        for _ in 0..<ObjectGateway.looks {
            guard let head = try await readHeadRow(key, in: bucket),
                let found = try await find(version, below: head, at: position, in: bucket)
            else {
                try options.check?(nil)
                return outcome
            }
            outcome.isDeleteMarker = found.deleteMarker
            if found.write == head.write {
                let isRemoved = try await removeHead(of: key, in: bucket, options) {
                    $0.write == found.write
                }
                guard isRemoved else { continue }
                // It was in its head, from where it is discarded.
                if head.named || head.hasEarlier { _ = try await removeEarlier(found, in: bucket) }
                return outcome
            }
            if let removed = try await removeEarlier(found, in: bucket, check: options.check) {
                await discard(removed, in: bucket)
            }
            if !head.hasVersion { try await tidyHead(of: key, in: bucket) }
            return outcome
        }
        throw ObjectError.unavailable(
            "the object is replaced too often for a version to be removed")
    }

    /// Deletes the row of an earlier version unless `check` throws, and returns what was in it. The row
    /// is marked deleted also where there is none yet.
    private func removeEarlier(
        _ version: HeadRow, in bucket: BucketHandle,
        check: (@Sendable (ObjectInfo?) throws -> Void)? = nil
    ) async throws -> HeadRow? {
        let store = store(bucket)
        let row = bucket.keys.earlier(bucket.keys.position(of: version.key), write: version.write)
        let infos = infos(in: bucket)
        let removal = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Removal) in
                let head = state.value.flatMap { store.head($0, at: row) }
                do { try check?(head.map(infos)) } catch {
                    return (.abandon, .refused(error))
                }
                return (.delete, .done(head))
            }
        }
        switch removal {
        case .refused(let error): throw error
        case .done(let head): return head
        case .unwanted: return nil
        }
    }

    /// Drops a head that says to look among earlier versions when there are none any more.
    private func tidyHead(of key: String, in bucket: BucketHandle) async throws {
        let store = store(bucket)
        let row = bucket.keys.head(key)
        let now = context.environment.wallTime()
        guard let head = try await readHeadRow(key, in: bucket), !head.hasVersion else { return }
        try await withTables { () async throws(TableError) in
            guard try await store.newest(below: head, at: row.position) == nil else { return }
            _ = try await context.tables.update(row) { state in
                guard var head = state.value.flatMap({ store.head($0, at: row) }), !head.hasVersion
                else { return .abandon }
                head.hasEarlier = false
                guard let rest = head.deleted(now: now) else { return .delete }
                return .set(store.seal(rest, at: row))
            }
        }
    }

    /// Has the row of a `null` version removed that a newer one replaced.
    func dropReplacedNull(
        _ write: [UInt8], of key: String, in bucket: BucketHandle
    ) async {
        var version = HeadRow(key: key)
        version.write = write
        do {
            if let removed = try await removeEarlier(version, in: bucket) {
                await discard(removed, in: bucket)
            }
        } catch {
            // It no longer counts (`HeadRow.keeps`), and collection comes by.
            context.logger.info("a replaced version keeps its row", [("error", "\(error)")])
        }
    }

    // MARK: Attributes

    package func updateAttributes(
        of key: String, version: String?, in bucket: String,
        _ change: @escaping @Sendable (inout [String: [UInt8]]) throws -> Void
    ) async throws -> ObjectInfo {
        let handle = try await handle(bucket)
        let selector = try VersionSelector(version)
        let position = handle.keys.position(of: key)
        for _ in 0..<ObjectGateway.looks {
            let current = try await readHeadRow(key, in: handle)
            var version: HeadRow?
            if let current {
                version = try await find(selector, below: current, at: position, in: handle)
            }
            let found = try readable(version, selector, in: handle)
            let row =
                current?.write == found.write
                ? handle.keys.head(key) : handle.keys.earlier(position, write: found.write)
            if let changed = try await changed(found.write, at: row, in: handle, change) {
                return info(of: changed, in: handle)
            }
        }
        throw ObjectError.conflict
    }

    /// Nil if the version is not in that row any more.
    private func changed(
        _ write: [UInt8], at row: RowKey, in bucket: BucketHandle,
        _ change: @escaping @Sendable (inout [String: [UInt8]]) throws -> Void
    ) async throws -> HeadRow? {
        let store = store(bucket)
        let result = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Result<HeadRow?, any Error>) in
                guard var head = state.value.flatMap({ store.head($0, at: row) }),
                    head.write == write
                else { return (.abandon, .success(nil)) }
                do { try change(&head.attributes) } catch { return (.abandon, .failure(error)) }
                head.revision += 1
                return (.set(store.seal(head, at: row)), .success(head))
            }
        }
        return try result.get()
    }
}
