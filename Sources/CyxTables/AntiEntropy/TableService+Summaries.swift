internal import CyxCore

/// Saying what of a range is here, to another member or to oneself.
extension TableService {
    /// Rows that one answer looks at; the asker goes on from there. Enough for any but the largest
    /// partitions, and read within a call's time.
    private static let answeredRows = 65_536

    func answerComparison(_ request: RowRequest) async throws(StoreError) -> RowReply {
        guard let id = request.view?.id else {
            return RowReply(status: .rejected, detail: "no view")
        }
        let range = StorageKey.rows(of: id.partition)
        guard !request.key.lexicographicallyPrecedes(range.from),
            request.key.lexicographicallyPrecedes(request.scanEnd),
            !range.to.lexicographicallyPrecedes(request.scanEnd)
        else { return RowReply(status: .rejected, detail: "outside the partition") }
        let position = StorageKey.position(ofBound: request.key)
        if let refusal = refusal(id, around: position) { return refusal }
        if request.key == range.from, request.scanEnd == range.to,
            try await fingerprint(of: id.partition).digest.bytes == request.row
        {
            return refusal(id, around: position) ?? RowReply(status: .same)
        }
        var end = request.scanEnd
        let summary = try await summary(
            from: request.key, to: &end, limit: TableService.answeredRows)
        if let refusal = refusal(id, around: position) { return refusal }
        let isComplete = end == request.scanEnd
        if isComplete, summary.total.digest.bytes == request.row {
            return RowReply(status: .same)
        }
        var reply = RowReply(status: .done, row: isComplete ? [] : end)
        if let listing = summary.listing {
            reply.scanned = listing.map { ScannedRow(key: $0.key, row: $0.version) }
        } else {
            reply.parts = summary.parts(from: request.key).map {
                RangePart(from: $0.from, fingerprint: $0.fingerprint.digest.bytes)
            }
        }
        return reply
    }

    func summary(from: [UInt8], to end: [UInt8]) async throws(StoreError) -> RangeSummary {
        var end = end
        return try await summary(from: from, to: &end, limit: .max)
    }

    /// Of the durable rows from a key on; `end` moves to where `limit` rows end.
    private func summary(
        from start: [UInt8], to end: inout [UInt8], limit: Int
    ) async throws(StoreError) -> RangeSummary {
        try await rows.settle()
        let store = rows.store
        let bound = end
        let (summary, reached) = try await environment.blocking.run { () throws(StoreError) in
            var summary = RangeSummary()
            var from = start
            var seen = 0
            while true {
                let page = try store.scan(
                    from: from, to: bound, limit: TableMessageLimits.pageRows)
                for entry in page {
                    let row = try RowStore.decode(entry.key, entry.value)
                    if let summarized = RowSummary(entry.key, row.content) {
                        summary.add(
                            summarized, bytes: entry.key.count + row.content.byteCount)
                    }
                }
                guard page.count == TableMessageLimits.pageRows, let last = page.last else {
                    return (summary, bound)
                }
                from = StorageKey.next(after: last.key)
                seen += page.count
                if seen >= limit { return (summary, from) }
            }
        }
        end = reached
        return summary
    }
}
