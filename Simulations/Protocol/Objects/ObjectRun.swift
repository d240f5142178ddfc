import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness

/// What a run of a world of objects showed.
struct ObjectOutcome: SeedOutcome, Sendable {
    var seed: UInt64
    var virtualSeconds = 0.0
    var trace = TraceHash()
    var counts: [String: Int] = [:]
    var faults: [String: Int] = [:]
    var checks: [String: Int] = [:]
    var violations: [String] = []
}

/// One seed: the network grows to its size, faults and clients go on for some seconds, then all is
/// taken back and must come to rest, with everything where it belongs and no garbage left. One seed of
/// eight begins with one storage peer and ends with one (`growAndShrink`), in another an account has a
/// lease that ends (`endLease`), and in a third clients put much at once, for longer
/// (`ObjectWorld.packs`).
enum ObjectRun {
    private static let faults = Duration.seconds(12)
    /// Where segments are shared: long enough for most of one to be replaced and the rest to be moved.
    private static let packFaults = Duration.seconds(24)
    static let recovery = Duration.seconds(120)
    /// Where a disk has lost shards in silence: what nobody reads only audits find, one a period and
    /// peer, of some thirty shards.
    static let silentRecovery = recovery * 8
    static let pace = Duration.milliseconds(20)
    /// How often the disks are looked at in between.
    static let looks = Duration.seconds(2)

    static func run(
        seed: UInt64, without broken: Set<ObjectRule> = [],
        favouring kinds: [ObjectNemesis] = [], lies: [MemberLie] = [], packs: Bool = false,
        printed: LogLevel? = nil
    ) -> ObjectOutcome {
        let isPlain = broken.isEmpty && kinds.isEmpty && lies.isEmpty
        let packs = packs || seed % 8 == 2 && isPlain
        let world = ObjectWorld(seed: seed, without: broken, packs: packs, printed: printed)
        let kinds = packs && isPlain ? packNemeses(seed) : kinds
        let growsFromOne = seed % 8 == 0 && isPlain
        let hasLease = seed % 8 == 4 && isPlain
        let storers = growsFromOne ? 1 : ObjectWorld.storers
        for _ in 0..<storers { world.addPeer(storing: true) }
        for _ in 0..<ObjectWorld.gateways { world.addPeer(storing: false) }
        let clients = ObjectClients(world: world)
        var outcome = ObjectOutcome(seed: seed)
        if !settle(world, .seconds(20), { areTablesWhole(world, custodians: min(storers, 5)) }) {
            clients.with { $0.violate("Converge", "the view did not grow at the start") }
        } else if !clients.createBucket() {
            clients.with { $0.violate("Converge", "no bucket could be created at the start") }
        } else if growsFromOne {
            growAndShrink(world, clients, &outcome)
        } else {
            var account = hasLease ? LeasedAccount(world: world, clients: clients) : nil
            if account?.begin() == false {
                clients.with { $0.violate("Converge", "nothing could be stored under a lease") }
            } else {
                underFaults(
                    world, clients,
                    ObjectAdversary(world: world, clients: clients, favouring: kinds), lies,
                    &account, &outcome)
            }
        }
        outcome.virtualSeconds = (world.world.now - Instant(nanoseconds: 0)).inSeconds
        outcome.trace = world.world.trace
        if packs { clients.countPacks() }
        clients.with { records in
            records.judge()
            outcome.counts = records.counts
            outcome.checks = records.checks
            outcome.violations = records.violations
        }
        world.world.end(grace: .milliseconds(500))
        return outcome
    }

    /// What several objects lose together is likelier to be seen: gateways die in the midst of what
    /// they do, and of most worlds a disk loses what it had.
    private static func packNemeses(_ seed: UInt64) -> [ObjectNemesis] {
        switch seed / 8 % 4 {
        case 0: [.gatewayCrashes, .lyingFlushes]
        case 1: [.gatewayCrashes, .wipes]
        case 2: [.gatewayCrashes, .lyingFlushes, .departures]
        default: [.gatewayCrashes]
        }
    }

