package import CyxObjects

/// What arithmetic says about the life of a segment whose n holders are lost independently, each
/// `lossRate` times a year, and repaired by rules like those of B4.
///
/// Two models. `epochs` is that of Weatherspoon and Kubiatowicz (Erasure Coding vs. Replication, IPTPS
/// 2002): time is cut into epochs, and at the end of each everything that is missing is rebuilt, so
/// a segment is lost when more than m of n go within one. `lossesPerYear` follows the repairer: the
/// clock starts with the first loss, the wait depends on how many are missing, and then the rebuild
/// takes its time; a Markov chain over the number that is missing whose waits are not exponential
/// but fixed, solved on a grid of time.
package struct DurabilityModel: Sendable {
    package var code: Redundancy
    /// Losses of one peer for good in a year.
    package var lossRate: Double
    /// Hours that a segment with so many missing shards, beginning with one, waits before it is
    /// rebuilt. The rest as the last.
    package var waits: [Double]
    /// Hours from a loss that makes a rebuild due to its end, without those waits: noticing the
    /// loss, queueing, moving.
    package var rebuild: Double

    package static let hoursPerYear = 8766.0
    /// Steps of the grid in the longest wait.
    private static let steps = 20_000

    package init(code: Redundancy, lossRate: Double, waits: [Double], rebuild: Double) {
        self.code = code
        self.lossRate = lossRate
        self.waits = waits
        self.rebuild = rebuild
    }

    /// The waits of B4 for a code, by its margins.
    package init(code: Redundancy, lossRate: Double, timings: RepairTimings, rebuild: Double) {
        let hours = { (duration: Duration) in duration / .seconds(3600) }
        let waits = (1...max(1, code.parityShards)).map { missing in
            switch code.parityShards - missing {
            case ...1: hours(timings.delays.endangered)
            case 2: hours(timings.delays.thin)
            default: hours(timings.delays.comfortable)
            }
        }
        self.init(code: code, lossRate: lossRate, waits: waits, rebuild: rebuild)
    }

    /// Losses of one peer in an hour.
    private var hourly: Double { lossRate / DurabilityModel.hoursPerYear }

    private func wait(_ missing: Int) -> Double {
        waits.isEmpty ? 0 : waits[min(missing, waits.count) - 1]
    }

    /// Chance that more than m of n are lost within one epoch of `hours`, times the epochs of a year.
    package static func epochs(code: Redundancy, lossRate: Double, hours: Double) -> Double {
        let chance = Functions.chance(lossRate / hoursPerYear, hours)
        return Binomial.atLeast(code.parityShards + 1, of: code.shards, chance: chance)
            * hoursPerYear / hours
    }

    /// Losses of one segment in a year of its life.
    package var lossesPerYear: Double { episodesPerYear(reaching: code.parityShards + 1) }

    /// How often in a year a segment that was full comes to miss so many shards at once before it
    /// is full again.
    package func episodesPerYear(reaching missing: Int) -> Double {
        afterFirstLoss(until: missing).chance * episodesPerYear
    }

    /// Share of all time in which a segment misses so many shards or more and is not lost.
    package func share(missing: Int) -> Double {
        afterFirstLoss(until: code.parityShards + 1, counting: missing).hours * episodesPerYear
            / DurabilityModel.hoursPerYear
    }

    /// How often in a year a full segment begins to miss something.
    private var episodesPerYear: Double {
        let untilFirst = 1 / (Double(code.shards) * hourly)
        let hours = afterFirstLoss(until: code.parityShards + 1).hours
        return DurabilityModel.hoursPerYear / (untilFirst + hours)
    }

    /// From the first missing shard on: the chance that `end` are missing at once before the segment
    /// is full again, and the mean hours with `least` or more missing until either.
    package func afterFirstLoss(
        until end: Int, counting least: Int = 1
    ) -> (chance: Double, hours: Double) {
        guard end > 1 else { return (1, 0) }
        precondition(end <= code.parityShards + 1, "a segment that is lost loses nothing more")
        let longest = max(waits.max() ?? 0, rebuild)
        let step = max(longest / Double(DurabilityModel.steps), 1e-9)
        let states = 1..<end
        let gridWaits = states.map { Int((wait($0) / step).rounded()) }
        // By number missing, at the present point of the grid; from its end backwards.
        var chance = states.map { duringRebuild($0, until: end) } + [1]
        var hours = states.map { hoursOfRebuild($0, counting: least) } + [0]
        let steps = states.map { Functions.chance(Double(code.shards - $0) * hourly, step) }
        for point in stride(from: (gridWaits.max() ?? 0) - 1, through: 0, by: -1) {
            for state in 0..<end - 1 where point < gridWaits[state] {
                let next = steps[state]
                chance[state] = next * chance[state + 1] + (1 - next) * chance[state]
                hours[state] =
                    (state + 1 >= least ? step : 0) + next * hours[state + 1]
                    + (1 - next) * hours[state]
            }
        }
        return (chance[0], hours[0])
    }

    /// The chance that so many more are lost during a rebuild that `end` are missing.
    private func duringRebuild(_ missing: Int, until end: Int) -> Double {
        Binomial.atLeast(
            end - missing, of: code.shards - missing, chance: Functions.chance(hourly, rebuild))
    }

    /// Hours of a rebuild that began with `missing`, with `least` or more missing; what is lost
    /// during a rebuild is lost in the middle of it.
    private func hoursOfRebuild(_ missing: Int, counting least: Int) -> Double {
        missing >= least ? rebuild : duringRebuild(missing, until: least) * rebuild / 2
    }
}
