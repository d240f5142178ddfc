import CyxCore
import CyxOverlay
import SimulationHarness

/// What the faults of one run share: whom they may touch, and how much may be gone at one time.
final class NemesisStage {
    let cluster: Cluster
    let options: NemesisOptions
    var generator: SeededGenerator
    /// Peers at whose gateway an operation is under way.
    let busy: () -> [SimulatedPeer]
    private(set) var counts: [String: Int] = [:]
    /// What faults have shown that must not be.
    var violations: [String] = []
    private var storesLost = 0
    private var nextLostStore = Instant(nanoseconds: 0)
    /// Seldom: what was in one store must be repaired before the next is lost.
    private static let storesLostMax = 2
    private static let lostStorePause = Duration.seconds(40)
    private var down: [(peer: SimulatedPeer, until: Instant)] = []
    /// Peers that run and cannot be reached, by the fault that is to blame.
    private var cutOff: [String: Int] = [:]

    init(
        cluster: Cluster, options: NemesisOptions, busy: @escaping () -> [SimulatedPeer]
    ) {
        self.cluster = cluster
        self.options = options
        self.busy = busy
        generator = cluster.world.generator()
    }

    var now: Instant { cluster.world.now }

    func count(_ what: String) { counts["fault: \(what)", default: 0] += 1 }

    func random(_ least: Duration, _ most: Duration) -> Duration {
        .nanoseconds(Int64.random(in: least.nanoseconds...most.nanoseconds, using: &generator))
    }

    /// A peer that runs; nil when too few do.
    func pick() -> SimulatedPeer? {
        let running = cluster.running
        guard running.count > 2 else { return nil }
        return running[Int.random(in: 0..<running.count, using: &generator)]
    }

    // MARK: Stores

    /// Whether one more peer may lose what it has stored.
    var mayLoseStore: Bool { storesLost < Self.storesLostMax && nextLostStore <= now }

    func noteLostStore() {
        storesLost += 1
        nextLostStore = now + Self.lostStorePause
    }

    /// The mark of a peer's store that everybody who runs, itself included, has heard of; nil while
    /// somebody has not.
    func leastKnownMark(of peer: SimulatedPeer) -> UInt64? {
        guard let id = cluster.id(of: peer) else { return nil }
        let marks = cluster.running.map { other in
            cluster.life(of: other)?.overlay.snapshot.members[id]?.info.mark.count ?? 0
        }
        return marks.min().flatMap { $0 > 0 ? $0 : nil }
    }

    // MARK: What is gone for a while

    /// Peers that are down or cut off.
    var unreachable: Int { down.count + cutOff.values.reduce(0, +) }
    /// How many more may be.
    var room: Int { options.unreachableMax - unreachable }

    func setCutOff(_ count: Int, by fault: String) { cutOff[fault] = count }

    /// Crashes a peer that runs; it comes up again after `time`.
    func takeDown(_ peer: SimulatedPeer, for time: Duration) {
        guard peer.isRunning else { return }
        cluster.crash(peer)
        down.append((peer, now + time))
    }

    /// Starts a process anew that ended by itself since it could not use its disk.
    func revive(_ peer: SimulatedPeer) {
        if peer.isRunning, case .failure? = peer.processResult { peer.restart() }
    }

    func restartWhatIsDue() {
        for (peer, until) in down where until <= now { peer.restart() }
        down.removeAll { $0.until <= now }
    }

    func restartAll() {
        for (peer, _) in down { peer.restart() }
        down = []
    }
}
