internal import CyxCore
internal import CyxOverlay
internal import CyxTables

/// One version's share of a segment that it shares with others.
struct PackShare: Sendable {
    var version: VersionID
    var reference: SegmentReference
    var store: VersionStore
    var layout: LayoutRow
    var placed: PlacedSegment
    /// Which of the segment's chunks are its own.
    var own: Range<Int>

    /// Nil if the version shares no segment: its layout names just one, and that is its own.
    init?(
        _ version: VersionID, _ reference: SegmentReference, _ store: VersionStore,
        _ layout: (segments: [PlacedSegment], row: LayoutRow)
    ) {
        guard layout.segments.count == 1, let placed = layout.segments.first, placed.isShare,
            let own = placed.range(in: placed.core?.chunkLengths.count ?? 0)
        else { return nil }
        self.version = version
        self.reference = reference
        self.store = store
        self.layout = layout.row
        self.placed = placed
        self.own = own
    }
}

/// Moves what is left of a pack into a new one, when more than half of it belonged to versions that are
/// gone: so the space that these still take is less than that of those which stay, but for packs that
/// are younger than collection's grace or pinned. As with re-coding, the chunks stay as they are and
/// only layouts change (B1).
struct PackRewriter: Sendable {
    /// Of a pack's bytes, what is needed must be less than one in so many.
    private static let needed = 2

    let context: ObjectContext
    let references: SegmentReferences
    let fetcher: SegmentFetcher
    let cleaner: Cleaner

    /// Whether so little of the segment is needed that the rest is worth moving.
    static func isWorthwhile(_ shape: SegmentShape, _ shares: [PackShare]) -> Bool {
        guard !shares.isEmpty else { return false }
        let live = shares.reduce(0) { $0 + $1.own.reduce(0) { $0 + shape.chunkLengths[$1] } }
        return live * needed < shape.chunkLengths.reduce(0, +)
    }

    /// Moves the shares; returns the versions that lie elsewhere now.
    func rewrite(_ old: SegmentShape, _ shares: [PackShare]) async throws -> [VersionID] {
        let id = SegmentID.owned(
            by: references.keys.account, random: context.environment.random.digest())
        let stored: StoredSegment
        do {
            stored = try await move(old, shares, to: id)
        } catch {
            await discard(shares.map(\.reference), of: id, shares[0].store)
            throw error
        }
        var moved: [VersionID] = []
        var next = 0
        for share in shares {
            var placed = stored.placed
            if shares.count > 1 {
                placed.firstChunk = UInt32(next)
                placed.chunks = UInt32(share.own.count)
            }
            next += share.own.count
            let sealed = try await share.store.prepareLayout(
                [placed], generation: share.layout.generation + 1, of: share.version)
            switch await share.store.replaceLayout(share.layout, with: sealed, of: share.version) {
            case true?:
                moved.append(share.version)
                await discard([share.reference], of: old.id, share.store)
            case false?: await discard([share.reference], of: id, share.store)
            // Both references stay: collection finds out which of them is needed.
            case nil: continue
            }
        }
        return moved
    }

    private func move(
        _ old: SegmentShape, _ shares: [PackShare], to id: SegmentID
    ) async throws -> StoredSegment {
        let all = old.chunkLengths.indices
        let holders = Digests.split(shares[0].placed.holders).map { $0 == .zero ? nil : PeerID($0) }
        let shards = try await fetcher.fetch(old, old.shardRange(of: all), holders: holders)
        let encoder = SegmentEncoder(
            signer: references.keys.signer, codesParity: context.keeps(.codesParity))
        let now = context.environment.wallTime()
        let batch = await context.environment.blocking.run { () -> ShardBatch? in
            guard let sealed = WindowDecoder.ciphertexts(shards, chunks: all) else { return nil }
            encoder.begin(id, code: old.code)
            for chunk in shares.flatMap(\.own) {
                encoder.add(padding: sealed[chunk], code: old.code)
            }
            return encoder.take(finish: now)
        }
        guard let batch else { throw ObjectError.dataLost("segment \(old.id) cannot be decoded") }
        guard let sent = try await SegmentSender(context: context).deliver(batch) else {
            preconditionFailure("the last batch finishes its segment")
        }
        let claims = SegmentClaims(references: references, owners: shares.map(\.reference))
        let recorder = SegmentRecorder(context: context, claims: claims)
        let stored = try await recorder.record(sent)
        try await claims.finish([stored])
        return stored
    }

    private func discard(
        _ owners: [SegmentReference], of segment: SegmentID, _ store: VersionStore
    ) async {
        let hints = context.reachable().sorted()
        await cleaner.submit(.segments([segment], owners, hints: hints), in: store)
    }
}
