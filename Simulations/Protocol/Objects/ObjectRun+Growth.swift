import CyxCore
import SimulationHarness

/// Growth from one storage peer to fourteen, and back to one.
extension ObjectRun {
    private static let grownStorers = 14
    /// Between one peer's coming and the next one's.
    private static let stride = Duration.milliseconds(700)
    /// Nothing that loses data for good: in the beginning there is one copy.
    private static let nemeses: [ObjectNemesis] = [
        .crashes, .falseDeaths, .gatewayCrashes, .oneWayBlocks, .clogs, .replays, .loss,
    ]

    static func growAndShrink(
        _ world: ObjectWorld, _ clients: ObjectClients, _ outcome: inout ObjectOutcome
    ) {
        var adversary = ObjectAdversary(
            world: world, clients: clients, favouring: [], among: nemeses)
        while world.storers.count < grownStorers {
            let end = world.world.now + stride
            while world.world.now < end {
                adversary.step()
                goOn(world, clients)
            }
            adversary.grow()
            if clients.with({ !$0.violations.isEmpty }) { break }
        }
        adversary.stop()
        defer { outcome.faults = adversary.counts }
        if clients.with({ !$0.violations.isEmpty }) { return }
        rest(world, clients, &adversary)
        if clients.with({ !$0.violations.isEmpty }) { return }
        shrink(world, clients, &adversary)
    }

    private static func goOn(_ world: ObjectWorld, _ clients: ObjectClients) {
        clients.step()
        world.world.run(for: pace)
    }

    /// All but one peer leave, all at once, and hand over what they have.
    private static func shrink(
        _ world: ObjectWorld, _ clients: ObjectClients, _ adversary: inout ObjectAdversary
    ) {
        adversary.sendAllButOneAway()
        let deadline = world.world.now + recovery
        while world.storers.count > 1 {
            guard world.world.now < deadline else {
                let stays = adversary.leaving.map { departureState(world, $0) }
                return clients.with {
                    $0.violate("Converge", "peers that leave are needed for ever: \(stays)")
                }
            }
            adversary.takeLeave()
            goOn(world, clients)
        }
        let unread = clients.readEverything(limit: .seconds(40))
        clients.with { records in
            records.check("AckedDurable")
            if let first = unread.first {
                records.violate("AckedDurable", "the last peer cannot give \(first)")
            }
        }
    }
}
