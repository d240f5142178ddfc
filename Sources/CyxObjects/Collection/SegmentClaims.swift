internal import CyxCore
internal import CyxTables

/// Carries out the claims of one write on its segments.
struct SegmentClaims: Sendable {
    /// Segments whose claims are carried out at once.
    static let concurrency = 16

    let references: SegmentReferences
    let reference: SegmentReference

    private var context: ObjectContext { references.context }

    /// A claim's first step, at the latest when the segment is registered.
    func begin(_ segment: SegmentID) async throws -> SegmentClaim {
        var claim = SegmentClaim(rules: context.collection)
        try await advance(&claim, segment)
        return claim
    }

    /// The steps that are left, before anything that names the segments becomes visible. Throws
    /// `unavailable` if one was collected meanwhile: then the bytes have to be stored anew.
    func finish(_ segments: [StoredSegment]) async throws {
        var rest = segments[...]
        while !rest.isEmpty {
            let batch = rest.prefix(SegmentClaims.concurrency)
            rest = rest.dropFirst(SegmentClaims.concurrency)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for segment in batch { group.addTask { try await finish(segment) } }
                try await group.waitForAll()
            }
        }
    }

    private func finish(_ segment: StoredSegment) async throws {
        guard var claim = segment.claim else { preconditionFailure("a segment without a claim") }
        while claim.step != .granted {
            guard claim.step != .refused else {
                throw ObjectError.unavailable("a segment was collected while it was written")
            }
            try await advance(&claim, segment.shape.id)
        }
    }

    private func advance(_ claim: inout SegmentClaim, _ segment: SegmentID) async throws {
        do throws(TableError) {
            switch claim.step {
            case .refer:
                try await references.write(reference, to: segment)
                claim.referred()
            case .readState:
                let state = try await context.tables.read(ObjectRows.core(segment))
                claim.read(SegmentShape.life(state.value))
            case .unrefer:
                try await references.remove([reference.element(of: segment)], of: segment)
                claim.unreferred()
            case .granted, .refused: break
            }
        } catch { throw ObjectError(error) }
    }
}
