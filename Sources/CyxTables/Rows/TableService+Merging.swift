internal import CyxCore
internal import CyxTransport

/// Reading and writing merge rows: to all members, acknowledged by a quorum; read from a quorum
/// and merged (A6).
extension TableService {
    /// Attempts to write above stamps of a clock that is ahead of ours.
    private static let restampLimit = 4

    package func readMerge(_ key: RowKey) async throws(TableError) -> [MergeElement] {
        valid(try await readMergeRow(key, within: configuration.timings.operationTimeout), key)
    }

    func readMergeRow(_ key: RowKey, within time: Duration) async throws(TableError) -> MergeRow {
        try check(key)
        precondition(!key.table.isRegister, "a merge table has an odd number")
        var budget = OperationBudget(
            now: environment.now(), timings: configuration.timings, within: time)
        while true {
            let certificate = try await locate(key.position, &budget)
            let view = certificate.view
            let request = RowRequest(
                view: ViewReference(view.id), operation: .read, key: StorageKey.row(key))
            let call = await askQuorum(request, certificate)
            let copies = call.answers.compactMap { answer -> MergeRow? in
                answer.reply.status == .done ? TableService.mergeRow(answer.reply) : nil
            }
            if copies.count >= view.quorum {
                let twoPhase = configuration.twoPhaseTables.contains(key.table)
                var merged = MergeRow()
                for copy in copies { merged.absorb(copy, twoPhase: twoPhase) }
                for item in merged.items { _ = observe(item.entry.stamp) }
                // Where copies differ, what is about to be told must first be on a quorum.
                let agreeing = copies.count { $0 == merged }
                if agreeing >= view.quorum || !configuration.keeps(.repairsMergeRows) {
                    return merged
                }
                if mustAskCustodian(key, view) {
                    switch await runErrand(resolution(key, certificate), certificate) {
                    case .done(let reply):
                        if let row = TableService.mergeRow(reply) { return row }
                        budget.reason = "a custodian's answer is not a row"
                    case .moved: continue
                    case .rejected(let reason): throw .rejected(reason)
                    case .failed(let reason): budget.reason = reason
                    }
                    try await pause(&budget)
                    continue
                }
                let repaired = await write(merged, key, certificate)
                if repaired.isAcknowledged { return merged }
                budget.reason = describe(repaired.call, view)
            } else {
                budget.reason = describe(call, view)
            }
            if isOver(view.id) { continue }
            try await pause(&budget)
        }
    }

    package func merge(_ key: RowKey, _ elements: [MergeElement]) async throws(TableError) {
        try check(key)
        precondition(!key.table.isRegister, "a merge table has an odd number")
        guard elements.count <= RowLimits.mergeElements else { throw .tooLarge }
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        var addition = try stamped(elements, key)
        var restamps = 0
        while true {
            let certificate = try await locate(key.position, &budget)
            let view = certificate.view
            let outcome = await write(addition, key, certificate)
            if outcome.isAcknowledged {
                // Someone's clock is ahead of ours: what we write now must win over what was there.
                guard let ahead = outcome.superseding, restamps < TableService.restampLimit
                else { return }
                guard observe(ahead) else {
                    throw .unavailable(
                        "this peer's clock is more than 10 s behind that of whoever wrote the row; "
                            + "set it right")
                }
                restamps += 1
                addition = try stamped(elements, key)
                continue
            }
            try throwRefusals(outcome.call, view)
            budget.reason = describe(outcome.call, view)
            if isOver(view.id) { continue }
            try await pause(&budget)
        }
    }

    private func stamped(
        _ elements: [MergeElement], _ key: RowKey
    ) throws(TableError) -> MergeRow {
        let twoPhase = configuration.twoPhaseTables.contains(key.table)
        var row = MergeRow()
        for element in elements {
            if let value = element.value,
                let reason = configuration.validate(key, element.element, value)
            {
                throw .rejected(reason)
            }
            let entry = MergeEntry(
                value: element.value, stamp: clock.next(now: environment.wallTime()),
                writer: localPeer)
            row.put(element.element, entry, twoPhase: twoPhase)
        }
        guard row.byteCount <= RowLimits.valueBytes else { throw .tooLarge }
        return row
    }

    private struct WriteOutcome {
        var call: QuorumCall<RowReply>
        var isAcknowledged: Bool
        var superseding: HybridStamp?
    }

    private func write(
        _ row: MergeRow, _ key: RowKey, _ certificate: ViewCertificate
    ) async -> WriteOutcome {
        let view = certificate.view
        let request = RowRequest(
            view: ViewReference(view.id), operation: .merge, key: StorageKey.row(key),
            row: row.bytes)
        let call = await askQuorum(request, certificate, permit: permit(for: key, view))
        let done = call.answers.filter { $0.reply.status == .done }
        let stamp = done.map(\.reply.stamp).max() ?? 0
        return WriteOutcome(
            call: call, isAcknowledged: done.count >= view.quorum,
            superseding: stamp > 0 ? HybridStamp(value: stamp) : nil)
    }

    /// Takes note of another peer's stamp, unless it is too far ahead (A7).
    func observe(_ stamp: HybridStamp) -> Bool {
        clock.observe(
            stamp, now: environment.wallTime(), isBounded: configuration.keeps(.boundsClocks))
    }

    func isPlausible(_ stamp: HybridStamp, now: WallTime) -> Bool {
        HybridClock.isPlausible(stamp, now: now) || !configuration.keeps(.boundsClocks)
    }

    private static func mergeRow(_ reply: RowReply) -> MergeRow? {
        do {
            return try MergeRow(bytes: reply.row)
        } catch {
            return nil
        }
    }

    /// The elements that a reader may believe.
    func valid(_ row: MergeRow, _ key: RowKey) -> [MergeElement] {
        row.elements.filter { element in
            element.value.map { configuration.validate(key, element.element, $0) == nil } ?? false
        }
    }
}
