internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// What a body has become: nothing of it is visible before its head is.
struct WrittenContent: Sendable {
    var size: UInt64 = 0
    var md5: [UInt8] = []
    /// The body itself, where it is small enough for the head.
    var inline: [UInt8]?
    var chunks: [ManifestChunk] = []
    var segments: [StoredSegment] = []
    /// Instead of segments of its own.
    var packed: PackedBody?
    var code = Redundancy.oneCopy

    var placed: [PlacedSegment] { packed.map { [$0.placed] } ?? segments.map(\.placed) }
}

/// Streams one body into segments. At most one batch is being sent, one chunk being coded and one
/// being read at any time, so that memory does not depend on the size.
actor ObjectWriter {
    /// Shard bytes of one index that go in one request.
    static let batchBytes = 512 << 10
    /// Segments whose rows may be in the writing at once.
    static let pendingRecords = 2

    private let context: ObjectContext
    private let keys: AccountKeys
    private let bucket: BucketKeys
    private let reference: SegmentReference
    private let claims: SegmentClaims
    private let encoder: ContentEncoder
    private let digest = BodyDigests.Body()
    private let sender: SegmentSender
    private let takesInline: Bool
    private let packer: Packer?
    private var content = WrittenContent()
    /// Segments that were begun, or are shared: what a failed write has to clean up.
    private(set) var begun: [SegmentID] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    /// `reference`: whose the segments are. `takesInline`: whether a small body may stay in memory
    /// for its head. `packer`: who stores small bodies together with others; nil: nobody.
    init(
        context: ObjectContext, keys: AccountKeys, bucket: BucketKeys,
        reference: SegmentReference, takesInline: Bool = true, packer: Packer? = nil
    ) {
        self.context = context
        self.keys = keys
        self.bucket = bucket
        self.reference = reference
        self.packer = packer
        claims = SegmentClaims(
            references: SegmentReferences(context: context, keys: keys), owners: [reference])
        self.takesInline = takesInline
        encoder = ContentEncoder(
            dedup: bucket.dedup, signer: keys.signer, codesParity: context.keeps(.codesParity))
        sender = SegmentSender(context: context)
    }

    private enum Step: Sendable {
        case delivered(StoredSegment?)
        case recorded(StoredSegment)
    }

    /// Reads `body` to its end. What it throws is rethrown as it is.
    func write(_ body: any ByteSource, size announced: UInt64?) async throws -> WrittenContent {
        var body = body
        var chunker = Chunker(chunkBytes: Chunker.chunkBytes(forObjectOf: announced))
        guard let first = try await nextChunk(&body, &chunker) else {
            try check(announced)
            return try await finished(inline: [])
        }
        if takesInline, first.isLast, first.bytes.count <= ObjectLimits.inlineBytes {
            try check(announced)
            return try await finished(inline: first.bytes)
        }
        content.code = try context.bestCode()
        if first.isLast {
            try check(announced)
            if try await isPacked(first.bytes) { return content }
        }
        try await withThrowingTaskGroup(of: Step.self) { group in
            var chunk: (bytes: [UInt8], isLast: Bool)? = first
            var isSending = false
            var records = 0
            while let batch = try await nextBatch(&chunk, &body, &chunker, announced) {
                while isSending || records > ObjectWriter.pendingRecords {
                    try await settle(&group, &isSending, &records)
                }
                isSending = true
                group.addTask { .delivered(try await self.sender.deliver(batch)) }
            }
            while isSending || records > 0 { try await settle(&group, &isSending, &records) }
        }
        return try await finished(inline: nil)
    }

    /// Has a small body stored together with others; false if it needs a segment of its own.
    private func isPacked(_ bytes: [UInt8]) async throws -> Bool {
        guard let packer, bytes.count <= PackMachine.Limits().bodyBytes else { return false }
        let digest = BodyDigests.Body()
        await context.digests.add(bytes, to: digest, isLast: true)
        let body = PackableBody(bytes: bytes, bucket: bucket, reference: reference)
        guard let packed = try await packer.store(body) else { return false }
        begun.append(packed.segment.shape.id)
        content.packed = packed
        content.chunks = [packed.chunk]
        content.code = packed.segment.shape.code
        content.md5 = await context.digests.finish(digest)
        return true
    }

    private func finished(inline: [UInt8]?) async throws -> WrittenContent {
        content.inline = inline
        if let inline {
            content.md5 = MD5.hash(inline)
        } else {
            content.md5 = await context.digests.finish(digest)
        }
        // Records finish in any order; the layout has the order of the bytes.
        let order = Dictionary(
            uniqueKeysWithValues: begun.enumerated().map { ($0.element, $0.offset) })
        content.segments.sort { (order[$0.shape.id] ?? 0) < (order[$1.shape.id] ?? 0) }
        return content
    }

    /// Waits for one step of those under way.
    private func settle(
        _ group: inout ThrowingTaskGroup<Step, any Error>, _ isSending: inout Bool,
        _ records: inout Int
    ) async throws {
        guard let step = try await group.next() else { return }
        switch step {
        case .delivered(let segment):
            isSending = false
            guard let segment else { return }
            records += 1
            let recorder = SegmentRecorder(context: context, claims: claims)
            group.addTask { .recorded(try await recorder.record(segment)) }
        case .recorded(let segment):
            records -= 1
            content.segments.append(segment)
        }
    }

    private func nextChunk(
        _ body: inout any ByteSource, _ chunker: inout Chunker
    ) async throws -> (bytes: [UInt8], isLast: Bool)? {
        while chunker.needsInput {
            try Task.checkCancellation()
            if let piece = try await body.next() {
                content.size += UInt64(piece.count)
                if !piece.isEmpty { chunker.append(piece) }
            } else {
                chunker.end()
            }
        }
        return chunker.next()
    }

    private func check(_ announced: UInt64?) throws(ObjectError) {
        if let announced, announced != content.size {
            throw .bodyLength(expected: announced, actual: content.size)
        }
    }

    /// Codes chunks until there is enough to send, or a segment is full, or the body has ended.
    /// `chunk` is the next chunk to code; nil when all are.
    private func nextBatch(
        _ chunk: inout (bytes: [UInt8], isLast: Bool)?, _ body: inout any ByteSource,
        _ chunker: inout Chunker, _ announced: UInt64?
    ) async throws -> ShardBatch? {
        let code = content.code
        let blocking = context.environment.blocking
        while let current = chunk {
            if !encoder.segments.hasSegment { beginSegment(code) }
            if current.isLast { try check(announced) }
            await context.digests.add(current.bytes, to: digest, isLast: current.isLast)
            let record = await blocking.run { [encoder] in
                encoder.add(current.bytes, code: code)
            }
            content.chunks.append(record)
            chunk = current.isLast ? nil : try await nextChunk(&body, &chunker)
            // The source may end in the very moment that the next chunk is asked for.
            let next = chunk.map { $0.bytes.count + ObjectLimits.tagBytes }
            let isFull = next.map { !encoder.segments.hasRoom(for: $0) } ?? true
            if isFull {
                let now = context.environment.wallTime()
                return await blocking.run { [encoder] in encoder.segments.take(finish: now) }
            }
            if encoder.segments.pendingBytes >= ObjectWriter.batchBytes {
                return encoder.segments.take(finish: nil)
            }
        }
        return nil
    }

    private func beginSegment(_ code: Redundancy) {
        let id = keys.newSegment(random: context.environment.random.digest())
        begun.append(id)
        encoder.segments.begin(id, code: code)
    }

    /// Makes sure that the segments stay, before anything that names them becomes visible.
    nonisolated func claim(_ content: WrittenContent) async throws {
        guard context.keeps(.claimsBeforeHeads) else { return }
        if let packed = content.packed { return try await packed.claim.wait() }
        try await claims.finish(content.segments)
    }

    /// Where unfinished shards lie after a failure.
    var unfinished: [(shard: ShardID, peer: PeerID)] {
        get async { await sender.unfinished }
    }
}
