import CyxCore
import CyxObjects
import SimulationHarness

/// An account's lease ends while peers crash and links fail: what it stored goes, not before the grace
/// is over, and whoever renews the lease before the trash is emptied has it all back.
extension ObjectRun {
    /// Nothing that loses data for good, nor keeps a gateway from all of its rows for long.
    private static let lapseNemeses: [ObjectNemesis] = [
        .crashes, .falseDeaths, .oneWayBlocks, .clogs, .replays, .loss,
    ]
    /// How long after the grace's end everybody has deleted, at most.
    private static let lapse = Duration.seconds(60)

    static func endLease(
        _ world: ObjectWorld, _ clients: ObjectClients, _ account: inout LeasedAccount,
        _ outcome: inout ObjectOutcome
    ) {
        guard !account.hasLapsed else {
            return clients.with { $0.count("leases that ended under faults") }
        }
        let unread = account.unread(limit: .seconds(40))
        clients.with { records in
            records.check("AckedDurable")
            if let first = unread.first {
                records.violate("AckedDurable", "\(first), which is leased, cannot be read")
            }
        }
        // What a gateway or a peer lost last may be under repair still.
        let patience = world.peers.contains(where: \.hasLostFlushes) ? silentRecovery : recovery
        let isWhole = settle(world, patience, every: .seconds(1)) {
            account.look()
            return account.locate() && account.incomplete().isEmpty
        }
        clients.with { records in
            records.check("Converge")
            guard !isWhole else { return }
            records.violate("Converge", "shards of a leased segment are not rebuilt")
        }
        guard unread.isEmpty, isWhole else { return }
        var adversary = ObjectAdversary(
            world: world, clients: clients, favouring: [], among: lapseNemeses)
        defer { outcome.faults.merge(adversary.counts, uniquingKeysWith: +) }
        if let delay = account.drawReturn() {
            renewLate(world, clients, &account, &adversary, after: delay)
        }
        if clients.with({ !$0.violations.isEmpty }) { return }
        account.stop()
        keepUntilEnd(world, clients, &account, &adversary)
        go(world, clients, &account, &adversary)
        clients.with { $0.count("leases ended") }
    }

    /// Nothing may be gone before the grace is over.
    private static func keepUntilEnd(
        _ world: ObjectWorld, _ clients: ObjectClients, _ account: inout LeasedAccount,
        _ adversary: inout ObjectAdversary
    ) {
        while account.now <= account.end {
            goOn(world, &account, &adversary)
            let missing = account.incomplete()
            // Holders may have looked since.
            guard account.now <= account.end else { return }
            clients.with { records in
                records.check("LeaseKept")
                guard let first = missing.first else { return }
                records.violate("LeaseKept", "shards of \(first) are gone before its lease's end")
            }
            if !missing.isEmpty { return }
        }
    }

    private static func goOn(
        _ world: ObjectWorld, _ account: inout LeasedAccount, _ adversary: inout ObjectAdversary
    ) {
        adversary.step()
        world.world.run(for: pace)
        account.look()
    }

    /// The account's gateway comes back once the first holder has deleted something, and before any
    /// empties its trash.
    private static func renewLate(
        _ world: ObjectWorld, _ clients: ObjectClients, _ account: inout LeasedAccount,
        _ adversary: inout ObjectAdversary, after delay: Duration
    ) {
        account.stop()
        let stopped = account.now
        keepUntilEnd(world, clients, &account, &adversary)
        let deadline = world.world.now + lapse
        while account.firstDeletion(since: stopped) == nil, world.world.now < deadline {
            goOn(world, &account, &adversary)
        }
        let return_ = world.world.now + delay
        while world.world.now < return_ { goOn(world, &account, &adversary) }
        adversary.stop()
        let former = account.end
        account.start()
        let isBack = settle(world, lapse) {
            account.look()
            return account.end > former && !account.isInTrash && account.incomplete().isEmpty
        }
        let unread = account.unread(limit: .seconds(20))
        clients.with { records in
            records.check("LeaseKept")
            records.count("leases renewed late")
            guard !isBack || !unread.isEmpty else { return }
            records.violate(
                "LeaseKept",
                "a lease was renewed in time, and \(unread.first ?? "something in the trash") did not "
                    + "come back")
        }
    }

    /// Once the grace is over all of it goes, and nothing of anybody else does.
    private static func go(
        _ world: ObjectWorld, _ clients: ObjectClients, _ account: inout LeasedAccount,
        _ adversary: inout ObjectAdversary
    ) {
        let stopped = world.world.now
        while world.world.now < stopped + lapse / 4 { goOn(world, &account, &adversary) }
        adversary.stop()
        let isGone = settle(world, lapse) {
            account.look()
            return !account.isInTrash
                && account.segments.allSatisfy { placement in
                    (0..<placement.code.shards).allSatisfy { index in
                        world.storers.allSatisfy { !$0.holds(placement.segment, index) }
                    }
                }
        }
        let lost = clients.readEverything(limit: .seconds(40))
        clients.with { records in
            records.check("LeaseEnds")
            if !isGone {
                records.violate("LeaseEnds", "something lies on disks long after its lease's end")
            }
            if let first = lost.first {
                records.violate("AckedDurable", "\(first), which is another's, cannot be read")
            }
        }
    }
}
