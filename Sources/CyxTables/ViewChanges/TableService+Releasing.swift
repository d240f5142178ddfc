internal import CyxCore

/// Letting go of the frozen state of a view once all members of the next one hold theirs, and
/// reminding those who have not said so.
extension TableService {
    /// Notes that a peer holds a view completely. Once all members do, nobody needs the frozen
    /// state of the view before.
    func note(_ peer: PeerID, holds view: View) {
        guard view.contains(peer), let replica = replica(before: view) else { return }
        guard replica.frozen != nil || replica.successor != nil else { return }
        changes.synced[view.id, default: []].insert(peer)
        releaseIfHeld(view)
    }

    /// What lies here of a partition of which `view` is the newest view.
    private func replica(before view: View) -> Replica? {
        replicas[view.partition].flatMap { $0.newest.view == view ? $0 : nil }
    }

    /// Who left before it held the view, or lost its store, is not waited for.
    private func releaseIfHeld(_ view: View) {
        guard let synced = changes.synced[view.id] else { return }
        let waiting = view.members.filter { !synced.contains($0.peer) }
        guard synced.count >= view.quorum,
            waiting.allSatisfy({ currentPlanner().isGoneForGood($0) })
        else { return }
        changes.synced[view.id] = nil
        start { [weak self] in await self?.release(view) }
    }

    private func release(_ view: View) async {
        do {
            guard var replica = replica(before: view) else { return }
            if replica.successor != nil {
                guard await handOver(replica) else { return }
                try await forget(replica)
            } else if let frozen = replica.frozen {
                replica.frozen = nil
                try await store(replica)
                await dropFrozen(frozen.view, in: view.partition)
            }
        } catch {
            logger.warning("release failed", [("error", "\(error)")])
        }
    }

    /// Drops a partition whose successors all hold their state.
    private func forget(_ replica: Replica) async throws(StoreError) {
        let partition = replica.partition
        catalog.keepForGood(partition)
        replicas[partition] = nil
        let range = StorageKey.rows(of: partition)
        rows.forget(from: range.from, to: range.to)
        comparisons.forget(partition)
        rows.stage([
            .delete(key: StorageKey.replica(partition)),
            // Else a late decision on an earlier view would make it a member anew, that has
            // forgotten how it voted there.
            .put(key: StorageKey.left(partition), value: replica.newest.bytes),
            // What showed that this store belongs to a network may go with its last replica.
            .put(key: StorageKey.networkMark, value: []),
        ])
        try await rows.settle()
        // What a crash leaves here is wiped before this peer ever joins the partition again.
        guard replicas[partition] == nil else { return }
        try await delete(range) { self.replicas[partition] == nil }
        if let frozen = replica.frozen { await dropFrozen(frozen.view, in: partition) }
    }

    /// Deletes the frozen rows of a view that nobody needs any more: after a split, of a part of its
    /// partition.
    func dropFrozen(_ view: ViewID, in partition: Partition) async {
        do {
            try await delete(StorageKey.frozenRows(of: view, in: partition)) { true }
        } catch {
            logger.warning("cannot drop frozen rows", [("error", "\(error)")])
        }
    }

    func delete(
        _ range: (from: [UInt8], to: [UInt8]), while isWanted: () -> Bool
    ) async throws(StoreError) {
        var from = range.from
        while true {
            let page = try await rows.scan(
                from: from, to: range.to, limit: TableMessageLimits.pageRows)
            guard let last = page.last, isWanted() else { return }
            // Rows go from memory, too: a request that was refused may have loaded one meanwhile, and
            // a pull that found it there would not write it again.
            for entry in page {
                if entry.key.first == StorageKey.rowTag {
                    rows.stageRemoval(
                        entry.key, stored: try RowStore.decode(entry.key, entry.value))
                } else {
                    rows.stage([.delete(key: entry.key)])
                }
            }
            try await rows.settle()
            from = StorageKey.next(after: last.key)
        }
    }

    /// Repeats a decision to members that have not said that they hold the view, and to those of
    /// the view before, whose seals or pulls may hang on it.
    func remind(_ replica: Replica, now: Instant) {
        let partition = replica.partition
        let interval = configuration.timings.reminder
        let certificate = replica.newest
        guard now >= changes.remindedAt[partition] ?? now else { return }
        changes.remindedAt[partition] = now + interval
        releaseIfHeld(certificate.view)
        let synced = changes.synced[certificate.view.id] ?? []
        var peers = reachable(certificate.view)
        if let old = certificate.previous {
            peers += reachable(old).filter { !certificate.view.contains($0) }
        }
        for survivor in certificate.recovery?.survivors ?? [] where !peers.contains(survivor.peer) {
            peers.append(survivor.peer)
        }
        for peer in peers where !synced.contains(peer) { install(certificate, at: peer) }
    }
}
