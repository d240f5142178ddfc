import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness

/// Nothing that an honest peer believes was made by somebody without the key for it (Unforgeable).
extension ObjectEvidence {
    /// What custodians keep and tell readers.
    static func checkForgeries(_ world: ObjectWorld, _ records: inout ObjectRecords) {
        for (key, values) in world.forgeries.rows {
            records.check("Unforgeable")
            let believer = world.storers.first { peer in
                value(of: key, at: peer).map { values.contains($0) } ?? false
            }
            guard let believer else { continue }
            records.violate(
                "Unforgeable", "\(believer.machine.name) keeps a forged row of \(key.table)")
        }
    }

    private static func value(of key: RowKey, at peer: ObjectPeer) -> [UInt8]? {
        do {
            guard let bytes = peer.machine.disk.value(of: StorageKey.row(key), in: "tables"),
                case .register(let record) = try StoredRow(table: key.table, bytes: bytes).content
            else { return nil }
            return record.value
        } catch { return nil }
    }

    /// What a gateway was told of where segments lie.
    static func checkForgeries(
        _ placements: [SegmentPlacement], _ world: ObjectWorld, _ records: inout ObjectRecords
    ) {
        records.check("Unforgeable")
        for placement in placements {
            let forged = placement.holders.first {
                world.forgeries.contains($0, of: placement.segment)
            }
            guard let entry = forged else { continue }
            return records.violate(
                "Unforgeable",
                "a gateway takes \(entry.peer) for a holder of \(placement.segment)/\(entry.index)")
        }
    }
}
