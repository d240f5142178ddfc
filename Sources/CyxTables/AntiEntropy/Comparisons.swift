internal import CyxCore
internal import CyxOverlay

/// When which partition is compared with whom (a machine): a member compares what has changed with
/// the next reachable member of the view, as in a ring, so that all are equal once each two
/// neighbours are. What has not changed since two neighbours agreed costs nothing.
struct Comparisons: Sendable {
    /// A partition that is written all the time is compared after so many pauses all the same.
    static let patience = 8

    private struct Entry {
        /// Changes so far.
        var version: UInt64 = 0
        var changed: Instant
        var compared: Instant
        /// The version at which a member last had just the same, and in which view.
        var agreed: [ViewMember: UInt64] = [:]
        /// Of all rows, as of `version`; nil until it was asked for.
        var fingerprint: RowFingerprint?
        /// That all rows take in the store, known with the fingerprint.
        var bytes = 0
    }

    private var entries: [Partition: Entry] = [:]
    private var failures = 0

    private func entry(_ partition: Partition, now: Instant) -> Entry {
        entries[partition] ?? Entry(changed: now, compared: now)
    }

    /// A row changes from `old` (nil: absent) to `new`.
    mutating func noteChange(
        of key: [UInt8], in partition: Partition, from old: StoredRow.Content?,
        to new: StoredRow.Content, now: Instant
    ) {
        if case .register(let before) = old, case .register(let after) = new,
            before.accepted == after.accepted
        {
            return
        }
        var entry = entry(partition, now: now)
        entry.version += 1
        entry.changed = now
        if entry.fingerprint != nil {
            if let old, let before = RowSummary(key, old) {
                entry.fingerprint?.remove(before.hash)
                entry.bytes -= key.count + old.byteCount
            }
            if let after = RowSummary(key, new) {
                entry.fingerprint?.insert(after.hash)
                entry.bytes += key.count + new.byteCount
            }
        }
        entries[partition] = entry
    }

    /// Forgets what was known of a partition whose rows went or came by another way.
    mutating func forget(_ partition: Partition) {
        entries[partition] = nil
    }

    /// Forgets everything once if another write of the store has failed since: what was in memory
    /// is lost, and rows are what the disk says.
    mutating func noteFailures(_ count: Int) {
        guard count != failures else { return }
        failures = count
        entries = [:]
    }

    func version(_ partition: Partition) -> UInt64 { entries[partition]?.version ?? 0 }

    func fingerprint(_ partition: Partition) -> RowFingerprint? { entries[partition]?.fingerprint }

    /// About how much the rows of a partition take in the store; nil until they have been compared.
    func byteCount(_ partition: Partition) -> Int? {
        entries[partition].flatMap { $0.fingerprint == nil ? nil : $0.bytes }
    }

    /// Keeps a fingerprint that was computed from the rows, and their bytes, unless they have changed
    /// since.
    mutating func keep(
        _ fingerprint: RowFingerprint, bytes: Int, of partition: Partition, at version: UInt64,
        now: Instant
    ) {
        var entry = entry(partition, now: now)
        guard entry.version == version else { return }
        entry.fingerprint = fingerprint
        entry.bytes = bytes
        entries[partition] = entry
    }

    /// A comparison began at `version`, and whether it found both equal.
    mutating func noteComparison(
        of partition: Partition, with member: ViewMember, at version: UInt64, isSame: Bool,
        now: Instant
    ) {
        var entry = entry(partition, now: now)
        entry.compared = now
        entry.agreed[member] = isSame ? version : nil
        entries[partition] = entry
    }

    /// The member with which `view`'s partition should be compared now; nil: none.
    func due(
        _ view: View, by localPeer: PeerID, reachable: (ViewMember) -> Bool, pause: Duration,
        now: Instant
    ) -> ViewMember? {
        guard let member = Comparisons.neighbour(in: view, of: localPeer, reachable: reachable)
        else { return nil }
        guard let entry = entries[view.partition] else { return member }
        if entry.agreed[member] == entry.version { return nil }
        let isQuiet = now - entry.changed >= pause && now - entry.compared >= pause
        return isQuiet || now - entry.compared >= pause * Comparisons.patience ? member : nil
    }

    /// The next reachable member after this peer in the order of the view.
    static func neighbour(
        in view: View, of localPeer: PeerID, reachable: (ViewMember) -> Bool
    ) -> ViewMember? {
        guard let index = view.members.firstIndex(where: { $0.peer == localPeer }) else {
            return nil
        }
        let others = view.members[(index + 1)...] + view.members[..<index]
        return others.first(where: reachable)
    }
}
