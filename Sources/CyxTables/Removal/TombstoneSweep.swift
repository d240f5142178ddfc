internal import CyxCore

/// Which rows of this peer have something that may be forgotten, and since when they have not changed (a
/// machine). Of its own life alone: a peer that starts anew waits anew, and needs no clock that others
/// share.
///
/// Changes tell it. The rows of a partition are walked once in each view, for what came another way:
/// with the view's state, or before the peer was started.
struct TombstoneSweep {
    struct Tombstone: Hashable, Sendable {
        /// The row's key in the store.
        var key: [UInt8]
        /// Of a register the ballot of its deletion, of a merge row the hash of all of it.
        var version: [UInt8]
    }

    /// Rows that are waited for at once. A partition of which one did not fit is walked once more.
    static let candidatesMax = 16_384
    /// How often due rows are looked for while one comes of age.
    static let passesPerAge = 4
    /// Rows of one page of a walk, and of those that are looked at together; and the pause after it.
    static let pageRows = 256
    static let pagePause = Duration.milliseconds(20)

    private var candidates: [[UInt8]: Instant] = [:]
    private var walked: [Partition: ViewID] = [:]
    private var failures = 0

    /// A view's rows need not be walked any more: from now on changes are heard of.
    mutating func beginWalk(_ view: ViewID) { walked[view.partition] = view }

    mutating func abandonWalk(_ partition: Partition) { walked[partition] = nil }

    func needsWalk(_ view: ViewID) -> Bool { walked[view.partition] != view }

    /// Forgets which views were walked of other partitions: those have split, or are not held any more.
    mutating func keepWalks(ofPartitions isHeld: (Partition) -> Bool) {
        walked = walked.filter { isHeld($0.key) }
    }

    /// A row changes, and then has something that may be forgotten, or not.
    mutating func noteChange(
        _ key: [UInt8], in view: ViewID, isRemovable: @autoclosure () -> Bool, now: Instant
    ) {
        guard walked[view.partition] == view else { return }
        guard isRemovable() else {
            candidates[key] = nil
            return
        }
        wait(for: key, in: view.partition, since: now)
    }

    /// A walk came upon a row that has something which may be forgotten.
    mutating func noteFound(_ key: [UInt8], in partition: Partition, now: Instant) {
        if candidates[key] == nil { wait(for: key, in: partition, since: now) }
    }

    private mutating func wait(for key: [UInt8], in partition: Partition, since now: Instant) {
        guard candidates[key] != nil || candidates.count < TombstoneSweep.candidatesMax else {
            walked[partition] = nil
            return
        }
        candidates[key] = now
    }

    /// There is nothing to forget in a row (any more), or others look after it.
    mutating func drop(_ key: [UInt8]) { candidates[key] = nil }

    /// Walks everything again if another write of the store has failed since: rows are what the disk
    /// says.
    mutating func noteFailures(_ count: Int) {
        guard count != failures else { return }
        failures = count
        walked = [:]
    }

    /// Rows that have not changed for `age`, in the order of their keys.
    func due(now: Instant, age: Duration) -> [[UInt8]] {
        candidates.filter { now - $0.value >= age }.map(\.key)
            .sorted { $0.lexicographicallyPrecedes($1) }
    }
}
