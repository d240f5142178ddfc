import CyxCore
import CyxTables
import SimulationHarness

/// What a run of a world of tables showed.
struct TableOutcome: SeedOutcome, Sendable {
    var seed: UInt64
    var virtualSeconds = 0.0
    var epochs = 0
    var trace = TraceHash()
    var counts: [String: Int] = [:]
    var faults: [String: Int] = [:]
    var checks: [String: Int] = [:]
    var violations: [String] = []
}

/// One seed: the network grows to its size, faults and clients go on for some seconds, then all is
/// taken back and must come to rest.
enum TableRun {
    private static let faults = Duration.seconds(3)
    private static let recovery = Duration.seconds(20)
    private static let pace = Duration.milliseconds(10)
    /// What of a stamp is due to time that passed between its making and the look at it.
    private static let stampTolerance: Int64 = 1000
    /// With how many partitions a world is content, for which see `TablesConfiguration.splitRatio`: one
    /// for ever, or one, two or four, and twice as many from the eighth peer that stores on.
    private static let splitRatios = [0, 0.7, 1.3, 2.6]

    static func run(
        seed: UInt64, without broken: Set<TableRule> = [], favouring kinds: [TableNemesis] = [],
        printed: LogLevel? = nil
    ) -> TableOutcome {
        let splitting = kinds.contains(.splits) ? splitRatios.dropFirst() : splitRatios[...]
        let ratio = splitting[splitting.startIndex + Int(seed % UInt64(splitting.count))]
        let world = TableWorld(
            seed: seed, without: broken, splitRatio: ratio, printed: printed)
        for _ in 0..<TableWorld.storers { world.addPeer() }
        let clients = TableClients(world: world)
        var outcome = TableOutcome(seed: seed)
        if settle(world, clients, .seconds(10)) {
            underFaults(world, clients, TableAdversary(world: world, favouring: kinds), &outcome)
        } else {
            clients.withEvidence { $0.violate("Converge", "the view did not grow at the start") }
        }
        clients.judge()
        outcome.virtualSeconds = (world.world.now - Instant(nanoseconds: 0)).inSeconds
        outcome.trace = world.world.trace
        outcome.counts = clients.counts
        outcome.counts["tombstones removed"] = world.peers.reduce(0) { sum, peer in
            sum + Int(peer.machine.environment.metrics.counter(TableWorld.removalMetric).value)
        }
        let evidence = clients.withEvidence { $0 }
        outcome.counts["partitions split"] = evidence.splits
        outcome.epochs = evidence.epochs
        outcome.checks = evidence.checks
        outcome.violations = evidence.violations
        world.world.end(grace: .milliseconds(500))
        return outcome
    }

    private static func underFaults(
        _ world: TableWorld, _ clients: TableClients, _ adversary: TableAdversary,
        _ outcome: inout TableOutcome
    ) {
        var adversary = adversary
        let end = world.world.now + faults
        while world.world.now < end {
            adversary.step(clients.withEvidence { $0 })
            clients.step()
            world.world.run(for: pace)
            clients.withEvidence { $0.look(at: world) }
            // What follows from a violation says nothing more.
            if clients.withEvidence({ !$0.violations.isEmpty }) { return }
        }
        adversary.stop()
        let isWhole = settle(world, clients, recovery)
        let isReadable = clients.readEverything(limit: .seconds(10))
        clients.withEvidence {
            let state = $0.standings(world)
            // No more members are lost than a view can do without.
            if !isReadable {
                $0.violate("AckedDurable", "rows cannot be read after the faults: \(state)")
            } else if !isWhole {
                $0.violate(
                    "Converge", "the newest views are not whole after the faults: \(state)")
            }
        }
        if isWhole, isReadable, adversary.shrinks { shrink(world, clients, &adversary) }
        outcome.faults = adversary.counts
        let civil = WallTime(
            milliseconds: SimulatedWallClock.startMilliseconds
                + world.world.now.nanoseconds / 1_000_000)
        clients.withEvidence { $0.checkClocks(world, now: civil, tolerance: stampTolerance) }
    }

    /// All but one peer leave, as many at once as there are, and take nothing with them.
    private static func shrink(
        _ world: TableWorld, _ clients: TableClients, _ adversary: inout TableAdversary
    ) {
        let deadline = world.world.now + recovery
        clients.withEvidence { $0.look(at: world) }
        while !adversary.shrink(clients.withEvidence { $0 }) {
            guard world.world.now < deadline else {
                clients.withEvidence {
                    $0.violate(
                        "Converge", "peers that drain are needed for ever: \($0.standings(world))")
                }
                return
            }
            clients.step()
            world.world.run(for: pace)
            clients.withEvidence { $0.look(at: world) }
        }
        if !clients.readEverything(limit: .seconds(10)) {
            clients.withEvidence { $0.violate("AckedDurable", "the last peer has not all rows") }
        }
    }

    /// Runs until there are as many partitions as there should be, and of each the newest view has as
    /// many members, or more where some left and nobody could take their seats; who all hold it.
    private static func settle(
        _ world: TableWorld, _ clients: TableClients, _ limit: Duration
    ) -> Bool {
        let deadline = world.world.now + limit
        while world.world.now < deadline {
            world.world.run(for: .milliseconds(50))
            let isWhole = clients.withEvidence { evidence in
                evidence.look(at: world)
                return evidence.newest.allSatisfy { $0.members.count >= world.viewSize }
                    && evidence.hasConverged(world) && evidence.hasSplit(world)
            }
            if isWhole { return true }
        }
        return false
    }
}
