internal import CyxCore
internal import CyxTransport

/// Entering a view: pulling the frozen state from a quorum of the sealed, synced members of the
/// view before, never from one (A3); after a recovery, from every survivor (A5).
extension TableService {
    func startSync(_ partition: Partition) {
        guard let replica = replicas[partition], !replica.isSynced, replica.successor == nil,
            !replica.isReshaped, changes.syncing.count < ViewChanges.syncLimit,
            changes.syncing.insert(partition).inserted
        else { return }
        start { [weak self] in await self?.sync(partition) }
    }

    private func sync(_ partition: Partition) async {
        let isSynced = await pullFromSources(partition)
        changes.syncing.remove(partition)
        // Others wait their turn; ticks start them, and this does so sooner.
        if isSynced, let next = replicas.keys.sorted().first(where: { isWaiting($0) }) {
            startSync(next)
        }
    }

    private func isWaiting(_ partition: Partition) -> Bool {
        guard let replica = replicas[partition] else { return false }
        return !replica.isSynced && replica.successor == nil && !replica.isReshaped
            && !changes.syncing.contains(partition)
    }

    /// Whose state a view begins with, this peer aside, and how many of them have to give it.
    private func sources(_ certificate: ViewCertificate) -> (peers: [PeerID], needed: Int)? {
        if let survivors = certificate.recovery?.survivors {
            return (survivors.map(\.peer).filter { $0 != localPeer }, survivors.count)
        }
        return certificate.previous.map { old in
            (
                reachable(old).filter { $0 != localPeer },
                configuration.keeps(.pullsFromQuorum) ? old.quorum : 1
            )
        }
    }