    private static func underFaults(
        _ world: ObjectWorld, _ clients: ObjectClients, _ adversary: ObjectAdversary,
        _ lies: [MemberLie], _ account: inout LeasedAccount?, _ outcome: inout ObjectOutcome
    ) {
        var adversary = adversary
        var liar = LyingMember(world: world, clients: clients, favouring: lies)
        let end = world.world.now + (world.packs ? packFaults : faults)
        var nextLook = world.world.now
        while world.world.now < end {
            adversary.step()
            liar?.step()
            account?.step()
            clients.step()
            world.world.run(for: pace)
            if nextLook <= world.world.now {
                nextLook = world.world.now + looks
                let evidence = ObjectEvidence(world)
                clients.with { records in
                    evidence.checkRetirement(&records)
                    ObjectEvidence.checkForgeries(world, &records)
                }
            }
            // What follows from a violation says nothing more.
            if clients.with({ !$0.violations.isEmpty }) { break }
        }
        adversary.stop()
        account?.start()
        outcome.faults = adversary.counts.merging(liar?.counts ?? [:], uniquingKeysWith: +)
        if let account, account.crashes > 0 {
            outcome.faults["crash of a gateway with a lease"] = account.crashes
        }
        if clients.with({ !$0.violations.isEmpty }) { return }
        rest(world, clients, &adversary)
        if var account, clients.with({ $0.violations.isEmpty }) {
            endLease(world, clients, &account, &outcome)
        }
    }

    /// Waits until all is as it should be without faults, and says what is not.
    static func rest(
        _ world: ObjectWorld, _ clients: ObjectClients, _ adversary: inout ObjectAdversary
    ) {
        let isWhole = settle(world, recovery) {
            adversary.takeLeave()
            return adversary.leaving.isEmpty && areTablesWhole(world)
        }
        guard isWhole else {
            let lacks = tableStates(world)
            let stays = adversary.leaving.map { departureState(world, $0) }
            return clients.with {
                $0.violate("Converge", "tables are not whole: \(lacks); \(stays)")
            }
        }
        clients.settleUploads(limit: recovery)
        clients.settlePins(limit: recovery)
        clients.settleVersions(limit: recovery)
        clients.settlePacks(limit: recovery)
        let unread = clients.readEverything(limit: .seconds(40))
        clients.with { records in
            records.check("AckedDurable")
            if let first = unread.first {
                records.violate("AckedDurable", "\(first) cannot be read after the faults")
            }
        }
        var unrest: (name: String, what: String)?
        var isRead = false
        let patience = world.peers.contains(where: \.hasLostFlushes) ? silentRecovery : recovery
        let isAtRest = settle(world, patience, every: .seconds(2)) {
            guard let live = placements(world, clients) else { return false }
            isRead = true
            if let dangling = live.dangling {
                unrest = ("NoDangling", "\(dangling) has a head and nothing that it reaches")
                return false
            }
            unrest = ObjectEvidence(world).unrest(live.segments, world)
            return unrest == nil
        }
        let evidence = ObjectEvidence(world)
        clients.with { records in
            for name in ["NoDangling", "RepairBounded", "ZoneCap", "Converge"] {
                records.check(name)
            }
            evidence.checkRetirement(&records)
            ObjectEvidence.checkForgeries(world, &records)
            guard !isAtRest else { return }
            let reason = unrest ?? ("AckedDurable", isRead ? "" : "heads cannot be read")
            records.violate(reason.name, reason.what)
        }
        // Whatever was collected meanwhile must not have been needed.
        let lost = clients.readEverything(limit: .seconds(20))
        clients.with { records in
            if let first = lost.first {
                records.violate("NoDangling", "\(first) cannot be read any more")
            }
        }
    }

