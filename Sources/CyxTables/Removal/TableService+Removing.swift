internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Forgetting registers that were deleted long ago, and elements that were removed from merge rows
/// (A6).
///
/// The first custodian of a partition walks its rows now and then. Where it finds that a register has
/// been deleted for long enough, it asks all members of the view what they have of it. If all of them
/// have accepted that very deletion, it has each forget the register (`TableService+Floors`).
///
/// So it does with a merge row that has removed elements and has not changed for as long: if all
/// members have just the same row, each forgets those elements, and an empty row goes. No member then
/// has an element as it was before its removal. Unlike a register a merge row has no ballots that would
/// tell a late request from a new one: what was under way for longer than the age would bring an element
/// back. Only two-phase tables forget, as their elements are named once and for all, and one that is
/// back does no harm that it did not do before it was removed: of a holder an audit finds out, and a
/// reference keeps a segment until it is dropped again.
extension TableService {
    /// Tombstones under way at once.
    private static let removedAtOnce = 32

    func removeForever() async {
        let pause = configuration.timings.tombstoneAge / TombstoneSweep.passesPerAge
        do {
            while true {
                try await environment.sleep(for: pause)
                do {
                    try await sweepTombstones()
                } catch let error as StoreError {
                    logger.warning("row store failed", [("error", "\(error)")])
                }
            }
        } catch {
            logger.debug("stopped removing")
        }
    }

    private func sweepTombstones() async throws {
        guard !isSuspended, replicas.values.contains(where: { mayRemove($0) }) else { return }
        sweep.beginPass()
        var start: [UInt8]? = StorageKey.allRows.from
        while let from = start {
            let page = try await tombstones(from: from)
            let now = environment.now()
            let age = configuration.timings.tombstoneAge
            let due = page.found.filter { tombstone in
                guard let replica = replica(around: tombstone), mayRemove(replica) else {
                    return false
                }
                return sweep.see(tombstone, now: now, age: age)
            }
            // The highest first: those after it do not raise the floor any more.
            await remove(due.sorted { $1.version.lexicographicallyPrecedes($0.version) })
            start = page.next
            try await environment.sleep(for: TombstoneSweep.pagePause)
        }
        sweep.endPass()
    }

    private func replica(around tombstone: TombstoneSweep.Tombstone) -> Replica? {
        StorageKey.position(ofBound: tombstone.key).flatMap { replicas[partition(holding: $0)] }
    }

    /// Whether this peer looks after a partition's tombstones. All members must be there to say what
    /// they have, so that the first that can be reached is the first of the view.
    private func mayRemove(_ replica: Replica) -> Bool {
        guard replica.isAtRest, mayForget(in: replica.view), replica.view.peers.first == localPeer
        else { return false }
        let members = membership.snapshot.members
        return replica.view.peers.allSatisfy {
            $0 == localPeer || members[$0]?.isReachable == true
        }
    }

    /// One page of the rows here: the tombstones in it, and where the next one begins.
    private func tombstones(
        from start: [UInt8]
    ) async throws(StoreError) -> (found: [TombstoneSweep.Tombstone], next: [UInt8]?) {
        let store = rows.store
        let twoPhase = configuration.twoPhaseTables
        return try await environment.blocking.run { () throws(StoreError) in
            let limit = TombstoneSweep.pageRows
            let page = try store.scan(from: start, to: StorageKey.allRows.to, limit: limit)
            var found: [TombstoneSweep.Tombstone] = []
            for entry in page {
                let row = try RowStore.decode(entry.key, entry.value)
                guard TableService.isRemovable(row.content, entry.key, twoPhase),
                    let summary = RowSummary(entry.key, row.content)
                else { continue }
                found.append(.init(key: entry.key, version: summary.version))
            }
            let next = page.count == limit ? page.last.map { StorageKey.next(after: $0.key) } : nil
            return (found, next)
        }
    }

    /// Whether a row is, or has in it, what may be forgotten.
    static func isRemovable(
        _ content: StoredRow.Content, _ key: [UInt8], _ twoPhaseTables: Set<TableID>
    ) -> Bool {
        switch content {
        case .register(let record): return record.isTombstone
        case .merge(let row):
            guard let table = StorageKey.decodeRow(key)?.table else { return false }
            return twoPhaseTables.contains(table) && row.hasTombstones
        }
    }

    private func remove(_ tombstones: [TombstoneSweep.Tombstone]) async {
        await withTaskGroup(of: Void.self) { group in
            for (index, tombstone) in tombstones.enumerated() {
                if index >= TableService.removedAtOnce { await group.next() }
                group.addTask { await self.remove(tombstone) }
            }
        }
    }

    private func remove(_ tombstone: TombstoneSweep.Tombstone) async {
        guard let view = replica(around: tombstone)?.view else { return }
        let reference = ViewReference(view.id)
        let read = RowRequest(view: reference, operation: .read, key: tombstone.key)
        let needsAll = configuration.keeps(.removesWhenAllAccepted)
        let call = await ask(
            view.peers, .tableRows, read.protobufBytes(), as: RowReply.self, urgency: .background
        ) { answers in
            let isLost = answers.last.map { !self.has($0.reply, tombstone) } ?? false
            return isLost && needsAll ? .finish : .goOn
        }
        let having = call.answers.count { has($0.reply, tombstone) }
        guard having >= (needsAll ? view.members.count : 1) else { return }
        let removal = RowRequest(
            view: reference, operation: .remove, key: tombstone.key,
            ballot: tombstone.version)
        _ = await ask(
            view.peers, .tableRows, removal.protobufBytes(), as: RowReply.self,
            urgency: .background
        ) { _ in .goOn }
    }

    /// Whether a member has just that, and promised nothing since.
    private func has(_ reply: RowReply, _ tombstone: TombstoneSweep.Tombstone) -> Bool {
        guard reply.status == .done, let table = StorageKey.decodeRow(tombstone.key)?.table else {
            return false
        }
        do {
            return isSame(try StoredRow.Content(table: table, bytes: reply.row), tombstone)
        } catch {
            return false
        }
    }

    /// Whether a row's content is the very one that all members have to have.
    func isSame(_ content: StoredRow.Content, _ tombstone: TombstoneSweep.Tombstone) -> Bool {
        TableService.isRemovable(content, tombstone.key, configuration.twoPhaseTables)
            && RowSummary(tombstone.key, content)?.version == tombstone.version
    }
}
