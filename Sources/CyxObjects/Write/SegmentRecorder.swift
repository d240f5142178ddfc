internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Writes the rows of a stored segment: its core, its holders and its first reference (B2: before
/// any manifest).
struct SegmentRecorder: Sendable {
    let context: ObjectContext
    let claims: SegmentClaims

    /// Makes sure that n − ⌊m/2⌋ holders have the segment, then writes its rows.
    func record(_ stored: StoredSegment) async throws -> StoredSegment {
        var segment = stored
        if segment.durable < segment.shape.code.acknowledged, context.keeps(.acknowledgesDurable) {
            segment = try await mended(segment)
        }
        let final = segment
        // A claim that begins with the state reads it when there is one.
        let isFirst =
            context.collection.refersBeforeReadingState && context.keeps(.claimsBeforeHeads)
        async let early = isFirst ? claims.begin(final.shape.id) : nil
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withTables { () async throws(TableError) in
                    try await context.tables.create(
                        ObjectRows.core(final.shape.id), final.signedCore)
                }
            }
            group.addTask {
                try await withTables { () async throws(TableError) in
                    try await context.tables.merge(
                        ObjectRows.holders(final.shape.id), final.elements)
                }
            }
            try await group.waitForAll()
        }
        segment.claim =
            if let claim = try await early { claim } else {
                try await claims.begin(final.shape.id)
            }
        return segment
    }

    /// Rebuilds missing shards from those that are there.
    private func mended(_ stored: StoredSegment) async throws -> StoredSegment {
        var segment = stored
        let rebuilder = SegmentRebuilder(
            context: context, shape: segment.shape, signedCore: segment.signedCore)
        let missing = segment.holders.indices.filter { segment.holders[$0] == nil }
        let sources = segment.holders.enumerated().compactMap { index, holder in
            holder.map { (index: index, peer: $0.entry.peer) }
        }
        let rebuilt = try await rebuilder.rebuild(missing, from: sources)
        for holder in rebuilt { segment.holders[holder.entry.index] = holder }
        guard segment.durable >= segment.shape.code.acknowledged else {
            throw ObjectError.unavailable(
                "only \(segment.durable) of \(segment.shape.code.shards) shards are durable")
        }
        return segment
    }
}
