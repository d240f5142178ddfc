import CyxCore
import CyxObjects
import CyxStorage
import SimulationHarness

/// Holds what was just acknowledged against the disks (Committed of `decisions.md` §C).
enum CommitEvidence {
    /// What is wrong with an object that was acknowledged a moment ago.
    static func violations(
        _ name: String, _ placement: [SegmentPlacement], _ cluster: Cluster
    ) -> [String] {
        placement.compactMap { segment in
            let durable = segment.holders.filter { entry in
                guard let peer = cluster.peer(entry.peer) else { return false }
                // Whoever crashed since may have had it until then.
                return !peer.isRunning || holds(peer, segment.segment, entry)
            }
            let count = Set(durable.map(\.index)).count
            guard count < segment.code.acknowledged else { return nil }
            return "Committed: \(name) was acknowledged with \(count) of "
                + "\(segment.code.acknowledged) shards on disks"
        }
    }

    private static func holds(
        _ peer: SimulatedPeer, _ segment: SegmentID, _ entry: HolderEntry
    ) -> Bool {
        // A disk that was replaced since may have had it, too.
        let store = peer.disk.value(of: ShardLayout.storeID, in: "shards")
        guard store == entry.store.bytes else { return true }
        let rows = ShardLayout.rows(of: segment, index: UInt8(entry.index))
        return !peer.disk.entries(in: "shards", rows).isEmpty
    }
}
