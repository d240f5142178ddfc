package import CyxCore
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
        let end = least(request.scanEnd, range.to, by: { $0.lexicographicallyPrecedes($1) })
        let limit = min(Int(request.scanLimit), TableMessageLimits.pageRows)
        let digests =
            !request.scanValuesOf.isEmpty && request.scanValuesOf != localPeer.digest.bytes
        let length = rows.changes.durable
        let store = rows.store
        var reply = try await environment.blocking.run { () throws(StoreError) in
            try TableService.scanPage(
                store, from: request.key, to: end, table: TableID(rawValue: table), limit: limit,
                view: id, digests: digests)
        }
        reply.sequence = length
        // Sealed or replaced meanwhile: what was read may be of another epoch.
        return scanRefusal(request) ?? reply
    }

    func scanRefusal(_ request: RowRequest) -> RowReply? {
        guard let id = request.view?.id else {
            return RowReply(status: .rejected, detail: "no view")
        }
        let range = StorageKey.rows(of: id.partition)
        guard !request.key.lexicographicallyPrecedes(range.from),
            request.key.lexicographicallyPrecedes(range.to)
        else { return RowReply(status: .rejected, detail: "outside the partition") }
        return refusal(id, around: StorageKey.position(ofBound: request.key))
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

/// The lesser of two by an order of its own.
func least<Value>(_ left: Value, _ right: Value, by precedes: (Value, Value) -> Bool) -> Value {
    precedes(right, left) ? right : left
}

extension TableService {
    package func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] {
        precondition(table.isRegister, "scans are of registers")
        precondition((0...64).contains(prefixBits), "a scan's prefix has 0 to 64 bits")
        let range = TableService.scanRange(position, prefixBits)
        var from = after.map { StorageKey.next(after: StorageKey.row($0)) } ?? range.from
        if from.lexicographicallyPrecedes(range.from) { from = range.from }
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        var found: [(key: RowKey, state: RegisterState)] = []
        while from.lexicographicallyPrecedes(range.to), found.count < limit {
            guard let start = StorageKey.position(ofBound: from) else { break }
            let page = try await scanPage(
                table, around: start, from: from, to: range.to, limit: limit - found.count,
                &budget)
            for key in page.keys {
                guard let rowKey = StorageKey.decodeRow(key) else { continue }
                let state: RegisterState
                if let settled = page.settled[key] {
                    state = settled
                } else {
                    state = try await read(rowKey)
                }
                if let value = state.value {
                    if let reason = configuration.validate(rowKey, nil, value) {
                        throw .rejected(reason)
                    }
                    found.append((rowKey, state))
                }
                if found.count == limit { return found }
            }
            from = page.next
        }
        return found
    }

    private static func scanRange(
        _ position: Digest, _ prefixBits: Int
    ) -> (from: [UInt8], to: [UInt8]) {
        guard prefixBits > 0 else {
            return (StorageKey.rowBound(.zero), StorageKey.rowBound(nil))
        }
        let prefix = position.prefix(bits: prefixBits)
        let shift = UInt64(64 - prefixBits)
        let next = (prefix << shift).addingReportingOverflow(1 << shift)
        return (
            StorageKey.rowBound(Digest(prefix << shift, 0, 0, 0)),
            StorageKey.rowBound(next.overflow ? nil : Digest(next.partialValue, 0, 0, 0))
        )
    }

    /// What a quorum says of one stretch of keys.
    private struct ScanPage {
        /// Every key that any of them has, in order.
        var keys: [[UInt8]]
        /// States of those on which a quorum agrees readably; the others need a round of their own.
        var settled: [[UInt8]: RegisterState]
        /// Where the next stretch begins.
        var next: [UInt8]
    }

    /// What comes first of a range, as far as one partition reaches. That may split at any time: the
    /// next stretch begins where this one ended, whatever lies around it then.
    private func scanPage(
        _ table: TableID, around start: Digest, from: [UInt8], to bound: [UInt8], limit: Int,
        _ budget: inout OperationBudget
    ) async throws(TableError) -> ScanPage {
        while true {
            let certificate = try await locate(start, &budget)
            let view = certificate.view
            let end = least(
                bound, StorageKey.rows(of: view.partition).to,
                by: { $0.lexicographicallyPrecedes($1) })
            let request = RowRequest(
                view: ViewReference(view.id), operation: .scan, key: from, scanEnd: end,
                scanTable: UInt32(table.rawValue),
                scanLimit: UInt32(min(max(limit, 1), TableMessageLimits.pageRows)))
            let call = await askQuorum(request, certificate)
            let replies = call.answers.map(\.reply).filter { $0.status == .done }
            if replies.count >= view.quorum {
                return TableService.mergePages(replies, quorum: view.quorum, end: end)
            }
            budget.reason = describe(call, view)
            if isOver(view.id) { continue }
            try await pause(&budget)
        }
    }

    /// Lays the pages of a quorum over one another, up to where all of them reach.
    private static func mergePages(
        _ replies: [RowReply], quorum: Int, end: [UInt8]
    ) -> ScanPage {
        let frontier = frontier(replies)
        var copies: [[UInt8]: [ScannedRow]] = [:]
        for row in replies.flatMap(\.scanned) {
            if let frontier, frontier.lexicographicallyPrecedes(row.key) { continue }
            copies[row.key, default: []].append(row)
        }
        var settled: [[UInt8]: RegisterState] = [:]
        for (key, rows) in copies {
            let records = rows.compactMap { row -> RegisterRecord? in
                guard row.isReadable else { return nil }
                do {
                    return try RegisterRecord(bytes: row.row)
                } catch {
                    return nil
                }
            }
            guard records.count == rows.count, rows.count >= quorum, let first = records.first,
                records.allSatisfy({ $0.accepted == first.accepted })
            else { continue }
            settled[key] = first.state
        }
        return ScanPage(
            keys: copies.keys.sorted { $0.lexicographicallyPrecedes($1) }, settled: settled,
            next: frontier.map { StorageKey.next(after: $0) } ?? end)
    }
}
