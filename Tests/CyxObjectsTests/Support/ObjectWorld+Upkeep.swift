import CyxCore
import CyxObjects
import CyxStorage
import CyxTables
import SimulationHarness
import Synchronization
import Testing

extension ObjectTimings {
    /// Collection within seconds.
    static let hastyCollection: ObjectTimings = {
        var timings = ObjectTimings.devnet
        timings.unfinishedUpload = .seconds(16)
        timings.collection.grace = .seconds(20)
        timings.collection.fence = .seconds(90)
        timings.collection.pause = .milliseconds(20)
        timings.collection.unregistered = .seconds(10)
        timings.collection.sweep = (.milliseconds(20), .seconds(2))
        timings.collection.recheck = .seconds(20)
        timings.collection.trash = .seconds(6)
        timings.leases = LeaseTimings(
            grace: .seconds(20), settle: .seconds(10), memory: .seconds(1), look: .seconds(2))
        return timings
    }()
}

extension ObjectWorld {
    /// Rows of objects by table that still hold something.
    func rows() -> [TableID: Int] {
        let tables: [TableID] = [
            .heads, .versions, .manifests, .layouts, .segments, .holders, .references, .uploads,
            .parts,
            .pins,
        ]
        return shared.state.withLock { state in
            var counts: [TableID: Int] = [:]
            for key in state.registers.keys where state.registers[key]?.value != nil {
                counts[key.table, default: 0] += 1
            }
            for (key, row) in state.merges where row.contains(where: { $0.value != nil }) {
                counts[key.table, default: 0] += 1
            }
            return counts.filter { tables.contains($0.key) }
        }
    }

    /// Elements that refer to segments.
    var referenceCount: Int {
        shared.state.withLock { state in
            state.merges.filter { $0.key.table == .references }.values.reduce(0) { sum, row in
                sum + row.count { $0.value != nil }
            }
        }
    }

    /// What all stores hold together.
    func usage() throws -> (used: Int64, trash: Int64) {
        var sum: (used: Int64, trash: Int64) = (0, 0)
        for node in nodes {
            let store = store(node)
            let usage = try world.perform(on: node.peer) { await store.usage }
            #expect(usage.used + usage.trash + usage.free == usage.allocated)
            sum.used += usage.used
            sum.trash += usage.trash
        }
        return sum
    }

    /// Holds the first read or write of a table's rows back for so long.
    func stallOnce(_ table: TableID, isWrite: Bool, for span: Duration) {
        let environment = gatewayNode.peer.environment
        let isFirst = Mutex(true)
        shared.state.withLock { state in
            state.stall = { key, isWriting in
                guard key.table == table, isWriting == isWrite,
                    isFirst.withLock({ first in
                        defer { first = false }
                        return first
                    })
                else { return }
                do { try await environment.sleep(for: span) } catch {}
            }
        }
    }
}
