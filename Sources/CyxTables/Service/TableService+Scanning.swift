internal import CyxCore
internal import CyxTransport

/// Pages of rows: answering them and, for a whole range, having a quorum answer (A9).
extension TableService {
    func answerScan(_ request: RowRequest) async throws(StoreError) -> RowReply {
        if let refusal = scanRefusal(request) { return refusal }
        guard let id = request.view?.id, let table = UInt8(exactly: request.scanTable) else {
            return RowReply(status: .rejected, detail: "not a scan")
        }
        // What was accepted before this request came is on disk after this.
        try await rows.settle()
        let range = StorageKey.rows(of: id.partition)
        let end = min(request.scanEnd, range.to, by: { $0.lexicographicallyPrecedes($1) })
        let limit = min(Int(request.scanLimit), TableMessageLimits.pageRows)
        let digests = request.scanDigests
        let store = rows.store
        let reply = try await environment.blocking.run { () throws(StoreError) in
            try TableService.scanPage(
                store, from: request.key, to: end, table: TableID(rawValue: table), limit: limit,
                view: id, digests: digests)
        }
        // Sealed or replaced meanwhile: what was read may be of another epoch.
        return scanRefusal(request) ?? reply
    }

    private func scanRefusal(_ request: RowRequest) -> RowReply? {
        refusal(request.view ?? ViewReference(), key: request.key)
    }

    /// One page of one table's rows within [from, to).
    private static func scanPage(
        _ store: any KeyValueStore, from start: [UInt8], to end: [UInt8], table: TableID,
        limit: Int, view: ViewID, digests: Bool
    ) throws(StoreError) -> RowReply {
        var reply = RowReply(status: .done)
        var from = start
        var bytes = 0
        while from.lexicographicallyPrecedes(end) {
            let page = try store.scan(from: from, to: end, limit: TableMessageLimits.pageRows)
            for entry in page {
                guard let key = StorageKey.decodeRow(entry.key), key.table == table else {
                    continue
                }
                guard reply.scanned.count < limit, bytes < TableMessageLimits.pageBytes else {
                    return reply
                }
                let row = try RowStore.decode(entry.key, entry.value)
                guard case .register(let record) = row.content else { continue }
                bytes += entry.key.count + entry.value.count
                reply.scanned.append(
                    ScannedRow(
                        key: entry.key, row: digests ? record.accepted.bytes : record.bytes,
                        isReadable: record.isReadable(in: view)))
            }
            guard page.count == TableMessageLimits.pageRows, let last = page.last else { break }
            from = StorageKey.next(after: last.key)
        }
        reply.isComplete = true
        return reply
    }
}

func min<Value>(_ left: Value, _ right: Value, by precedes: (Value, Value) -> Bool) -> Value {
    precedes(right, left) ? right : left
}
