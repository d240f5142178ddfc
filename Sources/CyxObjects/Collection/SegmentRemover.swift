internal import CyxCore
internal import CyxOverlay
internal import CyxTables

/// Condemns segments that nothing refers to, and removes those that are condemned: first at their
/// holders, by an order that the owner signs, then their rows.
struct SegmentRemover: Sendable {
    private static let nameBytes = 16

    let references: SegmentReferences

    private var context: ObjectContext { references.context }

    /// True when the segment is gone; false when something refers to it.
    ///
    /// `hints`: who may hold shards beside those in the segment's row. Throws `unavailable` when a
    /// holder was not told, unless `isLastAttempt`: such a holder finds out by itself.
    func remove(
        _ segment: SegmentID, hints: [PeerID], isLastAttempt: Bool
    ) async throws -> Bool {
        var condemnation = SegmentCondemnation(
            name: context.environment.random.bytes(SegmentRemover.nameBytes),
            rules: context.collection)
        while true {
            switch condemnation.step {
            case .readReferences:
                let isReferredTo = try await !references.read(segment).isEmpty
                condemnation.read(isReferredTo: isReferredTo && context.keeps(.sparesNeeded))
            case .condemn, .revive, .confirm:
                condemnation.found(try await apply(condemnation, to: segment))
            case .kept: return false
            case .condemned:
                try await discard(segment, hints: hints, isLastAttempt: isLastAttempt)
                return true
            }
        }
    }

    private func apply(
        _ condemnation: SegmentCondemnation, to segment: SegmentID
    ) async throws(TableError) -> SegmentLife {
        let signing = references.keys.signing
        let state = try await context.tables.update(ObjectRows.core(segment)) { state in
            guard let value = state.value,
                let next = condemnation.change(SegmentShape.life(value)),
                let changed = SegmentShape.changed(value, of: segment, to: next, by: signing)
            else { return .abandon }
            return .set(changed)
        }
        return SegmentShape.life(state.value)
    }

    /// The rows go last: while a holder has not been told, the segment can still be found.
    private func discard(
        _ segment: SegmentID, hints: [PeerID], isLastAttempt: Bool
    ) async throws {
        let entries = try await context.holders(of: segment).map(\.entry)
        let statement = SegmentDeletion.signed(segment, by: references.keys.signing)
        let peers = Set(entries.map(\.peer)).union(hints).sorted()
        let snapshot = context.membership.snapshot
        let untold = await withTaskGroup(of: Bool.self, returning: Int.self) { group in
            for peer in peers where snapshot.mayBeThere(peer) {
                group.addTask { [context] in
                    do throws(ShardClient.Failure) {
                        try await context.client.delete(statement, at: peer)
                        return true
                    } catch { return false }
                }
            }
            var untold = 0
            for await isTold in group where !isTold { untold += 1 }
            return untold
        }
        guard untold == 0 || isLastAttempt else {
            throw ObjectError.unavailable("\(untold) holders were not told of a deletion")
        }
        _ = try await context.tables.update(ObjectRows.core(segment)) { state in
            state.value == nil ? .abandon : .delete
        }
        guard !entries.isEmpty else { return }
        try await context.tables.merge(
            ObjectRows.holders(segment),
            entries.map { MergeElement(element: $0.element, value: nil) })
    }
}
