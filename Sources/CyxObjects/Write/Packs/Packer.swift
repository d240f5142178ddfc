internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTables

/// Stores small bodies of one account that come at about the same time together: one segment, its
/// core, holders and references once, for all of them. What names them (manifest, layout, head) each
/// write makes by itself.
///
/// A pack fails as a whole, and takes its segment and all references back by itself. One write that
/// gives up takes back its own reference only: the segment goes with its last one (B5).
actor Packer {
    private struct Member {
        var body: PackableBody
        /// Nil when its write has left. Unsafe: a simulated crash drops it with all else.
        var waiter: UnsafeContinuation<PackedBody?, any Error>?
    }

    /// What a pack became.
    private struct StoredPack: Sendable {
        var segment: StoredSegment
        /// By index.
        var chunks: [ManifestChunk]
    }

    private let context: ObjectContext
    private let keys: AccountKeys
    private let runner: JobRunner
    private let cleaner: Cleaner
    private var machine = PackMachine()
    private var members: [PackMachine.Ticket: Member] = [:]
    private let packs: Counter
    private let bodies: Counter

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, keys: AccountKeys, runner: JobRunner, cleaner: Cleaner) {
        self.context = context
        self.keys = keys
        self.runner = runner
        self.cleaner = cleaner
        packs = context.environment.metrics.counter("cyxcloud_packs_total")
        bodies = context.environment.metrics.counter("cyxcloud_packed_objects_total")
    }

    /// Stores a body in a segment that others may share. Nil when it has to get one of its own: it is
    /// too large, too much waits already, or nobody runs what packs need.
    func store(_ body: PackableBody) async throws -> PackedBody? {
        guard let ticket = machine.arrive(bytes: body.bytes.count) else { return nil }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { waiter in
                members[ticket] = Member(body: body, waiter: waiter)
                beginPacks()
            }
        } onCancel: {
            // Cancellation comes from any thread.
            context.environment.executor.execute { self.assumeIsolated { $0.leave(ticket) } }
        }
    }

    private func leave(_ ticket: PackMachine.Ticket) {
        let departure = machine.leave(ticket)
        guard departure != .tooLate else { return }
        let waiter = members[ticket]?.waiter.take()
        if departure == .forgotten { members[ticket] = nil }
        waiter?.resume(throwing: ObjectError.cancelled)
    }

    private func beginPacks() {
        while let pack = machine.begin() {
            let isTaken = runner.submit { await self.run(pack) }
            guard !isTaken else { continue }
            for ticket in machine.decide(pack).told {
                members.removeValue(forKey: ticket)?.waiter?.resume(returning: nil)
            }
            machine.end(pack)
        }
    }

    private func run(_ pack: PackMachine.Pack) async {
        let stored = pack.bodies.compactMap { members[$0]?.body }
        let segment = keys.newSegment(random: context.environment.random.digest())
        let owners = stored.map(\.reference)
        let claims = SegmentClaims(
            references: SegmentReferences(context: context, keys: keys),
            owners: context.keeps(.refersForEachBody) ? owners : Array(owners.prefix(1)))
        let sender = SegmentSender(context: context)
        do {
            let result = try await store(stored, as: segment, sender, claims)
            let claim = PackClaim()
            await tell(pack, result, claim)
            do {
                try await claims.finish([result.segment])
                claim.settle(.success(()))
            } catch { claim.settle(.failure(error)) }
        } catch {
            await fail(pack, segment, await sender.unfinished, error)
        }
        machine.end(pack)
        beginPacks()
    }

    private func store(
        _ bodies: [PackableBody], as id: SegmentID, _ sender: SegmentSender, _ claims: SegmentClaims
    ) async throws -> StoredPack {
        let code = try context.bestCode()
        let segments = SegmentEncoder(
            signer: keys.signer, codesParity: context.keeps(.codesParity))
        let now = context.environment.wallTime()
        let (chunks, batch) = await context.environment.blocking.run {
            segments.begin(id, code: code)
            let chunks = bodies.map { body in
                ContentEncoder(dedup: body.bucket.dedup, segments: segments)
                    .add(body.bytes, code: code)
            }
            return (chunks, segments.take(finish: now))
        }
        guard let sent = try await sender.deliver(batch) else {
            preconditionFailure("the last batch finishes its segment")
        }
        let recorder = SegmentRecorder(context: context, claims: claims)
        return StoredPack(segment: try await recorder.record(sent), chunks: chunks)
    }

    /// Tells those that still wait where their bodies are.
    private func tell(
        _ pack: PackMachine.Pack, _ stored: StoredPack, _ claim: PackClaim
    ) async {
        let (told, left) = machine.decide(pack)
        packs.add()
        bodies.add(UInt64(told.count))
        var indices: [PackMachine.Ticket: Int] = [:]
        for (index, ticket) in pack.bodies.enumerated() { indices[ticket] = index }
        for ticket in told {
            guard let member = members.removeValue(forKey: ticket), let index = indices[ticket]
            else { preconditionFailure("who is told has brought a body") }
            member.waiter?.resume(
                returning: PackedBody(
                    chunk: stored.chunks[index], segment: stored.segment, index: index,
                    claim: claim))
        }
        await discard(left, stored.segment.shape.id)
    }

    private func fail(
        _ pack: PackMachine.Pack, _ segment: SegmentID,
        _ unfinished: [(shard: ShardID, peer: PeerID)], _ error: any Error
    ) async {
        let (told, left) = machine.decide(pack)
        for ticket in told { members[ticket]?.waiter.take()?.resume(throwing: error) }
        if !unfinished.isEmpty, let body = pack.bodies.first.flatMap({ members[$0]?.body }) {
            await cleaner.submit(.uploads(unfinished), in: store(of: body))
        }
        await discard(told + left, segment)
    }

    /// Has the references of bodies taken back, in the background, and their segment removed unless
    /// others need it.
    private func discard(_ tickets: [PackMachine.Ticket], _ segment: SegmentID) async {
        let owners = tickets.compactMap { members.removeValue(forKey: $0)?.body }
        guard let first = owners.first else { return }
        let storers = context.membership.snapshot.storers.map(\.peer)
        await cleaner.submit(
            .segments([segment], owners.map(\.reference), hints: storers), in: store(of: first))
    }

    private func store(of body: PackableBody) -> VersionStore {
        VersionStore(context: context, keys: keys, bucket: body.bucket)
    }
}
