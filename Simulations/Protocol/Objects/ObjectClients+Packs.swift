import CyxObjects
import SimulationHarness

/// Puts that come together in a world of objects, and share segments.
extension ObjectClients {
    static let sharedSegments = "looks at segments that keys share"

    private static let size = 5000

    /// Leaves segments that several keys share, so that what holds at rest is held against them, too.
    func settlePacks(limit: Duration) {
        guard let peer = world.gateways.first, let gateway = peer.gateway else { return }
        let task = run(peer.machine) {
            await self.putTogether(Array(0..<Self.shared), gateway)
        }
        world.world.run(limit: limit) { task.result != nil }
    }

    func putTogether(_ gateway: ObjectGateway) async {
        let keys = with { records in
            (0..<Self.shared).filter { records.keys[$0].updates < Self.updatesMax }
        }
        await putTogether(keys, gateway)
    }

    /// Puts keys at once: the gateway stores the last of them together.
    private func putTogether(_ keys: [Int], _ gateway: ObjectGateway) async {
        await withTaskGroup(of: Void.self) { group in
            for key in keys {
                group.addTask {
                    do {
                        try await self.put(key, .nothing, Self.size * (key + 1), gateway)
                    } catch { self.with { $0.count("puts among others failed") } }
                }
            }
        }
    }
}
