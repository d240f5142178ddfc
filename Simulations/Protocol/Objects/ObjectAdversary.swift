import CyxCore
import CyxObjects
import CyxOverlay
import CyxTables
import SimulationHarness

/// What may go wrong in a world of objects; a seed draws some of it.
enum ObjectNemesis: String, CaseIterable, Sendable {
    case crashes = "crash and restart"
    /// At any step of an operation.
    case gatewayCrashes = "gateway crash in mid-operation"
    /// Members that live are held for dead: views change in the midst of writes and completions.
    case falseDeaths = "false death"
    case zoneLoss = "zone loss and return"
    case powerOff = "full power-off"
    case wipes = "wiped disk"
    /// Flushes of shards are acknowledged and not carried out, then the power goes.
    case lyingFlushes = "lying fsync"
    /// Readers of shards get other bytes than were stored.
    case lyingHolders = "lying holder"
    case partitions = "partition"
    case oneWayBlocks = "one-way block"
    /// A gateway reaches a few storage peers only, whoever membership says is there.
    case narrowings = "narrowed gateway"
    /// A link that holds everything back for a while.
    case clogs = "clogged link"
    /// Messages arrive again, much later.
    case replays = "replayed messages"
    case loss = "lossy links"
    case growth = "growth"
    /// A peer says that it leaves, hands over what it has, and goes when nobody needs it. All else
    /// may befall it meanwhile.
    case departures = "departure"
}

/// Injects faults from the seed. At most two storage peers are out at a time, as many as rows and
/// segments bear, and data is lost for good at most once: a write is acknowledged when it bears one
/// loss for good.
struct ObjectAdversary {
    private static let outMax = 2
    private static let growthMax = 2
    /// Peers that are cut off at a time: two custodians of a row, and so many others that together
    /// they have k shards of a segment and somebody to take another.
    private static let cutOffMax = 6
    /// Storage peers that a narrowed gateway reaches: not enough for a segment.
    private static let reached = 4...5

    private static let departuresMax = 2
    /// Peers that stay at least: two may be out, and the others take a segment of the usual code.
    private static let stayingMin = 7

    /// What loses shards for good: one of it in a run.
    private static let losses: [ObjectNemesis] = [.wipes, .lyingFlushes]

    private let world: ObjectWorld
    private let clients: ObjectClients
    private let kinds: [ObjectNemesis]
    private var generator: SeededGenerator
    private var restarts: [(peer: ObjectPeer, at: Instant)] = []
    private var revivals: [(peer: ObjectPeer, at: Instant)] = []
    private var unblocks: [(from: ObjectPeer, to: ObjectPeer, at: Instant)] = []
    private var cutOff: CutOff?
    private var liar: (peer: ObjectPeer, until: Instant)?
    private var liesAboutFlushes: (peer: ObjectPeer, until: Instant)?
    /// Peers that were asked to leave and have not yet.
    private(set) var leaving: [ObjectPeer] = []
    private var departed = 0
    private var next: Instant
    private var nextGatewayCrash: Instant
    private var hasLost = false
    private var grown = 0
    private(set) var counts: [String: Int] = [:]

    /// Peers without a quorum, and what their disks held when all was delivered that had been sent.
    private struct CutOff {
        var peers: [ObjectPeer]
        var since: Instant
        var until: Instant
        var files: Set<ObjectEvidence.Holding>?
    }

    init(
        world: ObjectWorld, clients: ObjectClients, favouring favourites: [ObjectNemesis],
        among allowed: [ObjectNemesis] = ObjectNemesis.allCases
    ) {
        self.world = world
        self.clients = clients
        generator = world.world.generator()
        var kinds = favourites
        let loss = Self.losses.randomElement(using: &generator)
        let hasFavouriteLoss = favourites.contains { Self.losses.contains($0) }
        for kind in allowed where !kinds.contains(kind) {
            if Self.losses.contains(kind), kind != loss || hasFavouriteLoss { continue }
            if Bool.random(using: &generator) { kinds.append(kind) }
        }
        self.kinds = kinds
        next = world.world.now
        nextGatewayCrash = world.world.now
        let isSlow = Bool.random(using: &generator)
        world.world.links.change { links in
            links.loss = kinds.contains(.loss) ? 0.05 : 0
            links.replay = kinds.contains(.replays) ? 0.05 : 0
            links.jitter = isSlow ? .milliseconds(30) : .milliseconds(4)
        }
        for kind in [ObjectNemesis.loss, .replays] where kinds.contains(kind) { count(kind) }
    }

