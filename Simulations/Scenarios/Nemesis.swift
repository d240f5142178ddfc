internal import CyxCore
internal import SimulationHarness

/// What a nemesis may do, and how often.
struct NemesisOptions {
    /// Mean virtual time between two faults.
    var interval: Duration = .seconds(30)
    /// Peers that may be down, or cut off from the rest, at one time.
    var unreachableMax = 2
    /// Peers that may go for good in one run; a new one comes for each.
    var retirementsMax = 0
    var retirementInterval: Duration = .seconds(300)
}

/// Injects faults from the world's seed and takes them back again.
final class Nemesis {
    private let cluster: Cluster
    private let options: NemesisOptions
    private var generator: SeededGenerator
    private var nextFault: Instant
    private var nextRetirement: Instant
    private var down: [(peer: SimulatedPeer, until: Instant)] = []
    private var partition: (size: Int, until: Instant)?
    private var blocks: [(from: SimulatedPeer, to: SimulatedPeer, until: Instant)] = []
    private(set) var counts: [String: Int] = [:]

    init(cluster: Cluster, options: NemesisOptions) {
        self.cluster = cluster
        self.options = options
        generator = cluster.world.generator()
        nextFault = cluster.world.now + options.interval
        nextRetirement = cluster.world.now + options.retirementInterval
    }

    private func count(_ what: String) { counts["fault: \(what)", default: 0] += 1 }

    private func random(_ least: Duration, _ most: Duration) -> Duration {
        .nanoseconds(
            Int64.random(in: least.nanoseconds...most.nanoseconds, using: &generator))
    }

    private func pick() -> SimulatedPeer? {
        let running = cluster.running
        guard running.count > 2 else { return nil }
        return running[Int.random(in: 0..<running.count, using: &generator)]
    }

    private var unreachable: Int { down.count + (partition?.size ?? 0) }

    /// Takes back what is over and injects what is due.
    func step() {
        let now = cluster.world.now
        for (peer, until) in down where until <= now { peer.restart() }
        down.removeAll { $0.until <= now }
        if let current = partition, current.until <= now {
            cluster.world.links.partition([])
            partition = nil
        }
        for block in blocks where block.until <= now {
            cluster.world.links.unblock(from: block.from, to: block.to)
        }
        blocks.removeAll { $0.until <= now }
        if nextRetirement <= now { retire(now) }
        guard nextFault <= now else { return }
        nextFault = now + random(options.interval / 2, options.interval * 3 / 2)
        inject(now)
    }

    private func inject(_ now: Instant) {
        guard let peer = pick() else { return }
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<4:
            guard unreachable < options.unreachableMax else { return }
            count("crash and restart")
            cluster.crash(peer)
            down.append((peer, now + random(.milliseconds(100), .seconds(60))))
        case 4..<6:
            let room = options.unreachableMax - unreachable
            guard partition == nil, room > 0 else { return }
            count("partition")
            let size = Int.random(in: 1...room, using: &generator)
            let group = Array(cluster.running.shuffled(using: &generator).prefix(size))
            cluster.world.links.partition([group])
            partition = (size, now + random(.seconds(5), .seconds(60)))
        case 6..<8:
            guard let other = pick(), other.index != peer.index else { return }
            count("one-way block")
            cluster.world.links.block(from: peer, to: other)
            blocks.append((peer, other, now + random(.seconds(5), .seconds(60))))
        case 8:
            guard let other = pick(), other.index != peer.index else { return }
            count("clogged link")
            cluster.world.links.clog(
                from: peer, to: other, until: now + random(.seconds(1), .seconds(10)))
        default:
            count("clock step")
            peer.clock.step(byMilliseconds: Int64.random(in: -500...500, using: &generator))
        }
    }

    private func retire(_ now: Instant) {
        nextRetirement = now + options.retirementInterval
        let done = counts["fault: peer gone for good", default: 0]
        // The founder stays: it is everybody's first bootstrap address.
        guard done < options.retirementsMax, unreachable == 0,
            let peer = pick(), peer.index > 2
        else { return }
        count("peer gone for good")
        cluster.crash(peer)
        cluster.addPeer()
    }

    /// Takes everything back: what is down comes up again, the network is whole and loses nothing.
    func stop() {
        for (peer, _) in down { peer.restart() }
        down = []
        partition = nil
        blocks = []
        cluster.world.links.heal()
        cluster.world.links.change { $0.loss = 0 }
    }
}
