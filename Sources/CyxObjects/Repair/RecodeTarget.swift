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