    private mutating func count(_ kind: ObjectNemesis) { counts[kind.rawValue, default: 0] += 1 }

    private mutating func random(_ least: Int64, _ most: Int64) -> Duration {
        .milliseconds(Int64.random(in: least...most, using: &generator))
    }

    /// Storage peers that are down, cut off, lying or held for dead.
    private var out: Int {
        restarts.count { $0.peer.isStoring } + revivals.count + (cutOff?.peers.count ?? 0)
            + (liar == nil ? 0 : 1) + (liesAboutFlushes == nil ? 0 : 1)
    }

    private func isFree(_ peer: ObjectPeer) -> Bool {
        peer.isUp && peer !== liesAboutFlushes?.peer
            && !revivals.contains { $0.peer === peer }
            && !(cutOff?.peers.contains { $0 === peer } ?? false)
    }

    /// Any peer that runs, gateways too: for links.
    private mutating func pickAny() -> ObjectPeer? {
        world.peers.filter { $0.isUp }.randomElement(using: &generator)
    }

    private mutating func pick() -> ObjectPeer? {
        world.storers.filter(isFree).randomElement(using: &generator)
    }

    private func isStaying(_ peer: ObjectPeer) -> Bool { !leaving.contains { $0 === peer } }

    // MARK: Steps

    /// Takes back what is over and injects what is due.
    mutating func step() {
        let now = world.world.now
        for (peer, at) in restarts where at <= now { peer.machine.restart() }
        restarts.removeAll { $0.at <= now }
        for (peer, at) in revivals where at <= now { revive(peer) }
        revivals.removeAll { $0.at <= now }
        for (from, to, at) in unblocks where at <= now {
            world.world.links.unblock(from: from.machine, to: to.machine)
        }
        unblocks.removeAll { $0.at <= now }
        watchCutOff(now)
        if let liar, liar.until <= now {
            liar.peer.setLying(false)
            self.liar = nil
        }
        if let liesAboutFlushes, liesAboutFlushes.until <= now { losePower() }
        takeLeave()
        crashGateway(now)
        guard next <= now, let kind = kinds.randomElement(using: &generator) else { return }
        next = now + random(50, 900)
        inject(kind, now)
    }

    private func revive(_ peer: ObjectPeer) {
        guard peer.isUp, world.directory.state(of: peer.id) == .dead else { return }
        world.directory.change(peer.id, to: .alive, at: world.world.now)
    }

    private mutating func crashGateway(_ now: Instant) {
        guard kinds.contains(.gatewayCrashes), nextGatewayCrash <= now else { return }
        nextGatewayCrash = now + random(20, 1800)
        guard let peer = clients.busyGateways.randomElement(using: &generator) else { return }
        count(.gatewayCrashes)
        world.crash(peer)
        restarts.append((peer, now + random(5, 500)))
    }

