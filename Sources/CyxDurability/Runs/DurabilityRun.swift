internal import CyxCore
internal import CyxObjects

/// A fleet over years in which peers are lost for good and are down for a while.
///
/// Assumed: peers are lost and go down independently of each other and of their age (`ZoneLossSetup`
/// has what is lost together); a lost peer is replaced by an empty one as soon as its loss is
/// noticed; a rebuild takes the time that its bytes take on one free line, the rebuilder's. A segment
/// that is lost is put down anew, so that all segments count all the time.
package struct DurabilitySetup: Sendable {
    package var fleet = FleetSetup()
    /// Losses of one peer for good in a year. Each is followed by a new, empty peer.
    package var lossRate = 0.2
    /// How often in a year one peer is down without being lost, and how long in the mean, both
    /// exponentially distributed.
    package var downsPerYear = 0.0
    package var downHours = 3.0
    package var years = 1.0
    /// What a peer's line carries, each way.
    package var lineBytesPerSecond = 12_500_000.0
    /// What one rebuild takes beside its bytes.
    package var overhead = Duration.seconds(2)
    package init() {}

    /// How long a rebuild of `missing` shards takes: k files in, the others out.
    func duration(missing: Int) -> Duration {
        let bytes = Double((fleet.code.dataShards + missing) * fleet.fileBytes)
        return overhead + .seconds(bytes / lineBytesPerSecond)
    }

    /// The model of the same. Outages are not in it: who only was down has its shards. Nor is it
    /// there that repairs wait for each other.
    package var model: DurabilityModel {
        let rebuild = fleet.detection + duration(missing: fleet.code.parityShards)
        return DurabilityModel(
            code: fleet.code, lossRate: lossRate, timings: fleet.timings,
            rebuild: rebuild / .seconds(3600))
    }

    /// The share of the time for which a peer is up.
    package var uptime: Double {
        1 / (1 + downsPerYear * downHours / DurabilityModel.hoursPerYear)
    }
}

package struct DurabilityFigures: Sendable, Equatable {
    package var segmentYears = 0.0
    package var peersLost = 0
    package var peersDown = 0
    /// Segments that were lost.
    package var losses = 0
    /// As in `FleetTally`.
    package var episodes: [Int: Int] = [:]
    /// Hours from when the first missing shard was noticed to the end of the rebuild, sorted.
    package var windows: [Double] = []
    package var rebuilds = 0
    package var rebuiltShards = 0
    /// Of all time of all segments, the share in which one more loss or none could be borne, and
    /// the share in which a segment could not be read.
    package var atRiskShare = 0.0
    package var unreadableShare = 0.0
    package var events = 0

    package var lossesPerSegmentYear: Double { Double(losses) / segmentYears }

    /// How often a segment missed so many or more at once.
    package func episodes(reaching missing: Int) -> Int {
        episodes.reduce(0) { $0 + ($1.key >= missing ? $1.value : 0) }
    }

    package func window(_ share: Double) -> Double {
        windows.isEmpty ? 0 : windows[min(windows.count - 1, Int(Double(windows.count) * share))]
    }

    /// Takes in what another seed showed.
    package mutating func add(_ other: DurabilityFigures) {
        let years = segmentYears + other.segmentYears
        atRiskShare =
            (atRiskShare * segmentYears + other.atRiskShare * other.segmentYears) / years
        unreadableShare =
            (unreadableShare * segmentYears + other.unreadableShare * other.segmentYears) / years
        segmentYears = years
        peersLost += other.peersLost
        peersDown += other.peersDown
        losses += other.losses
        episodes.merge(other.episodes) { $0 + $1 }
        windows = (windows + other.windows).sorted()
        rebuilds += other.rebuilds
        rebuiltShards += other.rebuiltShards
        events += other.events
    }

    package static func measure(_ setup: DurabilitySetup, seed: UInt64) -> DurabilityFigures {
        var run = DurabilityRun(setup, seed: seed)
        return run.measure()
    }
}

private struct DurabilityRun {
    private enum Event {
        case loss(Int)
        case down(Int, life: Int)
        case up(Int, life: Int)
        case noticed(Int, PeerID)
        case replaced(Int)
        case wake(Int)
        case done(FleetRebuild)
    }

