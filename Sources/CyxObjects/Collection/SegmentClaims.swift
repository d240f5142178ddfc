internal import CyxCore
internal import CyxTables

/// A segment that somebody refers to is on its way out, or gone.
struct SegmentCollected: Error {}

/// Carries out the claims of one write on its segments, or of several writes on one that they share.
struct SegmentClaims: Sendable {
    /// Segments whose claims are carried out at once.
    static let concurrency = 16

    let references: SegmentReferences
    let owners: [SegmentReference]

    private var context: ObjectContext { references.context }

    /// All steps for segments that others registered. Throws `SegmentCollected` if one goes.
    func make(_ segments: [SegmentID]) async throws {
        try await forEach(segments) { segment in
            var claim = SegmentClaim(rules: context.collection)
            try await finish(&claim, segment)
        }
    }

    /// A claim's first step, at the latest when the segment is registered.
    func begin(_ segment: SegmentID) async throws -> SegmentClaim {
        var rules = context.collection
        if !context.keeps(.claimsBeforeHeads) { rules.refersBeforeReadingState = false }
        var claim = SegmentClaim(rules: rules)
        try await advance(&claim, segment)
        return claim
    }

    /// The steps that are left, before anything that names the segments becomes visible. Throws
    /// `unavailable` if one was collected meanwhile: then the bytes have to be stored anew.
    func finish(_ segments: [StoredSegment]) async throws {
        do {
            try await forEach(segments) { segment in
                guard var claim = segment.claim else {
                    preconditionFailure("a segment without a claim")
                }
                try await finish(&claim, segment.shape.id)
            }
        } catch is SegmentCollected {
            throw ObjectError.unavailable("a segment was collected while it was written")
        }
    }

    private func forEach<Element: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async throws -> Void
    ) async throws {
        var rest = elements[...]
        while !rest.isEmpty {
            let batch = rest.prefix(SegmentClaims.concurrency)
            rest = rest.dropFirst(SegmentClaims.concurrency)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for element in batch { group.addTask { try await body(element) } }
                try await group.waitForAll()
            }
        }
    }

    private func finish(_ claim: inout SegmentClaim, _ segment: SegmentID) async throws {
        while claim.step != .granted {
            guard claim.step != .refused else { throw SegmentCollected() }
            try await advance(&claim, segment)
        }
    }

    private func advance(_ claim: inout SegmentClaim, _ segment: SegmentID) async throws {
        do throws(TableError) {
            switch claim.step {
            case .refer:
                try await references.write(owners, to: segment)
                claim.referred()
            case .readState:
                let state = try await context.tables.read(ObjectRows.core(segment))
                claim.read(SegmentShape.life(state.value))
            case .unrefer:
                try await references.remove(
                    owners.map { $0.element(of: segment) }, of: segment)
                claim.unreferred()
            case .granted, .refused: break
            }
        } catch { throw ObjectError(error) }
    }
}
