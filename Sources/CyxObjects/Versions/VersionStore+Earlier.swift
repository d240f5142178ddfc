internal import CyxCore
internal import CyxTables

/// Rows of versions that are no longer their keys' current ones.
///
/// Whoever replaces a version that stays first gives it a row of its own, then changes the head (A8).
/// A version has a row or is in its head, perhaps both for a while; the head counts then. Removing
/// one deletes its row also where there is none: a row that was deleted once is not written again, so
/// that a slow writer does not bring back what was removed while it was about to keep it. That holds
/// while the deleted row is remembered (A6: an hour), longer than any commit takes.
extension VersionStore {
    /// Gives the version in `head` a row of its own.
    func keep(_ head: HeadRow, at position: Digest) async throws(TableError) {
        let key = bucket.earlier(position, write: head.write)
        var row = head
        row.fenced = []
        row.hasEarlier = false
        row.earlierNull = []
        let sealed = seal(row, at: key)
        _ = try await context.tables.update(key) { state in
            guard let value = state.value else {
                return state.version == RegisterVersion.none ? .set(sealed) : .abandon
            }
            // Another writer may have kept it already, and its tags be changed since.
            guard let known = self.head(value, at: key), known.revision < head.revision else {
                return .abandon
            }
            return .set(sealed)
        }
    }

    /// The earlier version of that write; nil if there is none.
    func earlier(_ write: [UInt8], at position: Digest) async throws(TableError) -> HeadRow? {
        let key = bucket.earlier(position, write: write)
        return try await context.tables.read(key).value.flatMap { head($0, at: key) }
    }

    /// All earlier versions of one key for which there are rows, in no order.
    func earlier(at position: Digest) async throws(TableError) -> [HeadRow] {
        var found: [HeadRow] = []
        var after: RowKey?
        while true {
            let page = try await context.tables.scan(
                .versions, position: position, prefixBits: 64, after: after,
                limit: RowLimits.scanPageRows)
            // Positions of one bucket that agree in 64 bits are rare, and told apart here.
            for row in page where row.key.position == position {
                if let head = row.state.value.flatMap({ head($0, at: row.key) }) {
                    found.append(head)
                }
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { return found }
            after = last.key
        }
    }

    /// What the key of `head` has now, after its newest version was removed.
    func newest(below head: HeadRow, at position: Digest) async throws(TableError) -> HeadRow? {
        guard head.hasEarlier else { return nil }
        return try await earlier(at: position).filter(head.keeps).max { $0.sequence < $1.sequence }
    }

    /// The version that the upload was completed into, if the key still has it.
    func version(
        completedFrom upload: [UInt8], at position: Digest
    ) async throws(TableError) -> HeadRow? {
        let key = RowKey(table: .heads, position: position)
        guard let value = try await context.tables.read(key).value,
            let head = head(value, at: key)
        else { return nil }
        let name = Hex.encode(upload)
        if head.upload == name { return head }
        guard head.hasEarlier else { return nil }
        return try await earlier(at: position).first { $0.upload == name && head.keeps($0) }
    }

    /// Whether a version of that key, other than the one in its head, counts: `write` names it.
    func isKept(_ write: [UInt8], at position: Digest) async throws(TableError) -> Bool {
        guard let version = try await earlier(write, at: position) else { return false }
        if version.named { return true }
        let key = RowKey(table: .heads, position: position)
        return try await context.tables.read(key).value.flatMap { head($0, at: key) }
            .map { $0.keeps(version) } ?? false
    }
}

extension HeadRow {
    /// Whether `version`, which has a row of its own, is one of the key whose head this is. A `null`
    /// version that was replaced is not, even if its row is still there.
    func keeps(_ version: HeadRow) -> Bool {
        hasEarlier && version.write != write && (version.named || version.write == earlierNull)
    }
}
