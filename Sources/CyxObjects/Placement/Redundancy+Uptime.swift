/// How much parity peers call for that are not always up (architecture §9).
extension Redundancy {
    /// Of the time, an object may be unreadable so much: less than an hour a year.
    package static let unreadableShareMost = 1e-4

    /// Parity is added up to as much as there is data, which doubles what is stored.
    private var parityMost: Int { max(parityShards, dataShards) }

    /// Share of the time in which more than m of n holders are down at once that are up for `uptime`
    /// of it, independently of each other. Repair is not counted on: who is down for less than a day
    /// is mostly waited for.
    ///
    /// `uptime` may be a mean of peers that differ: what they really reach is better, since of all
    /// independent trials with one mean those with equal chances stray furthest from it (Hoeffding
    /// 1956, "On the distribution of the number of successes in independent trials").
    package func unreadableShare(uptime: Double) -> Double {
        Binomial.atLeast(parityShards + 1, of: shards, chance: 1 - uptime)
    }

    /// This code, with as much more parity as it takes on such peers, or as much of it as `storers`
    /// distinct peers and the bound allow.
    package func withParity(forUptime uptime: Double, storers: Int) -> Redundancy {
        var code = self
        while code.unreadableShare(uptime: uptime) > Redundancy.unreadableShareMost,
            code.parityShards < parityMost, code.shards < storers
        {
            code = Redundancy(dataShards: dataShards, parityShards: code.parityShards + 1)
        }
        return code
    }
}