    private mutating func inject(_ kind: ObjectNemesis, _ now: Instant) {
        switch kind {
        case .crashes:
            guard out < Self.outMax, let peer = pick() else { return }
            count(kind)
            takeDown(peer, for: random(5, 2500))
        case .falseDeaths:
            guard out < Self.outMax, let peer = pick() else { return }
            count(kind)
            world.directory.change(peer.id, to: .dead, at: now)
            revivals.append((peer, now + random(100, 2000)))
        case .zoneLoss:
            guard out == 0, let zone = pick()?.zone else { return }
            let peers = world.storers.filter { $0.zone == zone }
            guard peers.allSatisfy(isFree) else { return }
            count(kind)
            let time = random(200, 4000)
            for peer in peers { takeDown(peer, for: time) }
        case .powerOff:
            guard out == 0 else { return }
            count(kind)
            for peer in world.peers where !peer.isGone && peer.isUp {
                takeDown(peer, for: random(100, 1500))
            }
        case .wipes, .lyingFlushes: lose(kind, now)
        case .departures: sendAway()
        case .lyingHolders:
            // One at a time: the next would be noted in its place, and it would lie for ever.
            guard liar == nil, out < Self.outMax, let peer = pick() else { return }
            count(kind)
            peer.setLying(true)
            liar = (peer, now + random(300, 3000))
        case .partitions: cutSomeOff(now)
        case .oneWayBlocks:
            guard let peer = pickAny(), let other = pickAny(), other !== peer else { return }
            count(kind)
            world.world.links.block(from: peer.machine, to: other.machine)
            unblocks.append((peer, other, now + random(100, 1500)))
        case .narrowings:
            guard let gateway = world.gateways.filter({ $0.isUp }).randomElement(using: &generator)
            else { return }
            count(kind)
            let number = Int.random(in: Self.reached, using: &generator)
            let end = now + random(1000, 5000)
            for peer in world.storers.shuffled(using: &generator).dropFirst(number) {
                world.world.links.block(from: gateway.machine, to: peer.machine)
                unblocks.append((gateway, peer, end))
            }
        case .clogs:
            guard let peer = pickAny(), let other = pickAny(), other !== peer else { return }
            count(kind)
            world.world.links.clog(
                from: peer.machine, to: other.machine, until: now + random(50, 700))
        case .growth:
            guard grown < Self.growthMax else { return }
            grown += 1
            grow()
        case .gatewayCrashes, .replays, .loss: return
        }
    }

    mutating func grow() {
        count(.growth)
        world.addPeer(storing: true)
    }

    private mutating func takeDown(_ peer: ObjectPeer, for time: Duration) {
        world.crash(peer)
        restarts.append((peer, world.world.now + time))
    }

    // MARK: Losses for good

    private mutating func lose(_ kind: ObjectNemesis, _ now: Instant) {
        // With its shards a peer that leaves would lose the note that it does.
        guard !hasLost, out == 0, let peer = pick(), peer.machine.index > 1, isStaying(peer)
        else { return }
        hasLost = true
        count(kind)
        if kind == .wipes {
            takeDown(peer, for: random(5, 1500))
            peer.machine.disk.wipe()
        } else {
            var faults = DiskFaults()
            faults.liesAboutShards = true
            peer.machine.disk.setFaults(faults)
            liesAboutFlushes = (peer, now + random(300, 2000))
        }
    }

    private mutating func losePower() {
        guard let peer = liesAboutFlushes?.peer else { return }
        liesAboutFlushes = nil
        if peer.isUp { takeDown(peer, for: .milliseconds(300)) }
        peer.noteLostFlushes()
        peer.machine.disk.setFaults(DiskFaults())
    }

    // MARK: Departures

    /// Asks a peer to leave, with or without another to take its place.
    private mutating func sendAway() {
        let staying = world.storers.filter(isStaying)
        guard departed < Self.departuresMax,
            let peer = staying.filter(isFree).randomElement(using: &generator)
        else { return }
        let isReplaced = Bool.random(using: &generator) || staying.count <= Self.stayingMin
        departed += 1
        count(.departures)
        leaving.append(peer)
        ask(peer)
        if isReplaced { world.addPeer(storing: true) }
    }

    /// Asks all storage peers but the first.
    mutating func sendAllButOneAway() {
        for peer in world.storers where peer.machine.index > 1 && isStaying(peer) {
            count(.departures)
            leaving.append(peer)
            ask(peer)
        }
    }

    /// Who crashes before it has noted that it is to leave has to be asked again.
    private func ask(_ peer: ObjectPeer) {
        guard let departure = peer.departure else { return }
        _ = world.world.spawn(peer.machine) { try await departure.begin(.leave) }
    }

