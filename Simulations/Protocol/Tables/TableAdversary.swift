import CyxCore
import CyxOverlay
import CyxTables
import SimulationHarness

/// What may go wrong in a world of tables; a seed draws some of it.
enum TableNemesis: String, CaseIterable, Sendable {
    /// Members that live are held for dead, and for alive again.
    case falseDeaths = "false death"
    /// The same again and again, each time for about as long as it takes to be replaced.
    case flapping = "flapping at the death timeout"
    case crashes = "crash and restart"
    /// Everyone at once.
    case powerFailures = "power failure"
    /// A quorum of the view is down for longer than it takes to be replaced, and comes back.
    case outages = "mass outage"
    /// A disk is replaced, at most as many as a view may lose.
    case wipes = "wiped store"
    /// Several peers leave at once; each vanishes once the newest view does without it.
    case departures = "departure"
    /// Further peers come, up to fourteen.
    case growth = "growth"
    /// One peer comes, for which partitions split; while they do, members crash, pause (all that they
    /// send and are sent is late) or are cut off, and are held for dead meanwhile.
    case splits = "growth that splits partitions"
    /// A peer gives its seats away and goes once nobody needs it; at the end all but one do.
    case drains = "drain"
    case oneWayBlocks = "one-way block"
    /// The proposer of a change that members are sealed for is heard by newcomers alone.
    case midSealBlocks = "one-way block in mid-seal"
    /// It dies when all but one of the members that it needs are sealed.
    case proposerKills = "proposer killed after q - 1 seals"
    case partitions = "partition"
    /// A link that holds everything back for a while.
    case clogs = "clogged link"
    /// Messages arrive again, much later: in other epochs, in other lives.
    case replays = "replayed messages"
    case loss = "lossy links"
    /// A peer without a store whose clock is an hour ahead.
    case fastClock = "fast clock"
    /// A custodian whose clock is an hour behind.
    case slowClock = "slow clock"
}

/// Injects faults from the seed.
struct TableAdversary {
    private static let wipesMax = 2
    private static let departuresMax = 4
    private static let storersMax = 14
    /// Peers that go on storing until the end.
    private static let storersMin = 3
    private static let fallsMax = 3

    private let world: TableWorld
    private let kinds: [TableNemesis]
    private var generator: SeededGenerator
    private var restarts: [(peer: TablePeer, at: Instant)] = []
    private var revivals: [(peer: TablePeer, at: Instant)] = []
    /// When whom is to be held for dead again.
    private var falls: [(peer: TablePeer, at: Instant)] = []
    private var unblocks: [(from: TablePeer, to: TablePeer, at: Instant)] = []
    private var wholeAt: Instant?
    private var leaving: [TablePeer] = []
    private var next: Instant
    /// Until when no further blow is dealt to those whose partition splits.
    private var struckUntil: Instant
    private var wipes = 0
    private var departures = 0
    private(set) var counts: [String: Int] = [:]

    init(world: TableWorld, favouring favourites: [TableNemesis]) {
        self.world = world
        generator = world.world.generator()
        var kinds = favourites
        for kind in TableNemesis.allCases where !kinds.contains(kind) {
            // What is lost for good in one way must not be lost in another as well.
            if kind == .wipes, kinds.contains(.departures) { continue }
            if kind == .departures, kinds.contains(.wipes) { continue }
            if kind == .fastClock { continue }
            if Bool.random(using: &generator) { kinds.append(kind) }
        }
        self.kinds = kinds
        next = world.world.now
        struckUntil = next
        if kinds.contains(.replays) { world.world.links.change { $0.replay = 0.1 } }
        let isSlow = Bool.random(using: &generator)
        let loss = kinds.contains(.loss) ? 0.15 : 0
        world.world.links.change {
            $0.loss = loss
            $0.jitter = isSlow ? .milliseconds(60) : .milliseconds(5)
        }
        if kinds.contains(.slowClock), let peer = world.peers.last {
            peer.machine.clock.step(byMilliseconds: -3_600_000)
            counts[TableNemesis.slowClock.rawValue] = 1
        }
        if kinds.contains(.fastClock) {
            world.addPeer(storing: false).machine.clock.step(byMilliseconds: 3_600_000)
        }
    }

    private mutating func count(_ kind: TableNemesis) { counts[kind.rawValue, default: 0] += 1 }

    private mutating func random(_ least: Int64, _ most: Int64) -> Duration {
        .milliseconds(Int64.random(in: least...most, using: &generator))
    }

    /// Peers with a store that have not left.
    private var storers: [TablePeer] {
        world.peers.filter { peer in
            peer.isStoring && !peer.isGone && !leaving.contains { $0 === peer }
        }
    }

    private mutating func pick() -> TablePeer? { storers.randomElement(using: &generator) }

