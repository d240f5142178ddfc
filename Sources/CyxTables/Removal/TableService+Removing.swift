internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Forgetting registers that were deleted long ago (A6).
///
/// The first custodian of a partition walks its rows now and then. Where it finds that a register has
/// been deleted for long enough, it asks all members of the view what they have of it. If all of them
/// have accepted that very deletion, it has each forget the register (`TableService+Floors`).
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
            await remove(due.sorted { $0.ballot > $1.ballot })
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
        return try await environment.blocking.run { () throws(StoreError) in
            let limit = TombstoneSweep.pageRows
            let page = try store.scan(from: start, to: StorageKey.allRows.to, limit: limit)
            var found: [TombstoneSweep.Tombstone] = []
            for entry in page {
                let row = try RowStore.decode(entry.key, entry.value)
                guard case .register(let record) = row.content, record.isTombstone else { continue }
                found.append(.init(key: entry.key, ballot: record.accepted))
            }
            let next = page.count == limit ? page.last.map { StorageKey.next(after: $0.key) } : nil
            return (found, next)
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
            let isLost = answers.last.map { !TableService.has($0.reply, tombstone) } ?? false
            return isLost && needsAll ? .finish : .goOn
        }
        let having = call.answers.count { TableService.has($0.reply, tombstone) }
        guard having >= (needsAll ? view.members.count : 1) else { return }
        let removal = RowRequest(
            view: reference, operation: .remove, key: tombstone.key,
            ballot: tombstone.ballot.bytes)
        _ = await ask(
            view.peers, .tableRows, removal.protobufBytes(), as: RowReply.self,
            urgency: .background
        ) { _ in .goOn }
    }

    /// Whether a member has accepted just that deletion and promised nothing since.
    private static func has(_ reply: RowReply, _ tombstone: TombstoneSweep.Tombstone) -> Bool {
        guard reply.status == .done, let record = record(reply) else { return false }
        return record.isTombstone && record.accepted == tombstone.ballot
    }
}
