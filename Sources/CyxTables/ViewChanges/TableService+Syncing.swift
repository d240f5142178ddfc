internal import CyxCore
internal import CyxTransport

/// Entering a view: pulling the frozen state from a quorum of the sealed, synced members of the
/// view before, never from one (A3), and giving it.
extension TableService {
    func startSync(_ partition: Partition) {
        guard let replica = replicas[partition], !replica.isSynced, replica.successor == nil,
            changes.syncing.count < ViewChanges.syncLimit,
            changes.syncing.insert(partition).inserted
        else { return }
        start { [weak self] in await self?.sync(partition) }
    }

    private func sync(_ partition: Partition) async {
        let isSynced = await pullFromQuorum(partition)
        changes.syncing.remove(partition)
        // Others wait their turn; ticks start them, and this does so sooner.
        if isSynced, let next = replicas.keys.sorted().first(where: { isWaiting($0) }) {
            startSync(next)
        }
    }

    private func isWaiting(_ partition: Partition) -> Bool {
        guard let replica = replicas[partition] else { return false }
        return !replica.isSynced && replica.successor == nil
            && !changes.syncing.contains(partition)
    }

    private func pullFromQuorum(_ partition: Partition) async -> Bool {
        guard let replica = replicas[partition], let old = replica.certificate.previous else {
            return false
        }
        do {
            // The view and what of it is frozen here are durable before anything is merged in.
            try await rows.settle()
            var sources = 0
            if replica.frozen?.isSource == true {
                sources = 1
            } else {
                try await wipe(partition, replica)
            }
            var others = reachable(old).filter { $0 != localPeer }
            // Not everyone from the same source.
            others.shuffle(using: &random)
            for peer in others where sources < old.quorum {
                if try await pull(replica, old, from: peer) { sources += 1 }
                guard replicas[partition]?.certificate == replica.certificate else { return false }
            }
            guard sources >= old.quorum else { return false }
            try await finishSync(replica)
            return true
        } catch {
            logger.warning(
                "sync failed", [("partition", "\(partition)"), ("error", "\(error)")])
            return false
        }
    }

    private func finishSync(_ replica: Replica) async throws(StoreError) {
        let failures = rows.failures
        try await rows.settle()
        guard failures == rows.failures, var current = replicas[replica.partition],
            current.certificate == replica.certificate, !current.isSynced
        else { return }
        // On disk first: from then on this peer answers for the view, also after a crash.
        current.isSynced = true
        rows.stage([
            .put(key: StorageKey.replica(replica.partition), value: current.bytes)
        ])
        try await rows.settle()
        guard replicas[replica.partition]?.certificate == replica.certificate else { return }
        replicas[replica.partition]?.isSynced = true
        note(localPeer, holds: replica.view)
        // Those who keep something frozen for this view wait for that.
        for peer in replica.certificate.previous?.peers ?? [] where peer != localPeer {
            install(replica.certificate, at: peer, isNotice: true)
        }
    }

    /// Deletes what an earlier membership left in the partition's range.
    private func wipe(_ partition: Partition, _ replica: Replica) async throws(StoreError) {
        let range = StorageKey.rows(of: partition)
        rows.forget(from: range.from, to: range.to)
        var from = range.from
        while true {
            let page = try await rows.scan(
                from: from, to: range.to, limit: TableMessageLimits.pageRows)
            guard let last = page.last else { return }
            guard replicas[partition]?.certificate == replica.certificate else { return }
            rows.stage(page.map { .delete(key: $0.key) })
            try await rows.settle()
            from = StorageKey.next(after: last.key)
        }
    }

    /// Pulls all pages of one source; false if it could not give them.
    private func pull(
        _ replica: Replica, _ old: View, from peer: PeerID
    ) async throws(StoreError) -> Bool {
        let range = StorageKey.rows(of: old.partition)
        var from = range.from
        while true {
            let request = ViewRequest(
                operation: .pull, view: ViewReference(old.id),
                certificate: replica.certificate.bytes, key: from)
            let call = await ask(
                [peer], .tableViews, request.protobufBytes(), as: ViewReply.self
            ) { _ in .finish }
            guard let reply = call.answers.first?.reply, reply.status == .done else {
                if let reply = call.answers.first?.reply, reply.status == .decided {
                    adopt(reply.certificate, for: old.partition)
                    enterKnownView(old.partition)
                }
                return false
            }
            let failures = rows.failures
            for row in reply.rows {
                guard !row.key.lexicographicallyPrecedes(from),
                    row.key.lexicographicallyPrecedes(range.to)
                else { return false }
                guard try await absorb(row, replica) else { return false }
            }
            try await rows.settle()
            guard failures == rows.failures else { return false }
            if reply.isComplete { return true }
            guard let last = reply.rows.last else { return false }
            from = StorageKey.next(after: last.key)
        }
    }

    /// Merges one pulled row into what is here.
    private func absorb(_ row: ScannedRow, _ replica: Replica) async throws(StoreError) -> Bool {
        guard let key = StorageKey.decodeRow(row.key) else { return false }
        let pulled: StoredRow.Content
        do {
            pulled = try StoredRow.Content(table: key.table, bytes: row.row)
        } catch {
            return false
        }
        while rows.cached(row.key) == nil { try await rows.load([row.key]) }
        guard replicas[replica.partition]?.certificate == replica.certificate else { return false }
        let here = rows.cached(row.key) ?? nil
        switch (here?.content ?? .empty(key.table), pulled) {
        case (.register(var record), .register(let other)):
            let before = record
            record.absorb(other)
            if record != before || here == nil {
                stage(row.key, .register(record), in: replica.view.id)
            }
        case (.merge(var merged), .merge(let other)):
            let twoPhase = configuration.twoPhaseTables.contains(key.table)
            if merged.absorb(other, twoPhase: twoPhase) {
                stage(row.key, .merge(merged), in: replica.view.id)
            }
        default: return false
        }
        return true
    }

