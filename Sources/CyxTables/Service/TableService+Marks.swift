internal import CyxCore
internal import CyxOverlay

/// Marking how far the row store has come, so that others notice when it is put back from an older
/// copy: it would have forgotten promises and rows, which a quorum counts on (A5, A6).
///
/// Such a peer serves no more and says so, like one whose store is gone: others give its seats away
/// and rebuild its shards. It stays so after restarts, until its operator begins with an empty store.
extension TableService {
    /// In place of a count: the store was found to be behind.
    private static let behind = UInt64.max

    /// Raises the mark of a store that is being opened and makes it durable, before anybody is told;
    /// nil for one that was found to be behind.
    static func raiseMark(of store: any KeyValueStore) throws(StoreError) -> UInt64? {
        let count = try store.get(StorageKey.storeMark).map { bytes throws(StoreError) in
            guard bytes.count == 8 else { throw .corrupt(detail: "the store's mark") }
            return bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        guard count != behind else { return nil }
        let next = (count ?? 0) + 1
        try store.write([write(next)], durable: true)
        return next
    }

    private static func write(_ count: UInt64) -> KeyValueWrite {
        var writer = ByteWriter(capacity: 8)
        writer.write(count)
        return .put(key: StorageKey.storeMark, value: writer.bytes)
    }

    /// Raises the mark again and again while rows are written.
    func markForever() async {
        do {
            while true {
                try await environment.sleep(for: configuration.timings.mark)
                if rows.stagedSequence != writesAtMark { await raiseMark() }
            }
        } catch {
            logger.debug("stopped")
        }
    }

    private func raiseMark() async {
        guard !isSuspended, var next = mark else { return }
        next.count += 1
        let failures = rows.failures
        rows.stage([TableService.write(next.count)])
        do throws(StoreError) {
            try await rows.settle()
        } catch {
            return logger.warning("row store failed", [("error", "\(error)")])
        }
        guard rows.failures == failures, !isSuspended else { return }
        writesAtMark = rows.stagedSequence
        mark = next
        membership.announce { [next] in $0.mark = next }
    }

    /// Stops serving if others have seen the store further than it is.
    func noteStore() {
        guard membership.snapshot.isStoreBehind, mark != nil else { return }
        mark = nil
        suspend()
        rows.stage([TableService.write(TableService.behind)])
        start { [weak self] in await self?.settleQuietly() }
    }
}