    /// Takes back what is over and injects what is due.
    mutating func step(_ evidence: TableEvidence) {
        let now = world.world.now
        for (peer, at) in restarts where at <= now { world.restart(peer) }
        restarts.removeAll { $0.at <= now }
        for (peer, at) in revivals where at <= now {
            if peer.tables != nil, world.directory.state(of: peer.id) == .dead {
                world.directory.change(peer.id, to: .alive, at: now)
            }
        }
        revivals.removeAll { $0.at <= now }
        let falling = falls.filter { $0.at <= now }
        falls.removeAll { $0.at <= now }
        for (peer, _) in falling where storers.contains(where: { $0 === peer }) {
            flap(peer, now)
        }
        for (from, to, at) in unblocks where at <= now {
            world.world.links.unblock(from: from.machine, to: to.machine)
        }
        unblocks.removeAll { $0.at <= now }
        if let at = wholeAt, at <= now {
            world.world.links.partition([])
            wholeAt = nil
        }
        depart(evidence)
        disturbSealing(evidence, now)
        disturbSplit(evidence, now)
        guard next <= now, let kind = kinds.randomElement(using: &generator) else { return }
        next = now + random(5, 150)
        inject(kind, evidence, now)
    }

    private mutating func inject(
        _ kind: TableNemesis, _ evidence: TableEvidence, _ now: Instant
    ) {
        guard let peer = pick() else { return }
        switch kind {
        case .falseDeaths:
            count(kind)
            holdForDead(peer, now, for: random(20, 800))
        case .flapping:
            guard falls.isEmpty else { return }
            for number in 1..<Self.fallsMax {
                falls.append((peer, now + .milliseconds(160 * Int64(number))))
            }
            flap(peer, now)
        case .powerFailures, .outages:
            guard restarts.isEmpty,
                let view = evidence.newest.randomElement(using: &generator)
            else { return }
            count(kind)
            let members = storers.filter { view.contains($0.id) }.prefix(view.quorum)
            let longest: Int64 = kind == .outages ? 900 : 400
            for peer in kind == .outages ? Array(members) : storers {
                crash(peer, now, for: random(longest / 3, longest))
            }
        case .growth:
            guard storers.count < Self.storersMax else { return }
            count(kind)
            world.addPeer()
        case .splits:
            guard storers.count == TableWorld.storers else { return }
            count(kind)
            world.addPeer()
        case .drains:
            let staying = storers.filter(\.isStaying)
            guard staying.count > Self.storersMin, peer.isStaying, peer.machine.index > 1 else {
                return
            }
            count(kind)
            world.drain(peer)
        case .crashes:
            guard restarts.count < 2, peer.tables != nil else { return }
            count(kind)
            crash(peer, now, for: random(5, 400))
        case .wipes:
            // A member that has not got the state yet is one that the view can do without already. So
            // is one that drains, whose seat nobody may be left to take.
            guard restarts.count < 2, peer.tables != nil, wipes < Self.wipesMax,
                peer.machine.index > 1, peer.isStaying, evidence.hasConverged(world),
                evidence.newest.allSatisfy({ $0.tolerance > 0 })
            else { return }
            wipes += 1
            count(kind)
            crash(peer, now, for: random(5, 400))
            peer.wipe()
        case .departures:
            // Who drains is counted on until nobody needs it, and who leaves at once is lost: of the
            // members of a view no more than it can do without.
            guard departures < Self.departuresMax, leaving.isEmpty, evidence.hasConverged(world)
            else { return }
            let views = evidence.newest
            let all = storers.filter { peer in
                peer.machine.index > 1 && peer.tables != nil && peer.isStaying
            }
            .shuffled(using: &generator)
            for peer in all where departures < Self.departuresMax {
                let isSpared = views.contains { view in
                    view.contains(peer.id)
                        && leaving.count { view.contains($0.id) } >= view.tolerance
                }
                if isSpared { continue }
                departures += 1
                count(kind)
                leaving.append(peer)
                world.directory.change(peer.id, to: .left, at: now)
            }
            for _ in leaving { world.addPeer() }
        case .oneWayBlocks:
            guard let other = pick(), other !== peer else { return }
            count(kind)
            world.world.links.block(from: peer.machine, to: other.machine)
            unblocks.append((peer, other, now + random(20, 600)))
        case .partitions:
            guard wholeAt == nil else { return }
            count(kind)
            let size = Int.random(in: 1...3, using: &generator)
            let group = storers.shuffled(using: &generator).prefix(size).map(\.machine)
            world.world.links.partition([Array(group)])
            wholeAt = now + random(20, 600)
        case .clogs:
            guard let other = pick(), other !== peer else { return }
            count(kind)
            world.world.links.clog(
                from: peer.machine, to: other.machine, until: now + random(20, 280))
        case .replays, .loss, .fastClock, .slowClock, .midSealBlocks, .proposerKills:
            return
        }
    }