    // MARK: Giving

    func answerPull(_ request: ViewRequest) async throws(StoreError) -> ViewReply {
        guard let old = request.view?.id else { return ViewReply(status: .refused) }
        // Whoever asks brings the decision along, should this member not have heard of it.
        if let certificate = adopt(request.certificate, for: old.partition) {
            _ = installLocally(certificate)
        }
        guard isSource(of: old) else {
            // Perhaps the view that the asker wants to join has been succeeded already.
            if let known = knownCertificate(old.partition), known.view.id.isNewer(than: old) {
                return ViewReply(status: .decided, certificate: known.bytes)
            }
            return ViewReply(status: .busy, detail: "not sealed")
        }
        try await rows.settle()
        let range = StorageKey.rows(of: old.partition)
        guard !request.key.lexicographicallyPrecedes(range.from) else {
            return ViewReply(status: .refused, detail: "outside the partition")
        }
        let store = rows.store
        let reply = try await environment.blocking.run { () throws(StoreError) in
            try TableService.frozenPage(store, from: request.key, to: range.to, old: old)
        }
        // Whether what was read is still what was frozen.
        return isSource(of: old) ? reply : ViewReply(status: .busy, detail: "released")
    }

    private func isSource(of old: ViewID) -> Bool {
        replicas[old.partition]?.isSource(of: old) ?? false
    }

    /// One page of the rows as they were when `old` was sealed.
    private static func frozenPage(
        _ store: any KeyValueStore, from start: [UInt8], to end: [UInt8], old: ViewID
    ) throws(StoreError) -> ViewReply {
        var reply = ViewReply(status: .done)
        var bytes = 0
        let page = try store.scan(from: start, to: end, limit: TableMessageLimits.pageRows)
        for (index, entry) in page.enumerated() {
            var value = entry.value
            if try RowStore.decode(entry.key, value).wasWritten(after: old) {
                // Empty: the row did not exist then.
                value = try store.get(StorageKey.frozen(old, row: entry.key)) ?? []
            }
            if !value.isEmpty {
                let row = try RowStore.decode(entry.key, value)
                reply.rows.append(ScannedRow(key: entry.key, row: row.contentBytes))
                bytes += entry.key.count + value.count
            }
            if bytes >= TableMessageLimits.pageBytes, index + 1 < page.count { return reply }
        }
        // A full page without a frozen row would not say where to go on.
        if page.count == TableMessageLimits.pageRows, let last = page.last {
            guard reply.rows.isEmpty else { return reply }
            return try frozenPage(
                store, from: StorageKey.next(after: last.key), to: end, old: old)
        }
        reply.isComplete = true
        return reply
    }

    // MARK: Releasing

    /// Notes that a peer holds a view completely. Once all members do, nobody needs the frozen
    /// state of the view before.
    func note(_ peer: PeerID, holds view: View) {
        guard view.contains(peer), let replica = replicas[view.partition],
            replica.newest.view == view, replica.frozen != nil || replica.successor != nil
        else { return }
        changes.synced[view.id, default: []].insert(peer)
        guard changes.synced[view.id]?.count == view.members.count else { return }
        changes.synced[view.id] = nil
        start { [weak self] in await self?.release(view) }
    }

    private func release(_ view: View) async {
        do {
            guard var replica = replicas[view.partition], replica.newest.view == view else {
                return
            }
            if replica.successor != nil {
                try await forget(replica)
            } else if let frozen = replica.frozen {
                replica.frozen = nil
                try await store(replica)
                await dropFrozen(frozen.view)
            }
        } catch {
            logger.warning("release failed", [("error", "\(error)")])
        }
    }

    /// Drops a partition whose successors all hold their state.
    private func forget(_ replica: Replica) async throws(StoreError) {
        let partition = replica.partition
        catalog[partition] = replica.successor
        replicas[partition] = nil
        let range = StorageKey.rows(of: partition)
        rows.forget(from: range.from, to: range.to)
        rows.stage([.delete(key: StorageKey.replica(partition))])
        try await rows.settle()
        // What a crash leaves here is wiped before this peer ever joins the partition again.
        guard replicas[partition] == nil else { return }
        try await delete(range) { self.replicas[partition] == nil }
        if let frozen = replica.frozen { await dropFrozen(frozen.view) }
    }

    /// Deletes the frozen rows of a view that nobody needs any more.
    func dropFrozen(_ view: ViewID) async {
        do {
            try await delete(StorageKey.frozenRows(of: view)) { true }
        } catch {
            logger.warning("cannot drop frozen rows", [("error", "\(error)")])
        }
    }

    private func delete(
        _ range: (from: [UInt8], to: [UInt8]), while isWanted: () -> Bool
    ) async throws(StoreError) {
        var from = range.from
        while true {
            let page = try await rows.scan(
                from: from, to: range.to, limit: TableMessageLimits.pageRows)
            guard let last = page.last, isWanted() else { return }
            rows.stage(page.map { .delete(key: $0.key) })
            try await rows.settle()
            from = StorageKey.next(after: last.key)
        }
    }

    /// Repeats a decision to members that have not said that they hold the view.
    func remind(_ replica: Replica, now: Instant) {
        let partition = replica.partition
        let interval = configuration.timings.reminder
        let certificate = replica.newest
        guard now >= changes.remindedAt[partition] ?? now else { return }
        changes.remindedAt[partition] = now + interval
        let synced = changes.synced[certificate.view.id] ?? []
        for peer in reachable(certificate.view) where !synced.contains(peer) {
            install(certificate, at: peer)
        }
    }
}
