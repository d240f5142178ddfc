internal import CyxCore
internal import CyxTables

/// Doing what the machine says is due.
extension Repairer {
    func perform(_ task: RepairTask) async {
        let id = task.segment
        var succeeded = false
        do {
            switch task {
            case .rebuild: succeeded = try await rebuild(id)
            case .move(_, let entry): succeeded = try await move(entry, of: id)
            case .release(_, let entries): succeeded = try await release(entries, of: id)
            }
        } catch {
            logger.info(
                "a segment could not be repaired yet",
                [("segment", "\(id)"), ("error", "\(error)")])
        }
        machine.end(id, succeeded: succeeded, now: context.environment.now())
    }

    /// Reads the rows once more, since another custodian may have been faster, then rebuilds. Where
    /// they cannot be read, a quorum may be repairing elsewhere, and nothing is done.
    func rebuild(_ id: SegmentID) async throws -> Bool {
        guard await load(id) || !context.keeps(.repairsByQuorum) else { return false }
        if let segment = machine.segments[id], segment.margin < 0 { await recheck(id) }
        guard let segment = machine.segments[id] else { return true }
        guard segment.margin >= 0, segment.hasQuorum else { return false }
        let missing = segment.missing
        guard !missing.isEmpty else { return true }
        let good = machine.good(segment, peers)
        let rebuilder = SegmentRebuilder(
            context: context.with(segment.urgency), runner: runner, shape: segment.shape,
            signedCore: segment.signedCore)
        let holders = try await rebuilder.rebuild(
            missing, from: good.map { ($0.index, $0.peer) },
            avoiding: machine.distrusted(segment, peers), spoilt: Set(segment.bad.map(\.peer)))
        guard !holders.isEmpty else { return false }
        let added = holders.map {
            MergeElement(element: $0.entry.element, value: $0.receipt.protobufBytes())
        }
        let rebuilt = Set(holders.map(\.entry.index))
        let former = segment.entries + segment.void
        let retired = former.filter { rebuilt.contains($0.index) && !good.contains($0) }
            .map { MergeElement(element: $0.element, value: nil) }
        try await context.tables.merge(ObjectRows.holders(id), added + retired)
        let bytes = UInt64(segment.shape.fileBytes * holders.count)
        repairedBytes += bytes
        movedBytes.add(bytes)
        if let since = segment.missingSince, holders.count == missing.count {
            windows.observe((context.environment.now() - since).inSeconds)
        }
        logger.info(
            "repaired a segment",
            [("segment", "\(id)"), ("shards", "\(holders.count)"), ("bytes", "\(bytes)")])
        await load(id)
        return holders.count == missing.count
    }
}