    static func settle(
        _ world: ObjectWorld, _ limit: Duration, every interval: Duration = .milliseconds(200),
        _ predicate: () -> Bool
    ) -> Bool {
        let deadline = world.world.now + limit
        while world.world.now < deadline {
            world.world.run(for: interval)
            if predicate() { return true }
        }
        return false
    }

    private static func health(_ world: ObjectWorld) -> [(ObjectPeer, TablesHealth?)] {
        let tasks = world.peers.compactMap { peer in
            peer.tables.map { tables in
                (peer, world.world.spawn(peer.machine) { await tables.health() })
            }
        }
        world.world.run(limit: .seconds(1)) { tasks.allSatisfy { $0.1.result != nil } }
        return tasks.map { peer, task in
            if case .success(let health)? = task.result { (peer, health) } else { (peer, nil) }
        }
    }

    static func areTablesWhole(_ world: ObjectWorld, custodians: Int = 5) -> Bool {
        let known = health(world)
        let isWhole = known.allSatisfy { _, health in
            guard let health else { return false }
            return health.fullPartitions == health.partitions
                && health.unavailablePartitions == 0
        }
        return isWhole && known.count { $0.1?.partitions == 1 } >= custodians
            && known.count == world.peers.count { !$0.isGone }
    }

    static func departureState(_ world: ObjectWorld, _ peer: ObjectPeer) -> String {
        guard let departure = peer.departure else { return "\(peer.machine.name) is down" }
        let task = world.world.spawn(peer.machine) { await departure.status }
        world.world.run(limit: .seconds(1)) { task.result != nil }
        guard case .success(let status)? = task.result else { return peer.machine.name }
        return "\(peer.machine.name) is \(status.phase.rawValue) with \(status.shardsLeft) shards, "
            + "\(status.partitionsLeft) partitions (\(status.problem ?? "no problem"))"
    }

    private static func tableStates(_ world: ObjectWorld) -> String {
        health(world).map { peer, health in
            "\(peer.machine.name) \(health.map { "\($0.fullPartitions)/\($0.partitions)" } ?? "-")"
        }.joined(separator: ", ")
    }

    /// Where everything lies that heads reach, and an object of which only the head is left; nil when
    /// a gateway could not tell.
    private static func placements(
        _ world: ObjectWorld, _ clients: ObjectClients
    ) -> (segments: [SegmentPlacement], dangling: String?)? {
        guard let peer = world.gateways.first, let gateway = peer.gateway else { return nil }
        let names = clients.with { $0.keys.map(\.name) }
        let task = world.world.spawn(peer.machine) {
            var all: [SegmentPlacement] = []
            var dangling: String?
            for name in names {
                do {
                    let found = try await gateway.placement(of: name, in: ObjectWorld.bucket)
                    if found.contains(where: { all.map(\.segment).contains($0.segment) }) {
                        clients.with { $0.count(ObjectClients.sharedSegments) }
                    }
                    all += found
                } catch ObjectError.deleteMarker {
                    continue
                } catch ObjectError.noSuchKey {
                    do {
                        _ = try await gateway.head(name, in: ObjectWorld.bucket)
                        dangling = name
                    } catch ObjectError.noSuchKey { continue }
                }
            }
            if world.keepsVersions {
                let versions = try await gateway.listVersions(
                    ObjectWorld.bucket, VersionListRequest()
                ).versions
                for version in versions where !version.isLatest && !version.info.isDeleteMarker {
                    all += try await gateway.placement(
                        of: version.info.key, version: version.info.versionID,
                        in: ObjectWorld.bucket)
                }
            }
            for pin in try await ObjectClients.pins(gateway) {
                all += try await gateway.placement(pin: pin.id)
            }
            return (all, dangling)
        }
        world.world.run(limit: .seconds(20)) { task.result != nil }
        guard case .success(let all)? = task.result else { return nil }
        clients.with { ObjectEvidence.checkForgeries(all.0, world, &$0) }
        return all
    }
}