    private func pullFromSources(_ partition: Partition) async -> Bool {
        guard let replica = replicas[partition], let known = sources(replica.certificate)
        else { return false }
        let needed = known.needed
        var others = known.peers
        let old = replica.certificate.previous?.id ?? replica.view.id
        do {
            // The view and what of it is frozen here are durable before anything is merged in.
            try await rows.settle()
            var pull = Pull(old: old, view: replica.view.id, certificate: replica.certificate)
            var sources = 0
            if let frozen = replica.frozen, frozen.isSource {
                let own = ViewMember(peer: localPeer, store: storeID)
                let counts =
                    replica.certificate.recovery == nil
                    ? frozen.view == old : replica.certificate.merges(own)
                sources = counts ? 1 : 0
            } else {
                guard try await clear(for: pull) else { return false }
                pull.replaces = replica.certificate.recovery == nil
            }
            // Not everyone from the same source.
            others.shuffle(using: &random)
            // Who left or is held for dead may still be there, and have what nobody else has.
            let members = replica.certificate.recovery == nil ? replica.certificate.previous : nil
            others += (members?.peers ?? []).filter { $0 != localPeer && !others.contains($0) }
            // And where nobody has waited for this peer, the view's members have all of it.
            others += replica.view.peers.filter { $0 != localPeer && !others.contains($0) }
            for peer in others where sources < needed {
                switch try await carryOut(pull, from: peer) {
                case .nothing: break
                case .share:
                    sources += 1
                    pull.replaces = false
                case .all: sources = needed
                }
                guard isWanted(pull) else { return false }
            }
            guard sources >= needed else {
                logger.debug(
                    "too few sources",
                    [
                        ("partition", "\(partition)"), ("epoch", "\(replica.view.id.epoch)"),
                        ("sources", "\(sources)"), ("needed", "\(needed)"),
                    ])
                return false
            }
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
        tellSynced(replica)
    }

    /// Tells everyone that this peer has all rows of a view, which the disk says already.
    private func tellSynced(_ replica: Replica) {
        environment.metrics.counter("cyxcloud_table_view_changes_total").add()
        changes.gathered[replica.partition] = nil
        note(localPeer, holds: replica.view)
        // Those who keep something frozen for this view wait for that.
        for peer in replica.certificate.concerned where peer != localPeer {
            install(replica.certificate, at: peer, isNotice: true)
        }
    }

    /// Tells everyone, once it is durable, that this peer has all rows of a part of a partition that
    /// has split, as it had all of the whole.
    func finishSplit(_ certificate: ViewCertificate) async {
        let failures = rows.failures
        await settleQuietly()
        guard rows.failures == failures, let replica = replicas[certificate.view.partition],
            replica.certificate == certificate, replica.isSynced
        else { return }
        tellSynced(replica)
    }

    /// Deletes what an earlier membership left in the partition's range, unless all that lies
    /// there was gathered for this pull, by an attempt before or as a learner; false if the pull
    /// is not wanted any more.
    func clear(for pull: Pull) async throws(StoreError) -> Bool {
        let partition = pull.partition
        guard changes.gathered[partition] != pull.old else { return true }
        let range = StorageKey.rows(of: partition)
        rows.forget(from: range.from, to: range.to)
        comparisons.forget(partition)
        try await delete(range) { self.isWanted(pull) }
        guard isWanted(pull) else { return false }
        changes.gathered[partition] = pull.old
        return true
    }

    /// Whether this peer is still about to enter the view, or to learn its state.
    func isWanted(_ pull: Pull) -> Bool {
        let partition = pull.partition
        guard let certificate = pull.certificate else {
            return !holdsAny(of: partition) && changes.learning[partition]?.view == pull.old
        }
        return replicas[partition]?.certificate == certificate
    }

    /// Pulls what one source has and this peer has not, page by page. A page that is the same at both
    /// travels as a hash.
    func carryOut(_ pull: Pull, from peer: PeerID) async throws(StoreError) -> Gathered {
        let old = pull.old
        let range = StorageKey.rows(of: pull.partition)
        var from = range.from
        var attempts = 0
        var isAll = true
        while true {
            let page = try await pageHere(from: from, to: range.to)
            guard isWanted(pull) else { return .nothing }
            let request = ViewRequest(
                operation: .pull, view: ViewReference(old),
                certificate: pull.certificate?.bytes ?? [], key: from, end: page.end,
                known: page.digest.bytes)
            let reply = await requestPage(request, from: peer)
            takeFloor(reply, pull)
            switch reply?.status {
            case .same:
                from = page.end
            case .done:
                guard let reply, let next = try await absorb(reply, from, range.to, pull) else {
                    return .nothing
                }
                count(reply.rows.count, isLesson: pull.certificate == nil)
                from = next
            case .decided:
                adopt(reply?.certificate ?? [], for: old.partition)
                enterKnownView(old.partition)
                enterKnownView(pull.partition)
                return .nothing
            case nil:
                attempts += 1
                guard attempts < ViewChanges.pullAttempts else { return .nothing }
                continue
            default:
                logger.debug(
                    "no source",
                    [
                        ("peer", "\(peer)"), ("partition", "\(pull.partition)"),
                        ("detail", reply?.detail ?? ""),
                    ])
                return .nothing
            }
            attempts = 0
            isAll = isAll && reply?.isSynced == true
            if from == range.to { return isAll ? .all : .share }
        }
    }

    /// Rows pulled while their view served, and while it was sealed: the latter is what a view
    /// change costs in time.
    private func count(_ pulled: Int, isLesson: Bool) {
        environment.metrics.counter(
            "cyxcloud_table_pulled_rows_total", [("while", isLesson ? "serving" : "sealed")]
        ).add(UInt64(pulled))
    }

    /// What this peer has from a key on: as much as a page holds.
    func pageHere(
        from: [UInt8], to end: [UInt8]
    ) async throws(StoreError) -> PageDigest {
        let store = rows.store
        return try await environment.blocking.run { () throws(StoreError) in
            var page = PageDigest(end: end)
            let limit = TableMessageLimits.pageRows
            let entries = try store.scan(from: from, to: end, limit: limit)
            for entry in entries {
                if page.byteCount >= TableMessageLimits.pageBytes {
                    page.end = entry.key
                    return page
                }
                page.add(entry.key, try RowStore.decode(entry.key, entry.value).contentBytes)
            }
            if entries.count == limit, let last = entries.last {
                page.end = StorageKey.next(after: last.key)
            }
            return page
        }
    }

    /// One page of one source. It travels alone: with others in a batch it would be as late as all
    /// of them together. In the background, so that a member that fills up does not hold up what
    /// clients wait for at those that serve them.
    private func requestPage(_ request: ViewRequest, from peer: PeerID) async -> ViewReply? {
        let batch = TablesBatch(items: [request.protobufBytes()]).protobufBytes()
        let destination = PeerOutbox.Destination(
            peer: peer, method: .tableViews, urgency: .background)
        switch await exchange(batch, destination) {
        case .success(let replies):
            do {
                return try replies.first.map { try ViewReply(protobuf: $0) }
            } catch {
                logger.debug("unreadable answer", [("peer", "\(peer)")])
                return nil
            }
        case .failure(let error):
            logger.debug("no page", [("peer", "\(peer)"), ("error", "\(error)")])
            return nil
        }
    }

    /// Merges a pulled page in and makes it durable; returns where the next one begins, nil if this
    /// one cannot be used.
    private func absorb(
        _ page: ViewReply, _ from: [UInt8], _ end: [UInt8], _ pull: Pull
    ) async throws(StoreError) -> [UInt8]? {
        let failures = rows.failures
        let next = page.isComplete ? end : page.rows.last.map { StorageKey.next(after: $0.key) }
        if pull.replaces, let next {
            guard try await drop(from, next, except: Set(page.rows.map(\.key)), pull) else {
                return nil
            }
        }
        for row in page.rows {
            guard !row.key.lexicographicallyPrecedes(from), row.key.lexicographicallyPrecedes(end)
            else { return nil }
            guard try await absorb(row, pull) else { return nil }
        }
        try await rows.settle()
        return failures == rows.failures ? next : nil
    }

    /// Drops what is here of a stretch of keys and a source does not have; false if the pull is not
    /// wanted any more.
    private func drop(
        _ start: [UInt8], _ end: [UInt8], except kept: Set<[UInt8]>, _ pull: Pull
    ) async throws(StoreError) -> Bool {
        var from = start
        while true {
            let page = try await rows.scan(
                from: from, to: end, limit: TableMessageLimits.pageRows)
            guard isWanted(pull) else { return false }
            for entry in page where !kept.contains(entry.key) {
                dropRow(
                    entry.key, in: pull.partition,
                    stored: try RowStore.decode(entry.key, entry.value))
            }
            guard page.count == TableMessageLimits.pageRows, let last = page.last else {
                return true
            }
            from = StorageKey.next(after: last.key)
        }
    }

    /// Merges one pulled row into what is here.
    private func absorb(_ row: ScannedRow, _ pull: Pull) async throws(StoreError) -> Bool {
        guard let key = StorageKey.decodeRow(row.key) else { return false }
        let pulled: StoredRow.Content
        do {
            pulled = try StoredRow.Content(table: key.table, bytes: row.row)
        } catch {
            return false
        }
        while rows.cached(row.key) == nil { try await rows.load([row.key]) }
        guard isWanted(pull) else { return false }
        let here = rows.cached(row.key) ?? nil
        if pull.replaces {
            if here?.content != pulled { stage(row.key, pulled, in: pull.view) }
            return true
        }
        switch (here?.content ?? .empty(key.table), pulled) {
        case (.register(var record), .register(let other)):
            let before = record
            record.absorb(other, withPromise: configuration.keeps(.pullsPromises))
            if record != before || here == nil {
                stage(row.key, .register(record), in: pull.view)
            }
        case (.merge(var merged), .merge(let other)):
            let twoPhase = configuration.twoPhaseTables.contains(key.table)
            if merged.absorb(other, twoPhase: twoPhase) {
                stage(row.key, .merge(merged), in: pull.view)
            }
        default: return false
        }
        return true
    }
}
