internal import CyxCore
internal import CyxTables

/// What the commit of a head found.
private enum CommitOutcome: Sendable {
    case committed(Replaced)
    case refused(any Error)
    /// The head was there already: an earlier try of the same write had got through, or another of
    /// the same upload's completion.
    case repeated(HeadRow)
    /// The version that is there needs a row of its own first.
    case mustKeep(HeadRow)
}

/// What a commit took the place of.
private struct Replaced: Sendable {
    /// The head as it was written.
    var head: HeadRow
    /// A `null` version that is gone with it.
    var version: HeadRow?
    /// The write of a `null` version that has a row of its own and is gone with it.
    var earlierNull: [UInt8] = []
}

extension ObjectGateway {
    /// How often a commit begins again when others replace the version that it has just kept.
    private static let commitAttempts = 32

    /// The compare-and-set that makes a version visible (A8). Returns the head that is there then.
    /// `refusal`: why it must not replace the object that is there, which is nil for none.
    ///
    /// A version that has an ID stays as an earlier one, and so does a `null` version that one with an
    /// ID replaces; they get rows of their own before the head changes.
    func commit(
        _ head: HeadRow, in bucket: BucketHandle,
        unless refusal: @escaping @Sendable (HeadRow?) -> (any Error)?
    ) async throws -> HeadRow {
        var head = head
        head.named = bucket.settings.versioning == .enabled
        var kept: HeadRow?
        for _ in 0..<ObjectGateway.commitAttempts {
            switch try await attempt(head, kept, in: bucket, refusal) {
            case .committed(let replaced):
                if let version = replaced.version { await discard(version, in: bucket) }
                if !replaced.earlierNull.isEmpty {
                    await dropReplacedNull(replaced.earlierNull, of: head.key, in: bucket)
                }
                return replaced.head
            case .refused(let error): throw error
            case .repeated(let current):
                if current.write != head.write {
                    try await discardRows(
                        VersionID(
                            position: bucket.keys.position(of: head.key), write: head.write),
                        in: bucket)
                }
                return current
            case .mustKeep(let current):
                let position = bucket.keys.position(of: current.key)
                try await withTables { () async throws(TableError) in
                    try await store(bucket).keep(current, at: position)
                }
                kept = current
            }
        }
        throw ObjectError.conflict
    }

    private func attempt(
        _ head: HeadRow, _ kept: HeadRow?, in bucket: BucketHandle,
        _ refusal: @escaping @Sendable (HeadRow?) -> (any Error)?
    ) async throws -> CommitOutcome {
        let key = bucket.keys.head(head.key)
        let store = store(bucket)
        let now = context.environment.wallTime()
        let end = store.fenceEnd(now: now)
        let comparesHeads = context.keeps(.comparesHeads)
        do throws(TableError) {
            return try await context.tables.update(key) { state -> (_, CommitOutcome) in
                let found = state.value.flatMap { store.head($0, at: key) } ?? HeadRow()
                if found.refuses(head.write) {
                    let reason = "the write took so long that it was given up"
                    return (.abandon, .refused(ObjectError.unavailable(reason)))
                }
                if found.refusesUpload(head.upload) {
                    return (.abandon, .refused(ObjectError.noSuchUpload))
                }
                if found.write == head.write { return (.abandon, .repeated(found)) }
                if !head.upload.isEmpty, found.upload == head.upload {
                    // Two gateways complete one upload: the versions share their segments, so that
                    // neither may replace the other.
                    return (.abandon, .repeated(found))
                }
                if comparesHeads, let error = refusal(found.isObject ? found : nil) {
                    return (.abandon, .refused(error))
                }
                let staysWithoutRow =
                    found.staysBeside(head)
                    && (kept?.write != found.write || kept?.revision != found.revision)
                if staysWithoutRow { return (.abandon, .mustKeep(found)) }
                var replaced = head.replacing(found)
                replaced.head.fenced = found.refusingItsUpload(until: end, now: now).fenced
                return (.set(store.seal(replaced.head, at: key)), .committed(replaced))
            }
        } catch {
            throw error == .contended
                ? ObjectError.conflict : CommitUnknown(error: ObjectError(error))
        }
    }
}

extension HeadRow {
    /// Whether this version stays as an earlier one when `next` takes its place.
    fileprivate func staysBeside(_ next: HeadRow) -> Bool { hasVersion && (named || next.named) }

    /// This version as the head after `found`.
    fileprivate func replacing(_ found: HeadRow) -> Replaced {
        var next = self
        next.previous = found.isObject ? found.version : []
        next.sequence = found.sequence + 1
        let stays = found.staysBeside(self)
        next.hasEarlier = found.hasEarlier || stays
        next.earlierNull = found.earlierNull
        if stays, !found.named { next.earlierNull = found.write }
        var replaced = Replaced(head: next)
        if !named {
            replaced.earlierNull = next.earlierNull
            replaced.head.earlierNull = []
            if found.hasVersion, !stays { replaced.version = found }
        }
        return replaced
    }
}
