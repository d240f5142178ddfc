internal import CyxCore
internal import CyxCrypto
internal import CyxTables
internal import Synchronization

/// Re-codes objects whose redundancy is below what the network can hold by now, or whose shards so
/// few peers are left to share that a narrower code bears more losses; one at a time. Versions, ETags
/// and CIDs stay: only the layout changes (B1).
actor Recoder {
    private unowned let gateway: ObjectGateway
    private let context: ObjectContext
    private var target: RecodeTarget
    private var lasting: LastingStorers
    private let fetcher: SegmentFetcher
    /// What every object suited when last looked at.
    private var settled: Demand?
    private let recoded: Counter

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    private struct Demand: Equatable {
        /// What objects are brought to.
        var code: Redundancy
        /// Peers that share what is stored; nil: not known yet.
        var storers: Int?

        func suits(_ head: HeadRow) -> Bool {
            let present = Redundancy(
                dataShards: Int(head.dataShards), parityShards: Int(head.parityShards))
            if present.shards < code.shards { return false }
            guard let storers, let fitting = Redundancy.widest(for: storers) else { return true }
            // While some are down the network holds less than it will: nothing is narrowed to that.
            return present.losses(on: storers) >= fitting.parityShards
                || code.shards < fitting.shards
        }

        /// Whether what suited `former` suits this.
        func isNoMore(than former: Demand) -> Bool {
            code.shards <= former.code.shards
                && (storers ?? .max) >= (former.storers ?? .max)
        }
    }

    init(gateway: ObjectGateway, context: ObjectContext) {
        self.gateway = gateway
        self.context = context
        target = RecodeTarget(patience: context.timings.repair.recodePatience)
        lasting = LastingStorers(patience: context.timings.repair.recodePatience)
        fetcher = SegmentFetcher(context: context, runner: gateway.runner)
        recoded = context.environment.metrics.counter("cyxcloud_objects_recoded_total")
    }

    func run() async throws {
        while true {
            try await context.environment.sleep(for: context.timings.repair.recode)
            guard let codes = context.codes else { continue }
            let code = target.code(
                base: codes.base, best: codes.best, now: context.environment.now())
            lasting.note(context.knownStorers, now: context.environment.now())
            let demand = Demand(code: code, storers: lasting.count)
            if let settled, demand.isNoMore(than: settled) { continue }
            if await sweep(demand) { settled = demand }
        }
    }

    /// Looks at every object of the account; false if some could not be brought to what suits it.
    private func sweep(_ demand: Demand) async -> Bool {
        var isComplete = true
        do {
            for bucket in try await gateway.buckets() {
                let handle = try await gateway.handle(bucket.name)
                for head in try await gateway.openHeads(in: handle)
                where head.chunkBytesAreElsewhere && !demand.suits(head) {
                    try Task.checkCancellation()
                    do {
                        try await recode(head, in: handle, to: demand.code)
                        recoded.add()
                    } catch {
                        context.logger.info(
                            "an object could not be re-coded", [("error", "\(error)")])
                        isComplete = false
                    }
                }
            }
        } catch {
            context.logger.info("re-coding stopped early", [("error", "\(error)")])
            return false
        }
        return isComplete
    }

    private func recode(
        _ head: HeadRow, in bucket: BucketHandle, to code: Redundancy
    ) async throws {
        let store = await gateway.store(bucket)
        let version = VersionID(position: bucket.keys.position(of: head.key), write: head.write)
        guard let old = try await store.layout(of: version) else { return }
        let manifest = try await store.manifest(of: head, at: version.position)
        let content = try VersionContent(
            chunks: manifest.chunks, placed: old.segments, layoutGeneration: old.row.generation)
        let claims = SegmentClaims(
            references: SegmentReferences(context: context, keys: store.keys),
            owners: [SegmentReference(bucket.keys, version)])
        let mover = SegmentMover(context: context, claims: claims, code: code)
        let sealed: [UInt8]
        do {
            let moved = try await mover.move(content, fetcher: fetcher)
            try await claims.finish(moved)
            sealed = try await store.prepareLayout(
                moved.map(\.placed), generation: old.row.generation + 1, of: version)
        } catch {
            await discard(await mover.begun, of: version, store)
            throw error
        }
        switch await store.replaceLayout(old.row, with: sealed, of: version) {
        case true?: await gateway.noteRecoded(head, code, old, in: bucket)
        case false?: await discard(await mover.begun, of: version, store)
        // What may be in place stays; else collection finds it.
        case nil: throw ObjectError.unavailable("whether a layout was replaced is not known")
        }
    }

    private func discard(
        _ segments: [SegmentID], of version: VersionID, _ store: VersionStore
    ) async {
        guard !segments.isEmpty else { return }
        let hints = context.reachable().sorted()
        let owners = [SegmentReference(store.bucket, version)]
        await gateway.cleaner.submit(.segments(segments, owners, hints: hints), in: store)
    }
}

/// Copies a version's ciphertext into segments of another code, a window at a time.
actor SegmentMover {
    private let context: ObjectContext
    private let account: AccountID
    private let encoder: SegmentEncoder
    private let sender: SegmentSender
    private let recorder: SegmentRecorder
    private let code: Redundancy
    private(set) var begun: [SegmentID] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, claims: SegmentClaims, code: Redundancy) {
        self.context = context
        self.code = code
        account = claims.references.keys.account
        encoder = SegmentEncoder(signer: claims.references.keys.signer)
        sender = SegmentSender(context: context)
        recorder = SegmentRecorder(context: context, claims: claims)
    }

    func move(
        _ content: VersionContent, fetcher: SegmentFetcher
    ) async throws -> [StoredSegment] {
        var stored: [StoredSegment] = []
        let blocking = context.environment.blocking
        for window in ReadPlan.windows(content, 0..<content.chunks.count) {
            let segment = content.segments[content.segment(of: window.lowerBound)]
            let local = segment.local(window)
            let shards = try await fetcher.fetch(
                segment.shape, segment.shape.shardRange(of: local), holders: segment.holders)
            guard
                let sealed = await blocking.run({
                    WindowDecoder.ciphertexts(shards, chunks: local)
                })
            else { throw ObjectError.dataLost("segment \(segment.shape.id) cannot be decoded") }
            for ciphertext in sealed {
                if encoder.hasSegment, !encoder.hasRoom(for: ciphertext.count) {
                    stored.append(try await finish())
                }
                if !encoder.hasSegment { begin() }
                await blocking.run { [encoder, code] in
                    encoder.add(padding: ciphertext, code: code)
                }
                if encoder.pendingBytes >= ObjectWriter.batchBytes {
                    _ = try await sender.deliver(encoder.take(finish: nil))
                }
            }
        }
        if encoder.hasSegment { stored.append(try await finish()) }
        return stored
    }

    private func begin() {
        let id = SegmentID.owned(by: account, random: context.environment.random.digest())
        begun.append(id)
        encoder.begin(id, code: code)
    }

    private func finish() async throws -> StoredSegment {
        let now = context.environment.wallTime()
        let batch = await context.environment.blocking.run { [encoder] in
            encoder.take(finish: now)
        }
        guard let segment = try await sender.deliver(batch) else {
            preconditionFailure("the last batch finishes its segment")
        }
        return try await recorder.record(segment)
    }
}
