internal import CyxCore
internal import CyxTransport

/// Telling what has changed, as a member of the rows' view (`ChangeLog`).
extension TableService {
    func answerChanges(_ request: RowRequest) async throws(StoreError) -> RowReply {
        if let refusal = scanRefusal(request) { return refusal }
        guard let id = request.view?.id, let table = UInt8(exactly: request.scanTable),
            rows.changes.tables.contains(TableID(rawValue: table)),
            id.partition.depth <= ChangeLog.prefixBits,
            let position = StorageKey.position(ofBound: request.key)
        else { return RowReply(status: .rejected, detail: "no table whose changes are logged") }
        let own = localPeer.digest.bytes
        guard let since = request.since.first(where: { $0.peer == own })?.sequence else {
            return RowReply(status: .stale)
        }
        // What was accepted before this request came is on disk after this.
        try await rows.settle()
        let durable = rows.changes.durable
        guard since <= durable else { return RowReply(status: .stale) }
        let range = StorageKey.changes(TableID(rawValue: table), position, after: since)
        let limit = min(Int(request.scanLimit), TableMessageLimits.pageRows)
        let store = rows.store
        let reply = try await environment.blocking.run { () throws(StoreError) in
            try TableService.changesPage(store, range, limit: limit, view: id, durable: durable)
        }
        // Sealed or replaced meanwhile, or a tombstone went that was not told.
        if let refusal = scanRefusal(request) { return refusal }
        guard let floor = replicas[id.partition]?.changesFloor, since >= floor else {
            return RowReply(status: .stale)
        }
        return reply
    }

    /// One page of the log, with the rows as they are now. A row that changes meanwhile is told as it
    /// is when it is looked up, and once more by who asks next.
    private static func changesPage(
        _ store: any KeyValueStore, _ range: (from: [UInt8], to: [UInt8]), limit: Int,
        view: ViewID, durable: UInt64
    ) throws(StoreError) -> RowReply {
        var reply = RowReply(status: .done)
        var bytes = 0
        let entries = try store.scan(from: range.from, to: range.to, limit: limit)
        for entry in entries {
            guard bytes < TableMessageLimits.pageBytes else { return reply }
            guard let sequence = StorageKey.sequence(ofChange: entry.key) else {
                throw .corrupt(detail: "an entry of the log of changes")
            }
            var scanned = ScannedRow(key: entry.value)
            if let value = try store.get(entry.value),
                case .register(let record) = try RowStore.decode(entry.value, value).content
            {
                scanned.row = record.bytes
                scanned.isReadable = record.isReadable(in: view)
            }
            bytes += scanned.key.count + scanned.row.count
            reply.scanned.append(scanned)
            reply.sequence = sequence
        }
        guard entries.count < limit else { return reply }
        reply.sequence = max(durable, reply.sequence)
        reply.isComplete = true
        return reply
    }
}