    /// Holds a peer for dead for about as long as it takes to be replaced.
    private mutating func flap(_ peer: TablePeer, _ now: Instant) {
        count(.flapping)
        world.directory.change(peer.id, to: .dead, at: now)
        let delay = world.configuration.timings.deathDelay
        revivals.append((peer, now + delay + random(-20, 20)))
    }

    /// Strikes a member of a partition that splits.
    private mutating func disturbSplit(_ evidence: TableEvidence, _ now: Instant) {
        guard kinds.contains(.splits), struckUntil <= now, let splitting = evidence.splitting
        else { return }
        // Half of the blows are for one who knows more than others.
        let isForFirst = Bool.random(using: &generator)
        let members = storers.filter { peer in
            peer.tables != nil
                && (isForFirst
                    ? peer.id == splitting.ahead : splitting.members.contains(peer.id))
        }
        guard let peer = members.randomElement(using: &generator) else { return }
        let time = random(20, 400)
        struckUntil = now + random(5, 60)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0 where restarts.count < 2:
            counts["crash in mid-split", default: 0] += 1
            crash(peer, now, for: time)
        case 1:
            counts["pause in mid-split", default: 0] += 1
            for other in storers where other !== peer {
                world.world.links.clog(from: peer.machine, to: other.machine, until: now + time)
                world.world.links.clog(from: other.machine, to: peer.machine, until: now + time)
            }
            holdForDead(peer, now, for: time)
        case 2 where wholeAt == nil:
            counts["cut off in mid-split", default: 0] += 1
            world.world.links.partition([[peer.machine]])
            wholeAt = now + time
            holdForDead(peer, now, for: time)
        default: return
        }
    }

    private mutating func holdForDead(_ peer: TablePeer, _ now: Instant, for time: Duration) {
        world.directory.change(peer.id, to: .dead, at: now)
        revivals.append((peer, now + time))
    }

    /// Strikes in the midst of a change of view.
    private mutating func disturbSealing(_ evidence: TableEvidence, _ now: Instant) {
        guard let (proposer, sealed, view) = evidence.sealing(in: world), proposer.tables != nil
        else { return }
        if kinds.contains(.proposerKills), sealed == view.quorum - 1, restarts.count < 2 {
            count(.proposerKills)
            crash(proposer, now, for: random(5, 400))
        }
        if kinds.contains(.midSealBlocks), sealed >= view.quorum, unblocks.isEmpty {
            count(.midSealBlocks)
            for peer in storers where peer !== proposer && view.contains(peer.id) {
                world.world.links.block(from: proposer.machine, to: peer.machine)
                unblocks.append((proposer, peer, now + .milliseconds(400)))
            }
        }
    }

    private mutating func crash(_ peer: TablePeer, _ now: Instant, for time: Duration) {
        // Whoever is about to leave ends in that way alone.
        guard peer.tables != nil, storers.contains(where: { $0 === peer }) else { return }
        peer.crash()
        world.directory.change(peer.id, to: .dead, at: now)
        restarts.append((peer, now + time))
    }

    /// Who said good-bye and is no member of the newest view may go at any time, and does at once.
    /// Who drains waits until nobody needs it.
    private mutating func depart(_ evidence: TableEvidence) {
        let newest = evidence.newest
        for peer in leaving where !newest.contains(where: { $0.contains(peer.id) }) {
            peer.leave()
        }
        leaving.removeAll { $0.isGone }
        for peer in storers
        where !peer.isStaying && peer.tables != nil && evidence.isRelieved(peer) {
            world.remove(peer)
        }
    }

    /// Takes everything back.
    mutating func stop() {
        world.world.links.heal()
        world.world.links.change {
            $0.loss = 0
            $0.replay = 0
            $0.jitter = .milliseconds(5)
        }
        for (peer, _) in restarts { world.restart(peer) }
        restarts = []
        falls = []
        for (peer, _) in revivals
        where peer.tables != nil && world.directory.state(of: peer.id) == .dead {
            world.directory.change(peer.id, to: .alive, at: world.world.now)
        }
        revivals = []
    }

    /// Whether the network is to shrink to one peer at the end.
    var shrinks: Bool { kinds.contains(.drains) }

    /// After `stop`: has all but the first peer give their seats away; false until all are gone.
    mutating func shrink(_ evidence: TableEvidence) -> Bool {
        for peer in storers where peer.isStaying && peer.machine.index > 1 {
            count(.drains)
            world.drain(peer)
        }
        depart(evidence)
        return storers.count == 1
    }
}
