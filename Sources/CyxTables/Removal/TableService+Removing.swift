internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Forgetting registers that were deleted long ago, and elements that were removed from merge rows
/// (A6).
///
/// The first custodian of a partition notes which registers are deleted (`TombstoneSweep`). Of one that
/// has been for long enough it asks all members of the view what they have of it. If all of them
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
        guard !isSuspended else { return }
        sweep.noteFailures(rows.failures)
        sweep.keepWalks { replicas[$0] != nil }
        for partition in replicas.keys.sorted() {
            guard let replica = replicas[partition], leads(replica), replica.isAtRest,
                sweep.needsWalk(replica.view.id)
            else { continue }
            try await walk(replica.view.id)
        }
        let age = configuration.timings.tombstoneAge
        var due = sweep.due(now: environment.now(), age: age)[...]
        while !due.isEmpty {
            let page = Array(due.prefix(TombstoneSweep.pageRows))
            due = due.dropFirst(page.count)
            try await rows.load(page)
            // The highest first: those after it do not raise the floor any more.
            await remove(
                page.compactMap { tombstone($0) }.sorted {
                    $1.version.lexicographicallyPrecedes($0.version)
                })
            try await environment.sleep(for: TombstoneSweep.pagePause)
        }
    }

    /// Whether a partition's tombstones are this peer's to look after. All members must be there to say
    /// what they have, so that the first that can be reached is the first of the view.
    private func leads(_ replica: Replica) -> Bool {
        mayForget(in: replica.view) && replica.view.peers.first == localPeer
    }

    /// What may be forgotten of a row that was due; nil: nothing, or not now.
    private func tombstone(_ key: [UInt8]) -> TombstoneSweep.Tombstone? {
        // Of a row that was driven out of memory meanwhile another pass will tell.
        guard let cached = rows.cached(key) else { return nil }
        guard let position = StorageKey.position(ofBound: key),
            let replica = replicas[partition(holding: position)], leads(replica),
            let content = cached?.content,
            TableService.isRemovable(content, key, configuration.twoPhaseTables),
            let summary = RowSummary(key, content)
        else {
            sweep.drop(key)
            return nil
        }
        let members = membership.snapshot.members
        let isComplete = replica.view.peers.allSatisfy {
            $0 == localPeer || members[$0]?.isReachable == true
        }
        guard replica.isAtRest, isComplete else { return nil }
        return .init(key: key, version: summary.version)
    }

    /// Looks through all rows of a view for what may be forgotten.
    private func walk(_ view: ViewID) async throws {
        sweep.beginWalk(view)
        let range = StorageKey.rows(of: view.partition)
        var start: [UInt8]? = range.from
        do {
            while let from = start {
                let page = try await removable(from: from, to: range.to)
                for key in page.found {
                    sweep.noteFound(key, in: view.partition, now: environment.now())
                }
                start = page.next
                try await environment.sleep(for: TombstoneSweep.pagePause)
            }
        } catch {
            sweep.abandonWalk(view.partition)
            throw error
        }
    }

    /// One page of the rows on disk: those with something to forget, and where the next one begins.
    private func removable(
        from start: [UInt8], to end: [UInt8]
    ) async throws(StoreError) -> (found: [[UInt8]], next: [UInt8]?) {
        let store = rows.store
        let twoPhase = configuration.twoPhaseTables
        return try await environment.blocking.run { () throws(StoreError) in
            let limit = TombstoneSweep.pageRows
            let page = try store.scan(from: start, to: end, limit: limit)
            var found: [[UInt8]] = []
            for entry in page {
                let row = try RowStore.decode(entry.key, entry.value)
                if TableService.isRemovable(row.content, entry.key, twoPhase) {
                    found.append(entry.key)
                }
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
            guard let table = StorageKey.table(of: key) else { return false }
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
        guard let position = StorageKey.position(ofBound: tombstone.key),
            let view = replicas[partition(holding: position)]?.view
        else { return }
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
        guard reply.status == .done, let table = StorageKey.table(of: tombstone.key) else {
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
