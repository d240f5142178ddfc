import CyxCore
import SimulationHarness
import Testing

@testable import CyxGateway

/// In virtual time: how long a stream goes on that nobody listens to.
@Suite struct EventLingerTests {
    private static let source = EventHub.Source.bucket(account: "a", name: "b")

    private func listen(
        _ hub: EventHub, _ changes: ScriptedChanges, after position: EventPosition?,
        _ world: SimulatedWorld, _ peer: SimulatedPeer
    ) throws -> (listener: UInt64, EventHub.Beginning) {
        try world.perform(on: peer) {
            await hub.listen(
                to: Self.source, changes: changes, prefix: "", after: position?.text
            ) { _, _ in }
        }
    }

    @Test(arguments: [
        (EventHub.linger - .seconds(1), true), (EventHub.linger + .seconds(1), false),
    ])
    func whoComesBackInTimeHasMissedNothing(gone: Duration, isInTime: Bool) throws {
        let world = SimulatedWorld(seed: 1)
        defer { world.end(grace: .milliseconds(100)) }
        let peer = world.addPeer()
        let changes = ScriptedChanges()
        let hub = EventHub(environment: peer.environment) { .object([]) }
        _ = world.spawn(peer) { try await hub.run() }
        let (first, beginning) = try listen(hub, changes, after: nil, world, peer)
        guard case .at(let position, _) = beginning else {
            Issue.record("\(beginning)")
            return
        }
        // As long as somebody listens there is no end to it.
        world.run(for: EventHub.linger * 2)
        try world.perform(on: peer) { await hub.leave(Self.source, first) }
        let now = peer.environment.wallTime()
        changes.tell([ScriptedChanges.write("missed", modified: now)])
        world.run(for: gone)
        let (_, again) = try listen(hub, changes, after: position, world, peer)
        switch again {
        case .at(_, let missed):
            #expect(isInTime)
            #expect(missed.map(\.event.key) == ["missed"])
        case .lost: #expect(!isInTime)
        case .tooMany: Issue.record("one stream is not too many")
        }
    }
}