    /// Lets those go that have handed everything over.
    mutating func takeLeave() {
        for peer in leaving where peer.isUp && peer.hasHandedOver {
            world.directory.change(peer.id, to: .left, at: world.world.now)
            peer.leave()
        }
        leaving.removeAll(where: \.isGone)
    }

    // MARK: Partitions

    private var newestView: View? {
        var newest: View?
        for peer in world.storers {
            let stored = peer.machine.disk.entries(in: "tables", StorageKey.replicas)
            for entry in stored {
                do {
                    let view = try Replica(bytes: entry.value).newest.view
                    if newest.map({ view.id.isNewer(than: $0.id) }) ?? true { newest = view }
                } catch { continue }
            }
        }
        return newest
    }

    /// Cuts storage peers off that have no quorum; every other time so many that they could rebuild
    /// segments among themselves.
    private mutating func cutSomeOff(_ now: Instant) {
        guard cutOff == nil, out == 0, let view = newestView else { return }
        let isLarge = Bool.random(using: &generator)
        let size = isLarge ? Self.cutOffMax : Int.random(in: 1...Self.cutOffMax, using: &generator)
        var members = view.members.count - view.quorum
        let group = world.storers.filter(isFree).shuffled(using: &generator).filter { peer in
            guard view.contains(peer.id) else { return true }
            members -= 1
            return members >= 0
        }.prefix(size)
        count(.partitions)
        world.world.links.partition([group.map(\.machine)])
        world.directory.divide(group.map(\.id))
        cutOff = CutOff(peers: Array(group), since: now, until: now + random(500, 8000))
    }

    /// Nothing but a custodian without a quorum could store anything at peers that are cut off
    /// (RepairBounded): all gateways are on the other side. What had been read from a quorum before may
    /// still be rebuilt: from shards of which some are asked for in vain, and stored at the second try.
    private mutating func watchCutOff(_ now: Instant) {
        guard var cutOff else { return }
        let timings = world.timings
        let isSettled =
            now - cutOff.since > timings.readTimeout * 4 + timings.appendTimeout * 2
        if isSettled, cutOff.files == nil {
            cutOff.files = files(of: cutOff.peers)
            self.cutOff = cutOff
        }
        guard cutOff.until <= now else { return }
        // A change that was decided when they were cut off may have given them a quorum.
        if let before = cutOff.files, !hasQuorum(cutOff.peers) {
            let stored = files(of: cutOff.peers).subtracting(before)
            clients.with { records in
                records.check("RepairBounded")
                if !stored.isEmpty {
                    records.violate(
                        "RepairBounded",
                        "\(stored.count) shards were stored at peers that saw no quorum")
                }
            }
        }
        world.world.links.partition([])
        world.directory.divide([])
        self.cutOff = nil
    }

    private func hasQuorum(_ peers: [ObjectPeer]) -> Bool {
        newestView.map { view in peers.count { view.contains($0.id) } >= view.quorum } ?? false
    }

    private func files(of peers: [ObjectPeer]) -> Set<ObjectEvidence.Holding> {
        let ids = Set(peers.map(\.id))
        return ObjectEvidence(world).files.filter { ids.contains($0.peer) }
    }

    // MARK: The end

    /// Takes everything back.
    mutating func stop() {
        if cutOff != nil { cutOff?.until = world.world.now }
        watchCutOff(world.world.now)
        liar?.peer.setLying(false)
        liar = nil
        losePower()
        world.world.links.heal()
        world.world.links.change {
            $0.loss = 0
            $0.replay = 0
            $0.jitter = .milliseconds(4)
        }
        for (peer, _) in restarts { peer.machine.restart() }
        restarts = []
        for (peer, _) in revivals { revive(peer) }
        revivals = []
        world.world.run(limit: .seconds(2)) { leaving.allSatisfy(\.isUp) }
        for peer in leaving where !peer.hasHandedOver { ask(peer) }
    }
}
