internal import CyxCore
internal import CyxTables

/// Fences in heads: before what a write stored is collected, its head is made to refuse the write's
/// commit, however late that comes (B5).
extension HeadRow {
    /// Writes that one head refuses at a time; the next ones are collected when older fences end.
    static let fencesMax = 16

    /// Whether there is a version, an object or a delete marker, not only fences.
    var hasVersion: Bool { !write.isEmpty }
    /// Whether there is an object to be read.
    var isObject: Bool { hasVersion && !deleteMarker }

    func refuses(_ write: [UInt8]) -> Bool { fenced.contains { $0.write == write } }

    func withoutOldFences(now: WallTime) -> HeadRow {
        var head = self
        head.fenced.removeAll { $0.untilMs <= now.milliseconds }
        return head
    }

    /// What is left of this head when its version is deleted: nil unless there are fences or may be
    /// earlier versions.
    func deleted(now: WallTime) -> HeadRow? {
        let fenced = withoutOldFences(now: now).fenced
        guard !fenced.isEmpty || hasEarlier else { return nil }
        var rest = HeadRow(key: key, fenced: fenced)
        rest.sequence = sequence
        rest.hasEarlier = hasEarlier
        rest.earlierNull = earlierNull
        return rest
    }

    /// With a fence against the upload that was completed into it: what replaces this head keeps it.
    /// A gateway that died before it had marked the upload done leaves a client that asks for the
    /// completion again, which must not bring back what was replaced, and whose parts are gone. Where
    /// there is no room for more fences, the upload's own register alone stands against that.
    func refusingItsUpload(until: WallTime, now: WallTime) -> HeadRow {
        guard let id = Hex.decode(upload), !id.isEmpty,
            let next = refusing(id, until: until, now: now)
        else { return withoutOldFences(now: now) }
        return next
    }

    func refusesUpload(_ upload: String) -> Bool {
        guard let id = Hex.decode(upload), !id.isEmpty else { return false }
        return refuses(id)
    }

    /// With one fence more; nil when there are too many.
    func refusing(_ write: [UInt8], until: WallTime, now: WallTime) -> HeadRow? {
        var head = withoutOldFences(now: now)
        guard head.fenced.count < HeadRow.fencesMax else { return nil }
        head.fenced.append(FencedWrite(write: write, untilMs: until.milliseconds))
        return head
    }
}

extension VersionStore {
    /// What fencing found.
    enum Fencing: Equatable, Sendable {
        /// What was to be fenced is the current version.
        case isCurrent
        /// It never will be.
        case fenced
        /// It was refused before.
        case wasFenced
        /// There was no room, or the head cannot be read.
        case refused
        /// It is not current, and nothing was fenced, since it may be an earlier version.
        case mayBeEarlier
    }

    /// When a fence that is put up now may go again.
    func fenceEnd(now: WallTime) -> WallTime {
        let span = context.timings.collection.fence.nanoseconds / 1_000_000
        return WallTime(milliseconds: now.milliseconds + span)
    }

    /// Makes the head at `position` refuse the commit of `write`, unless that is its version, or may be
    /// an earlier one. `isNoneEarlier`: it is not.
    func fence(
        _ write: [UInt8], at position: Digest, isNoneEarlier: Bool = false
    ) async throws(TableError) -> Fencing {
        try await fence(write, at: position, isNoneEarlier: isNoneEarlier) { $0.write == write }
    }

    /// Makes the head at `position` refuse every completion of `upload`, unless it is what that
    /// became.
    func fence(
        upload: [UInt8], at position: Digest
    ) async throws(TableError) -> Fencing {
        try await fence(upload, at: position, isNoneEarlier: true) {
            $0.upload == Hex.encode(upload)
        }
    }

    private func fence(
        _ name: [UInt8], at position: Digest, isNoneEarlier: Bool,
        isOwn: @escaping @Sendable (HeadRow) -> Bool
    ) async throws(TableError) -> Fencing {
        let key = RowKey(table: .heads, position: position)
        let now = context.environment.wallTime()
        let end = fenceEnd(now: now)
        return try await context.tables.update(key) { state -> (RegisterChange, Fencing) in
            let current = state.value.map { self.head($0, at: key) } ?? HeadRow()
            guard let current else { return (.abandon, .refused) }
            if isOwn(current) { return (.abandon, .isCurrent) }
            if current.refuses(name) { return (.abandon, .wasFenced) }
            if current.hasEarlier, !isNoneEarlier { return (.abandon, .mayBeEarlier) }
            guard let next = current.refusing(name, until: end, now: now) else {
                return (.abandon, .refused)
            }
            return (.set(self.seal(next, at: key)), .fenced)
        }
    }

    /// Makes a re-coding of `version` that is under way fail. False if the layout changed since
    /// `row` was read.
    func fenceLayout(
        _ version: VersionID, _ row: LayoutRow
    ) async throws(TableError) -> Bool {
        let key = layoutKey(version)
        let fences = row.fences + 1
        let state = try await context.tables.update(key) { state in
            guard var current = state.value.flatMap({ self.layoutRow($0, at: key) }),
                current.generation == row.generation, current.fences == row.fences
            else { return .abandon }
            current.fences = fences
            return .set(self.seal(current, at: key))
        }
        guard let current = state.value.flatMap({ layoutRow($0, at: key) }) else { return false }
        return current.generation == row.generation && current.fences == fences
    }

    /// All rows of a version but its head, found by its write.
    func rows(of version: VersionID) async throws(TableError) -> [RowKey] {
        var rows: [RowKey] = []
        for table in [TableID.layouts, .manifests] {
            var after: RowKey? = RowKey(
                table: table, position: version.position, suffix: version.write)
            // The layout itself has just this suffix, and `after` is exclusive.
            if table == .layouts, let layout = after { rows.append(layout) }
            while let start = after {
                let page = try await context.tables.scan(
                    table, position: version.position, prefixBits: 64, after: start,
                    limit: RowLimits.scanPageRows)
                let own = page.prefix {
                    $0.key.position == version.position
                        && $0.key.suffix.starts(with: version.write)
                }
                rows += own.map(\.key)
                after = own.count == RowLimits.scanPageRows ? own.last?.key : nil
            }
        }
        return rows
    }
}