    private let setup: DurabilitySetup
    private var fleet: Fleet
    private var agenda = Agenda<Event>()
    private var figures = DurabilityFigures()
    /// When each slot is asked again, so that it is put down once.
    private var wakes: [Instant?]

    init(_ setup: DurabilitySetup, seed: UInt64) {
        self.setup = setup
        fleet = Fleet(setup.fleet, seed: seed)
        wakes = Array(repeating: nil, count: setup.fleet.peers)
    }

    mutating func measure() -> DurabilityFigures {
        let end = Instant(nanoseconds: 0) + hours(setup.years * DurabilityModel.hoursPerYear)
        for slot in 0..<setup.fleet.peers {
            scheduleLoss(slot)
            scheduleDown(slot)
        }
        serve()
        while let (at, event) = agenda.next(), at < end {
            fleet.advance(to: at)
            handle(event)
            serve()
        }
        fleet.advance(to: end)
        let tally = fleet.tally
        let hours = Double(setup.fleet.segments) * setup.years * DurabilityModel.hoursPerYear
        figures.segmentYears = Double(setup.fleet.segments) * setup.years
        figures.losses = tally.lost
        figures.episodes = tally.episodes
        figures.windows = tally.windows.sorted()
        figures.rebuilds = tally.rebuilds
        figures.rebuiltShards = tally.rebuiltShards
        figures.atRiskShare = tally.atRiskHours / hours
        figures.unreadableShare = tally.unreadableHours / hours
        figures.events = agenda.processed
        return figures
    }

    private func hours(_ hours: Double) -> Duration { .nanoseconds(Int64(hours * 3600e9)) }

    private mutating func exponential(mean: Double) -> Duration {
        let unit = Double(fleet.generator.next() >> 11) + 0.5
        return hours(-mean * Functions.log(unit / 9_007_199_254_740_992))
    }

    private mutating func scheduleLoss(_ slot: Int) {
        guard setup.lossRate > 0 else { return }
        let mean = DurabilityModel.hoursPerYear / setup.lossRate
        agenda.schedule(at: fleet.now + exponential(mean: mean), .loss(slot))
    }

    private mutating func scheduleDown(_ slot: Int) {
        guard setup.downsPerYear > 0 else { return }
        let mean = DurabilityModel.hoursPerYear / setup.downsPerYear
        agenda.schedule(
            at: fleet.now + exponential(mean: mean), .down(slot, life: fleet.life(slot)))
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .loss(let slot):
            figures.peersLost += 1
            for segment in fleet.stop(slot, forGood: true) { fleet.restart(segment) }
            agenda.schedule(at: fleet.now + setup.fleet.detection, .replaced(slot))
            scheduleLoss(slot)
        case .replaced(let slot):
            fleet.replace(slot)
            scheduleDown(slot)
        case .down(let slot, let life):
            guard fleet.life(slot) == life, fleet.isUp(slot) else { return }
            figures.peersDown += 1
            _ = fleet.stop(slot, forGood: false)
            agenda.schedule(
                at: fleet.now + setup.fleet.detection, .noticed(slot, fleet.peer(slot)))
            let back = fleet.now + exponential(mean: setup.downHours)
            agenda.schedule(at: back, .up(slot, life: fleet.life(slot)))
        case .up(let slot, let life):
            guard fleet.life(slot) == life else { return }
            fleet.start(slot)
            scheduleDown(slot)
        case .noticed(let slot, let peer):
            fleet.noticeEnd(slot, of: peer)
        case .wake(let slot):
            if let at = wakes[slot], at <= fleet.now { wakes[slot] = nil }
            fleet.wake(slot)
        case .done(let rebuild):
            fleet.finish(rebuild)
        }
    }

    /// Begins what is due.
    private mutating func serve() {
        let (rebuilds, wanted) = fleet.begin()
        for rebuild in rebuilds {
            fleet.claim(rebuild)
            let missing = rebuild.targets.count
            agenda.schedule(at: fleet.now + setup.duration(missing: missing), .done(rebuild))
        }
        for (slot, at) in wanted where wakes[slot].map({ at < $0 }) ?? true {
            wakes[slot] = at
            agenda.schedule(at: at, .wake(slot))
        }
    }
}
