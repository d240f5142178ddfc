internal import CyxCore

/// Bringing rows of a range to the same state at two members.
extension TableService {
    /// Rows under way at once.
    private static let mendedAtOnce = 32

    private enum Direction: String {
        case taken
        case given
    }

    /// Takes what `peer` has and this peer misses of `theirs`, and gives the reverse.
    func mend(
        _ view: View, with peer: PeerID, _ theirs: [RowSummary], from start: [UInt8],
        to end: [UInt8]
    ) async throws(StoreError) {
        var versions: [[UInt8]: [UInt8]] = [:]
        for row in theirs { versions[row.key] = row.version }
        var from = start
        while true {
            let page = try await rows.scan(from: from, to: end, limit: TableMessageLimits.pageRows)
            var copies: [(key: [UInt8], Direction)] = []
            for entry in page {
                let row = try RowStore.decode(entry.key, entry.value)
                guard let here = RowSummary(entry.key, row.content) else { continue }
                let there = versions.removeValue(forKey: entry.key)
                if there == here.version { continue }
                let isRegister = if case .register = row.content { true } else { false }
                copies += TableService.directions(here.version, there, isRegister: isRegister).map {
                    (entry.key, $0)
                }
            }
            await copy(copies, view, peer)
            guard page.count == TableMessageLimits.pageRows, let last = page.last else { break }
            from = StorageKey.next(after: last.key)
        }
        let missed = versions.keys.filter {
            !$0.lexicographicallyPrecedes(start) && $0.lexicographicallyPrecedes(end)
        }
        await copy(
            missed.sorted { $0.lexicographicallyPrecedes($1) }.map { ($0, .taken) }, view, peer)
    }

    /// Which ways a row that differs has to go. Of a register the higher ballot wins; copies of a
    /// merge row may each have what the other lacks.
    private static func directions(
        _ here: [UInt8], _ there: [UInt8]?, isRegister: Bool
    ) -> [Direction] {
        guard let there else { return [.given] }
        guard isRegister else { return [.taken, .given] }
        do {
            let isOlder = try RegisterVersion(bytes: here) < RegisterVersion(bytes: there)
            return [isOlder ? .taken : .given]
        } catch {
            return [.given]
        }
    }

    private func copy(
        _ copies: [(key: [UInt8], direction: Direction)], _ view: View, _ peer: PeerID
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for (index, item) in copies.enumerated() {
                if index >= TableService.mendedAtOnce { await group.next() }
                group.addTask { await self.copy(item.key, item.direction, view, peer) }
            }
        }
    }

    private func copy(
        _ key: [UInt8], _ direction: Direction, _ view: View, _ peer: PeerID
    ) async {
        let isTaken = direction == .taken
        let reference = ViewReference(view.id)
        let read = RowRequest(view: reference, operation: .read, key: key)
        guard let row = await exchange(read, with: isTaken ? peer : localPeer),
            row.status == .done
        else { return }
        let mend = RowRequest(view: reference, operation: .mend, key: key, row: row.row)
        let reply = await exchange(mend, with: isTaken ? localPeer : peer)
        if let reply, reply.status == .refused {
            noteFloor(reply, view.partition)
            return await finishRound(key)
        }
        guard reply?.status == .done else { return }
        environment.metrics.counter(
            "cyxcloud_table_mended_rows_total", [("direction", direction.rawValue)]
        ).add()
    }

    /// A promise stands in the way: to a proposer that is about to write, or to one that died
    /// before it could. Or it is the floor, of a member that forgot the row or never had it, which
    /// only a quorum can tell. A round of its own brings the row to all members under a ballot above
    /// either.
    private func finishRound(_ key: [UInt8]) async {
        guard let key = StorageKey.decodeRow(key), key.table.isRegister else { return }
        do throws(TableError) {
            try await settle(key)
        } catch {
            logger.debug("a promise stays in the way", [("error", "\(error)")])
        }
    }
}
