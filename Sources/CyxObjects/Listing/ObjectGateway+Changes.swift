internal import CyxCore
internal import CyxTables

/// What became of a key of a bucket.
package struct ObjectChange: Sendable {
    package enum Kind: String, Sendable {
        case created, removed
        /// An earlier version is the newest again.
        case restored
    }

    package var kind: Kind
    package var key: String
    /// What the key has now; nil: nothing, or a delete marker.
    package var info: ObjectInfo?
    /// Names the write: the same one may be told more than once.
    package var write: [UInt8]
}

/// How far somebody has followed the changes of a bucket.
package struct ObjectChangeCursor: Sendable {
    let bucket: Digest
    let scan: ScanCursor
}

/// Changes of a bucket since a cursor, in no order but that of each key.
package struct ObjectChanges: Sendable {
    package var changes: [ObjectChange] = []
    /// From where on to ask next; nil: what came before is lost, and the bucket must be listed anew.
    package var cursor: ObjectChangeCursor?
    /// Whether there is no more to ask for now.
    package var isComplete = true
}

/// Whoever can tell how a bucket changes, whichever gateway of its account changes it.
package protocol ObjectChangeSource: AnyObject, Sendable {
    /// Without a cursor: from now on.
    func changes(
        in bucket: String, since cursor: ObjectChangeCursor?
    ) async throws -> ObjectChanges
}

extension ObjectGateway: ObjectChangeSource {
    package func changes(
        in bucket: String, since cursor: ObjectChangeCursor?
    ) async throws -> ObjectChanges {
        let handle = try await handle(bucket)
        guard let cursor else { return ObjectChanges(cursor: try await now(handle)) }
        // A bucket of that name that was made since is another one.
        guard cursor.bucket == handle.keys.bucket else { return ObjectChanges() }
        // The index knows the names of what is about to be gone.
        try await follow(handle, needsVersions: false)
        let page = try await withTables { () async throws(TableError) in
            try await context.tables.changes(
                .heads, position: handle.keys.firstPosition, since: cursor.scan)
        }
        // A walk tells what there is, not what has changed.
        guard page.stretch == nil, page.cursor.walk == nil else { return ObjectChanges() }
        let (store, listings) = (store(handle), context.listings)
        let heads = await context.environment.blocking.run {
            page.rows.compactMap { row in row.state.value.flatMap { store.head($0, at: row.key) } }
        }
        listings.remember(heads.map { (handle.keys.head($0.key), $0.key) })
        var result = ObjectChanges(
            cursor: ObjectChangeCursor(bucket: handle.keys.bucket, scan: page.cursor),
            isComplete: page.isComplete)
        let infos = infos(in: handle)
        for head in heads {
            var change = ObjectChange(kind: .removed, key: head.key, info: nil, write: head.write)
            if head.isObject {
                (change.kind, change.info) = (.created, infos(head))
            } else if !head.hasVersion, head.hasEarlier {
                change.info = try await newest(of: head.key, in: bucket)
                if change.info != nil { change.kind = .restored }
            }
            result.changes.append(change)
        }
        // What was made and removed since the last time has no name here, and nobody missed it.
        for row in page.rows where row.state.value == nil {
            guard let key = listings.rememberedName(of: row.key) else { continue }
            result.changes.append(ObjectChange(kind: .removed, key: key, info: nil, write: []))
        }
        return result
    }

    /// What an earlier version makes of a key whose newest was removed.
    private func newest(of key: String, in bucket: String) async throws -> ObjectInfo? {
        do {
            let info = try await head(key, version: nil, in: bucket)
            return info.isDeleteMarker ? nil : info
        } catch ObjectError.noSuchKey {
            return nil
        }
    }

    /// The end of what the index has taken in, once it is up to date.
    private func now(_ bucket: BucketHandle) async throws -> ObjectChangeCursor? {
        try await follow(bucket, needsVersions: false)
        let (listings, id) = (context.listings, bucket.keys.bucket)
        do throws(StoreError) {
            let state = try await context.environment.blocking.run { () throws(StoreError) in
                try BucketIndex(try listings.opened(), id).state()
            }
            return state?.heads.map { ObjectChangeCursor(bucket: id, scan: $0) }
        } catch {
            throw ObjectError.unavailable("the index of the bucket cannot be used: \(error)")
        }
    }
}
