import CyxCore
import CyxTables
import SimulationHarness

/// What was acknowledged, held against what lies on the disks.
extension TableEvidence {
    /// Whoever holds a view completely has all that was acknowledged before anyone served it. After a
    /// split, for which no row moves, as many members have it as before.
    mutating func checkSync(
        _ vote: Vote, _ peer: TablePeer, isSplit: Bool, in world: TableWorld
    ) {
        let known = acknowledgedBefore[vote.view] ?? acknowledged.count
        acknowledgedBefore[vote.view] = known
        let view = isSplit ? views[vote.view] : nil
        for entry in acknowledged.prefix(known)
        where entry.version.epoch < vote.view.epoch
            && vote.view.partition.contains(entry.position)
        {
            // Once there is a later view, those of this one may have forgotten what they had.
            if let view, newest(around: entry.position) != view { continue }
            count("SyncComplete")
            let isThere = view.map { holding($0, entry, world) >= $0.quorum } ?? holds(peer, entry)
            if !isThere {
                violate(
                    "SyncComplete",
                    "\(peer.machine.name) serves \(Self.name(vote.view)) without a change of row "
                        + "\(entry.key) from epoch \(entry.version.epoch)")
            }
        }
    }

    /// Members of a view that have a change; a store that was lost since may have held it.
    private func holding(_ view: View, _ entry: Acknowledgment, _ world: TableWorld) -> Int {
        view.members.count { member in
            guard let peer = world.peers.first(where: { $0.id == member.peer }) else {
                return false
            }
            return peer.isGone || peer.store != member.store || holds(peer, entry)
        }
    }

    /// Whether a peer has a change or what came after it, or forgot what came after it: of a row that
    /// is not there its floor speaks.
    private func holds(_ peer: TablePeer, _ entry: Acknowledgment) -> Bool {
        if let record = record(peer, entry.key), record.accepted != .none {
            return record.accepted >= entry.version
        }
        return replica(peer.id, around: entry.position).map { $0.floor >= entry.version } ?? false
    }

    private func record(_ peer: TablePeer, _ key: Int) -> RegisterRecord? {
        let key = StorageKey.row(TableWorld.key(TableWorld.registers, key))
        guard let bytes = peer.machine.disk.value(of: key, in: "tables") else { return nil }
        do {
            guard
                case .register(let record) = try StoredRow(
                    table: TableWorld.registers, bytes: bytes
                ).content
            else { return nil }
            return record
        } catch {
            return nil
        }
    }

    /// A client was told that its change is in effect.
    mutating func acknowledge(_ entry: Acknowledgment, in world: TableWorld) {
        look(at: world)
        acknowledged.append(entry)
        let epoch = entry.version.epoch
        guard epoch > 0, let newest = newest(around: entry.position),
            let view = views.values.first(where: {
                $0.id.epoch == epoch && $0.partition.contains(entry.position)
            })
        else { return }
        if newest == view {
            count("AckedDurable")
            let holding = holding(view, entry, world)
            if holding < view.quorum {
                violate(
                    "AckedDurable",
                    "a change of row \(entry.key) was acknowledged with \(holding) of "
                        + "\(view.quorum) copies on disk")
            }
        }
        guard epoch < entry.servedAtCall else { return }
        count("SealFinal")
        // It may have been carried over and accepted anew.
        let renewed = world.peers.count { peer in
            guard holds(peer, entry) else { return false }
            return record(peer, entry.key).map { $0.accepted.epoch > epoch } ?? true
        }
        if renewed < newest.quorum {
            violate(
                "SealFinal",
                "a change of row \(entry.key), begun when epoch \(entry.servedAtCall) was "
                    + "served, was acknowledged in epoch \(epoch)")
        }
    }

    /// Stamps of rows are never more than what a clock may be ahead (A7).
    mutating func checkClocks(_ world: TableWorld, now: WallTime, tolerance: Int64) {
        for peer in world.peers {
            for (key, value) in peer.machine.disk.entries(in: "tables", StorageKey.allRows) {
                guard let row = StorageKey.decodeRow(key), row.table == TableWorld.merges else {
                    continue
                }
                do {
                    guard
                        case .merge(let row) = try StoredRow(table: row.table, bytes: value).content
                    else { continue }
                    count("ClockBound")
                    for entry in row.items.map(\.entry)
                    where entry.stamp.milliseconds
                        > now.milliseconds + HybridClock.aheadLimit + tolerance
                    {
                        violate(
                            "ClockBound",
                            "\(peer.machine.name) keeps a stamp "
                                + "\(entry.stamp.milliseconds - now.milliseconds) ms ahead")
                    }
                } catch {
                    violate("ClockBound", "\(peer.machine.name) keeps a row that cannot be read")
                }
            }
        }
    }
}
