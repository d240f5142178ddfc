internal import CyxCore
internal import CyxOverlay
internal import CyxTables

/// Mending how full segments lie.
extension Repairer {
    /// Copies the shard of `entry` to a peer where less of the segment lies, and lets its holder go.
    /// True also when that turned out not to be needed, or not to be possible now.
    func move(_ entry: HolderEntry, of id: SegmentID) async throws -> Bool {
        await load(id)
        guard let segment = watched(id), segment.crowded == entry else { return true }
        let shard = ShardID(segment: id, index: entry.index)
        let copier = ShardCopier(
            context: context, shape: segment.shape, signedCore: segment.signedCore)
        guard let target = target(for: shard, instead: entry, segment) else { return false }
        let holder: SegmentRebuilder.Holder
        do throws(ShardCopier.Failure) {
            holder = try await copier.copy(
                shard, to: target, read: copier.reader(of: shard, at: entry.peer))
        } catch {
            if case .badSource = error { noteBad(shard, at: entry.peer) }
            throw error
        }
        try await context.tables.merge(
            ObjectRows.holders(id),
            [
                MergeElement(
                    element: holder.entry.element, value: holder.receipt.protobufBytes()),
                MergeElement(element: entry.element, value: nil),
            ])
        context.environment.metrics.counter("cyxcloud_shards_moved_total").add()
        await load(id)
        return true
    }

    /// Where a shard would lie well: not in its own zone, unless two of one peer are to be parted.
    private func target(
        for shard: ShardID, instead entry: HolderEntry, _ segment: RepairMachine.Segment
    ) -> PeerID? {
        let snapshot = context.membership.snapshot
        let others = segment.entries.filter { $0 != entry }
        var zones: [String: Int] = [:]
        for peer in Set(others.map(\.peer)) {
            if let zone = snapshot.members[peer]?.info.zone { zones[zone, default: 0] += 1 }
        }
        let candidates = context.candidates(
            in: snapshot, avoiding: Set(segment.entries.map(\.peer)).union(segment.distrusted))
        let cap = Placement.zoneCap(
            segment.shape.code, zones: Set(snapshot.storers.map(\.info.zone)).count)
        let roomy = candidates.filter { zones[$0.info.zone, default: 0] < cap }
        let placement = Placement.choose(
            1, of: roomy, for: shard.segment, code: segment.shape.code, used: zones,
            order: context.placementOrder(in: snapshot))
        return placement?.holders.first
    }

    /// Strikes holders that nobody needs from the rows.
    func release(_ entries: [HolderEntry], of id: SegmentID) async throws -> Bool {
        await load(id)
        guard let segment = watched(id), segment.surplus == entries else { return true }
        try await context.tables.merge(
            ObjectRows.holders(id),
            entries.map { MergeElement(element: $0.element, value: nil) })
        await load(id)
        return true
    }
}
