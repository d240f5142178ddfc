internal import CyxCore
package import CyxObjects

/// What a network of so many peers can be expected to do, by the models and the simulator of this
/// module: `cyxcloud network plan`.
package struct NetworkPlan: Sendable {
    package struct Setup: Sendable {
        package var peers: Int
        package var zones: Int
        /// Share of the time for which a peer is up.
        package var uptime = 0.995
        /// What a peer allocates.
        package var diskBytes: UInt64 = 1 << 40
        package var lineBytesPerSecond = 12_500_000.0
        /// Losses of one peer for good in a year.
        package var lossRate = 0.2
        package var seed: UInt64 = 1

        /// `zones` are at most as many as `peers`.
        package init(peers: Int, zones: Int) {
            precondition(peers > 0 && zones > 0 && zones <= peers, "a zone has a peer")
            self.peers = peers
            self.zones = zones
        }
    }

    package var code: Redundancy
    /// What users can store.
    package var usableBytes: UInt64
    /// Peers that may be lost at once, rows counted in, and whole zones.
    package var survivesPeers: Int
    package var survivesZones: Int
    /// Segments of the full network, and how many of them are expected to be lost in a year.
    package var segments: Int
    package var lossesPerYear: Double
    /// Share of the time for which an object of one segment cannot be read, by the binomial.
    package var unreadableShare: Double
    /// Hours from the loss of a peer until what it held has all its shards again: the wait for those
    /// that may come back, by simulation, and the moving, of which a segment's turn comes halfway in
    /// the median and last at worst. Zero where nothing can be rebuilt.
    package var repairHours: (median: Double, high: Double) = (0, 0)
    /// Hours of moving alone, at the rate that repair is held to.
    package var movingHours = 0.0
    /// Share of the time for which a segment bears one more loss or none, by simulation.
    package var atRiskShare = 0.0

    /// Of every disk, for trash, databases and files on their way.
    private static let reserveShare = 0.05
    /// Mean hours of an outage that is no loss.
    private static let downHours = 3.0
    /// Segments that are followed for a year.
    private static let sample = 60

    package init(_ setup: Setup) {
        guard let base = Redundancy.widest(for: setup.peers) else {
            preconditionFailure("any number of peers can hold something")
        }
        let code = base.withParity(forUptime: setup.uptime, storers: setup.peers)
        self.code = code
        let share = Double(code.dataShards) / Double(code.shards)
        // What the largest zone has, or without zones a peer, must fit on the others.
        let perZone = (setup.peers + setup.zones - 1) / setup.zones
        let spared = code.parityShards == 0 ? 0 : setup.zones > 1 ? perZone : 1
        let kept = max(setup.peers - spared, min(setup.peers, code.shards))
        let total = Double(kept) * Double(setup.diskBytes) * (1 - NetworkPlan.reserveShare)
        usableBytes = UInt64(total * share)
        let cap = Placement.zoneCap(code, zones: setup.zones)
        let rows = (Fleet.viewSize(setup.peers) - 1) / 2
        survivesPeers = min(code.parityShards, rows)
        survivesZones = min(setup.zones - 1, code.parityShards / cap)
        unreadableShare = code.unreadableShare(uptime: setup.uptime)
        var run = DurabilitySetup()
        segments = max(1, Int(usableBytes / UInt64(run.fleet.segmentBytes)))
        run.fleet.peers = setup.peers
        run.fleet.zones = setup.zones
        run.fleet.code = code
        run.fleet.segments = min(segments, NetworkPlan.sample)
        run.fleet.partitions = 32
        run.lossRate = setup.lossRate
        run.lineBytesPerSecond = setup.lineBytesPerSecond
        run.downHours = NetworkPlan.downHours
        run.downsPerYear =
            (1 - setup.uptime) / setup.uptime * DurabilityModel.hoursPerYear / run.downHours
        movingHours = NetworkPlan.movingHours(setup, run, segments)
        // Pessimistic: every segment is as long without its shards as the last of a lost peer's.
        var model = run.model
        model.rebuild += movingHours
        lossesPerYear = model.lossesPerYear * Double(segments)
        guard code.parityShards > 0 else { return }
        simulate(setup, &run)
    }

    /// All peers rebuild what one of them held, each at its line's rate or the throttle's.
    private static func movingHours(
        _ setup: Setup, _ run: DurabilitySetup, _ segments: Int
    ) -> Double {
        let code = run.fleet.code
        guard code.parityShards > 0 else { return 0 }
        let throttle = Double(run.fleet.limits.bytesPerSecond ?? UInt64.max)
        let rate = min(throttle, setup.lineBytesPerSecond)
        let perPeer = Double(segments * code.shards) / Double(setup.peers)
        let moved = perPeer * Double(run.fleet.fileBytes) * Double(code.dataShards + 1)
        return moved / (rate * Double(max(1, setup.peers - 1))) / 3600
    }

    private mutating func simulate(_ setup: Setup, _ run: inout DurabilitySetup) {
        // Only the waits: the sample is too small to show how segments wait for each other.
        run.fleet.limits = RepairLimits()
        run.fleet.limits.ordinary = run.fleet.segments
        run.fleet.limits.endangered = run.fleet.segments
        let figures = DurabilityFigures.measure(run, seed: setup.seed)
        repairHours = (
            figures.window(0.5) + movingHours / 2, figures.window(0.99) + movingHours
        )
        atRiskShare = figures.atRiskShare
    }
}
