internal import CyxCore
internal import CyxTables

/// How uploads end whose completion was interrupted (A8). Their register says `completing` whether or
/// not a head was written; the head tells.
extension VersionStore {
    /// The parts of an upload that are there.
    func parts(
        of upload: [UInt8], at position: Digest
    ) async throws(TableError) -> [(key: RowKey, part: PartRow)] {
        var parts: [(key: RowKey, part: PartRow)] = []
        var after = RowKey(table: .parts, position: position, suffix: upload)
        while true {
            let page = try await context.tables.scan(
                .parts, position: position, prefixBits: 64, after: after,
                limit: RowLimits.scanPageRows)
            for row in page {
                guard row.key.position == position, row.key.suffix.starts(with: upload) else {
                    return parts
                }
                if let part = row.state.value.flatMap({ part($0, at: row.key) }) {
                    parts.append((row.key, part))
                }
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { return parts }
            after = last.key
        }
    }

    /// Marks an upload done whose completion got through, or can do so no more: the head is what it
    /// became, or refuses it. Leaves it alone if neither is known.
    func endCompletion(of upload: [UInt8], at position: Digest) async throws(TableError) {
        let key = RowKey(table: .heads, position: position)
        if try await version(completedFrom: upload, at: position) == nil {
            guard let value = try await context.tables.read(key).value,
                let head = head(value, at: key), head.refuses(upload)
            else { return }
        }
        let row = bucket.upload(position, upload)
        _ = try await context.tables.update(row) { state in
            guard var current = state.value.flatMap({ self.upload($0, at: row) }),
                current.state == .completing
            else { return .abandon }
            current.state = .done
            return .set(self.seal(current, at: row))
        }
    }
}
