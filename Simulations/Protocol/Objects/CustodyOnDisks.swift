import CyxCore
import CyxTables
import SimulationHarness

/// Whose rows tell what a world of objects knows, going by the views on all disks.
///
/// What lies with former custodians tells nothing once a later view holds the rows: all its members may
/// have deleted and forgotten (A6) what those still have.
struct CustodyOnDisks {
    private var replicas: [(peer: PeerID, replica: Replica)] = []

    init(_ peers: [ObjectPeer]) {
        for peer in peers where peer.isStoring && !peer.isGone {
            for entry in peer.machine.disk.entries(in: "tables", StorageKey.replicas) {
                // What a torn write left is no replica, and its peer tells nothing.
                do {
                    replicas.append((peer.id, try Replica(bytes: entry.value)))
                } catch { continue }
            }
        }
    }

    /// Whether `peer` is of the newest view of which a member has all rows of a position, or of one
    /// after it.
    func mayTell(_ peer: PeerID, of position: Digest) -> Bool {
        let here = replicas.filter { $0.replica.partition.contains(position) }
        guard
            let newest = here.filter(\.replica.isSynced).map(\.replica.view.id)
                .max(by: { $1.isNewer(than: $0) })
        else { return true }
        return here.contains { $0.peer == peer && !newest.isNewer(than: $0.replica.view.id) }
    }
}
