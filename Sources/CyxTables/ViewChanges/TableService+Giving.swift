internal import CyxCore
internal import CyxTransport

/// Giving the state that was frozen when a view was sealed to the members of the next.
extension TableService {
    func answerPull(_ request: ViewRequest) async throws(StoreError) -> ViewReply {
        guard let old = request.view?.id else { return ViewReply(status: .refused) }
        // Whoever asks brings the decision along, should this member not have heard of it.
        if configuration.keeps(.seals),
            let certificate = adopt(request.certificate, for: old.partition)
        {
            _ = installLocally(certificate)
        }
        let partition = askedPartition(old, request)
        guard let given = given(old, partition, request) else {
            // Perhaps the view that the asker wants to join has been succeeded already.
            let position = StorageKey.position(ofBound: request.key)
            if let known = successor(of: old, around: position) {
                return ViewReply(status: .decided, certificate: known.bytes)
            }
            return ViewReply(status: .busy, detail: "not sealed")
        }
        try await rows.settle()
        let range = StorageKey.rows(of: partition)
        guard !request.key.lexicographicallyPrecedes(range.from) else {
            return ViewReply(status: .refused, detail: "outside the partition")
        }
        let store = rows.store
        var reply = try await environment.blocking.run { () throws(StoreError) in
            if try TableService.isSame(store, request, within: range.to, old: given) {
                return ViewReply(status: .same)
            }
            return try TableService.frozenPage(store, from: request.key, to: range.to, old: given)
        }
        // Whether what was read is still what was frozen.
        guard self.given(old, partition, request) == given else {
            return ViewReply(status: .busy, detail: "released")
        }
        reply.isSynced = isOfAsker(given, partition, request)
        if let floor = replicas[partition]?.floor, floor != .none { reply.floor = floor.bytes }
        return reply
    }

    /// Of which partition the asker wants the rows: after a split, of its part of `old`'s.
    private func askedPartition(_ old: ViewID, _ request: ViewRequest) -> Partition {
        guard !request.certificate.isEmpty else { return old.partition }
        do {
            return try ViewCertificate(bytes: request.certificate).view.partition
        } catch {
            return old.partition
        }
    }

    /// The view whose rows answer a request for those of `old`; nil: they are not to be had here.
    private func given(
        _ old: ViewID, _ partition: Partition, _ request: ViewRequest
    ) -> ViewID? {
        let isSource = replicas[partition]?.isSource(of: old) ?? false
        if isSource || mayTeach(old, request) { return old }
        guard let certificate = adopt(request.certificate, for: old.partition),
            certificate.previous?.id == old
        else { return nil }
        if let replica = replicas[partition], replica.view == certificate.view, replica.isAtRest {
            return replica.view.id
        }
        guard certificate.recovery != nil else { return nil }
        return replicas[partition]?.heritage(for: certificate)
    }

    /// Whether those are the rows of the very view that the asker enters. Nobody waits for a member
    /// that left, or lost its store, and it may come back once nothing is kept of the view before
    /// (`TableService+Releasing`). Then whoever serves the view gives what it has, and one is enough:
    /// it began with what a quorum gave it, and what has been chosen since was chosen by quorums that
    /// the asker, which has answered nothing in this view, was not part of.
    private func isOfAsker(
        _ given: ViewID, _ partition: Partition, _ request: ViewRequest
    ) -> Bool {
        guard !request.certificate.isEmpty, let replica = replicas[partition] else { return false }
        return replica.isAtRest && replica.view.id == given && request.view?.id != given
    }

    /// A learner brings no decision along and takes what is there: rows may be changed behind its
    /// back, which the pull after the seal mends.
    private func mayTeach(_ view: ViewID, _ request: ViewRequest) -> Bool {
        guard request.certificate.isEmpty || !configuration.keeps(.seals),
            let replica = replicas[view.partition]
        else { return false }
        return replica.view.id == view && replica.isSynced
    }

    /// One page of the rows as they were when `old` was sealed.
    private static func frozenPage(
        _ store: any KeyValueStore, from start: [UInt8], to end: [UInt8], old: ViewID
    ) throws(StoreError) -> ViewReply {
        var reply = ViewReply(status: .done)
        var bytes = 0
        let page = try store.scan(from: start, to: end, limit: TableMessageLimits.pageRows)
        for (index, entry) in page.enumerated() {
            if let row = try frozenRow(store, entry, old) {
                reply.rows.append(ScannedRow(key: entry.key, row: row))
                bytes += entry.key.count + row.count
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

    /// Whether the asker has just what is frozen here, up to where its page ends.
    private static func isSame(
        _ store: any KeyValueStore, _ request: ViewRequest, within end: [UInt8], old: ViewID
    ) throws(StoreError) -> Bool {
        guard request.key.lexicographicallyPrecedes(request.end),
            !end.lexicographicallyPrecedes(request.end)
        else { return false }
        var page = PageDigest(end: request.end)
        var from = request.key
        while true {
            let entries = try store.scan(
                from: from, to: request.end, limit: TableMessageLimits.pageRows)
            for entry in entries {
                guard let row = try frozenRow(store, entry, old) else { continue }
                page.add(entry.key, row)
                // A page that is longer here than any that is asked about is another.
                guard page.rowCount <= TableMessageLimits.pageRows else { return false }
            }
            guard entries.count == TableMessageLimits.pageRows, let last = entries.last else {
                return page.digest.bytes == request.known
            }
            from = StorageKey.next(after: last.key)
        }
    }

    /// A row's content as it was when `old` was sealed; nil if there was none.
    private static func frozenRow(
        _ store: any KeyValueStore, _ entry: (key: [UInt8], value: [UInt8]), _ old: ViewID
    ) throws(StoreError) -> [UInt8]? {
        let row = try RowStore.decode(entry.key, entry.value)
        guard row.wasWritten(after: old) else { return row.contentBytes }
        // Empty: the row did not exist then.
        let frozen = try store.get(StorageKey.frozen(old, row: entry.key)) ?? []
        return frozen.isEmpty ? nil : try RowStore.decode(entry.key, frozen).contentBytes
    }
}
