package import CyxCore

/// What old objects are brought to. A wider code as soon as the network can hold one; more parity for
/// peers that are up less only when that was wanted for long, since re-coding moves all that there is
/// and uptimes recover. A machine.
package struct RecodeTarget: Sendable {
    /// How long more parity has to be wanted.
    let patience: Duration
    /// With more parity, and wanted for as long.
    private var reached: Redundancy?
    /// The least that was wanted beyond that, and since when.
    private var wanted: (code: Redundancy, since: Instant)?

    package init(patience: Duration) { self.patience = patience }

    /// `base`: the code of so many peers; `best`: the one that new objects get.
    package mutating func code(base: Redundancy, best: Redundancy, now: Instant) -> Redundancy {
        if let former = reached, former.dataShards != base.dataShards || former.shards > best.shards
        {
            reached = best.shards > base.shards ? best : nil
        }
        let present = reached ?? base
        guard best.dataShards == base.dataShards, best.shards > present.shards else {
            wanted = nil
            return present
        }
        let (least, since) = wanted ?? (best, now)
        let code = least.dataShards == best.dataShards && least.shards < best.shards ? least : best
        wanted = (code, since)
        guard now - since >= patience else { return present }
        reached = code
        wanted = nil
        return code
    }
}

/// How many peers share what is stored, as far as that decides whether objects get a narrower code:
/// the most that were there at once for a while. Who has just started knows only a few yet, and who
/// is down may come back. A machine.
package struct LastingStorers: Sendable {
    let patience: Duration
    /// Nil until peers have been counted for that long.
    package private(set) var count: Int?
    /// The most since when there have been fewer than `count`.
    private var fewer: (most: Int, since: Instant)?

    package init(patience: Duration) { self.patience = patience }

    package mutating func note(_ present: Int, now: Instant) {
        if let count, present >= count {
            self.count = present
            fewer = nil
            return
        }
        let (most, since) = fewer ?? (present, now)
        fewer = (max(most, present), since)
        guard now - since >= patience else { return }
        count = max(most, present)
        fewer = nil
    }
}
