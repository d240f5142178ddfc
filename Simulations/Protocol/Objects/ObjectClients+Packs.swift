import CyxCore
import CyxObjects
import SimulationHarness

/// Puts that come together in a world of objects, and share segments.
extension ObjectClients {
    static let sharedSegments = "looks at segments that keys share"
    /// Keys that are put together in a world of packs, after the shared ones.
    static let packed = 12

    private static let size = 5000
    /// Of some hundred steps, in how many there is a put of many keys, and another operation on one.
    private static let puts = 2
    private static let others = 6

    private static var packedKeys: Range<Int> { shared..<shared + packed }

    /// Leaves segments that several keys share, so that what holds at rest is held against them, too.
    func settlePacks(limit: Duration) {
        guard let peer = world.gateways.first, let gateway = peer.gateway else { return }
        let task = run(peer.machine) {
            await self.putTogether(Array(0..<Self.shared), gateway)
        }
        world.world.run(limit: limit) { task.result != nil }
    }

    func putTogether(_ gateway: ObjectGateway) async {
        await putTogether(Array(0..<Self.shared), gateway)
    }

    /// Puts keys at once: the gateway stores the last of them together.
    private func putTogether(_ keys: [Int], _ gateway: ObjectGateway) async {
        let keys = with { records in keys.filter { records.keys[$0].updates < Self.updatesMax } }
        await withTaskGroup(of: Void.self) { group in
            for key in keys {
                group.addTask {
                    do {
                        let size = Self.size * (key % Self.packed + 1)
                        try await self.put(key, .nothing, size, gateway)
                    } catch { self.with { $0.count("puts among others failed") } }
                }
            }
        }
    }

    // MARK: A world of packs

    /// Puts many keys at once, or changes or reads one of them. The first ones are seldom put again:
    /// what is left of old packs is theirs, and is moved.
    func stepPacks(_ running: [ObjectPeer]) {
        let (peer, action, chances) = draw { generator in
            (
                Int.random(in: 0..<running.count, using: &generator),
                Int.random(in: 0..<100, using: &generator),
                Self.packedKeys.map { _ in Int.random(in: 0..<Self.packed, using: &generator) }
            )
        }
        guard let gateway = running[peer].gateway else { return }
        let machine = running[peer].machine
        let keys = zip(Self.packedKeys, chances).filter { $0 - Self.shared >= $1 }.map(\.0)
        if action < Self.puts {
            note(run(machine) { await self.putTogether(keys, gateway) }, on: machine)
        } else if action < Self.puts + Self.others {
            let key = Self.shared + chances[0]
            let isFull = with { $0.keys[key].updates >= Self.updatesMax }
            let deletes = !isFull && action == Self.puts
            let task = run(machine) {
                if deletes {
                    try await self.delete(key, gateway)
                } else {
                    try await self.get(key, gateway)
                }
            }
            note(task, on: machine)
        }
    }

    /// What became of all packs.
    func countPacks() {
        for (name, metric) in [
            ("packs stored", "cyxcloud_packs_total"),
            ("packs moved", "cyxcloud_packs_rewritten_total"),
            ("segments collected", "cyxcloud_collected_segments_total"),
        ] {
            let count = world.gateways.reduce(0) { $0 + $1.machine.metrics.counter(metric).value }
            with { $0.counts[name] = Int(count) }
        }
    }
}
