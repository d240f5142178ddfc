internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Mending how full segments lie.
extension Repairer {
    /// Copies the shard of `entry` to a peer where less of the segment lies, and lets its holder go.
    /// True also when that turned out not to be needed, or not to be possible now.
    func move(_ entry: HolderEntry, of id: SegmentID) async throws -> Bool {
        guard await load(id) || !context.keeps(.repairsByQuorum) else { return false }
        guard let segment = machine.segments[id], segment.crowded == entry else { return true }
        guard segment.hasQuorum else { return false }
        let shard = ShardID(segment: id, index: entry.index)
        let copier = ShardCopier(
            context: context.with(.background), shape: segment.shape,
            signedCore: segment.signedCore)
        let isLeaving = segment.leaving.contains(entry)
        // What it has must not count for its zone, or the only zone with room could be passed over.
        let others = segment.entries.filter { $0 != entry }
        // Who had a bad shard of it comes last: a zone with too much is likelier to be lost.
        let target = [machine.distrusted(segment, peers), []].lazy.compactMap { distrusted in
            self.context.replacementHolder(
                for: shard, segment.shape, beside: others,
                avoiding: distrusted.union([entry.peer]), mayDouble: isLeaving)
        }.first { isLeaving || self.improves(entry, $0, others) }
        guard let target else { return false }
        let holder: SegmentRebuilder.Holder
        do throws(ShardCopier.Failure) {
            holder = try await copier.copy(
                shard, to: target, read: copier.reader(of: shard, at: entry.peer))
        } catch {
            if error == .badSource || error == .source(.garbage) { noteBad(shard, at: entry.peer) }
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

    /// Whether the shard would lie better there: in another zone, or parted from its peer's other.
    private func improves(
        _ entry: HolderEntry, _ target: PeerID, _ others: [HolderEntry]
    ) -> Bool {
        let members = context.membership.snapshot.members
        return members[target]?.info.zone != members[entry.peer]?.info.zone
            || others.contains { $0.peer == entry.peer }
    }

    /// Strikes holders that nobody needs from the rows.
    ///
    /// That is the release of B4, without signatures of its own: only custodians, the owner and the
    /// holder may strike an entry, a struck one never comes back, and a holder believes it of a quorum
    /// (`HolderCollector`), which f + 1 custodians of those that answer are part of. Nor does a peer that
    /// returns announce what it has: its entries name its store, and count again once membership sees
    /// it; those that were struck meanwhile it learns of as any holder does.
    func release(_ entries: [HolderEntry], of id: SegmentID) async throws -> Bool {
        guard await load(id) || !context.keeps(.repairsByQuorum) else { return false }
        guard let segment = machine.segments[id], segment.surplus == entries else { return true }
        try await context.tables.merge(
            ObjectRows.holders(id),
            entries.map { MergeElement(element: $0.element, value: nil) })
        await load(id)
        return true
    }
}
