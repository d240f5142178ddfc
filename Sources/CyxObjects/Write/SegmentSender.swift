internal import CyxCore
internal import CyxOverlay
internal import CyxTables

/// A segment that enough holders have durably.
struct StoredSegment: Sendable {
    var shape: SegmentShape
    var signedCore: [UInt8]
    /// By index; nil where nobody holds it yet.
    var holders: [(entry: HolderEntry, receipt: StoreReceipt)?]
    /// Since the segment is registered.
    var claim: SegmentClaim?

    var durable: Int { holders.count { $0 != nil } }

    var placed: PlacedSegment {
        PlacedSegment(
            core: shape.message,
            holders: Digests.join(holders.map { $0?.entry.peer.digest ?? .zero }))
    }

    var elements: [MergeElement] {
        holders.compactMap { holder in
            holder.map {
                MergeElement(element: $0.entry.element, value: $0.receipt.protobufBytes())
            }
        }
    }
}

/// Pushes the shard files of one segment after another to the peers that placement chose.
///
/// One batch goes to all holders at once; the next follows when all have answered, or enough have
/// and the stragglers' grace is over. A peer that fails with the first batch is replaced by a
/// spare; later its shard is left out, which repair makes good (B2: 12 of 14 are enough).
actor SegmentSender {
    private struct Open {
        var id: SegmentID
        var code: Redundancy
        /// By index; nil where the peer failed and none took its place.
        var peers: [PeerID?]
        var spares: [PeerID]
        /// Everybody who may have been sent something, those that failed too.
        var asked: [(index: Int, peer: PeerID)]
        var holders: [(entry: HolderEntry, receipt: StoreReceipt)?]
        var refusedForSpace = 0
        var lastFailure = ""
    }

    private enum Event: Sendable {
        case answered(index: Int, Result<(HolderEntry, StoreReceipt)?, ShardClient.Failure>)
        case graceOver
    }

    private let context: ObjectContext
    private var open: Open?
    /// Peers that failed in this write: not asked again for its later segments.
    private var failed: Set<PeerID> = []

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext) {
        self.context = context
    }

    /// Where unfinished shards lie, for cleaning up after a failed write.
    var unfinished: [(shard: ShardID, peer: PeerID)] {
        guard let open else { return [] }
        return open.asked.map { (ShardID(segment: open.id, index: $0.index), $0.peer) }
    }

    /// Sends one batch. Returns the segment once its last batch is durable with at least
    /// n − ⌊m/2⌋ holders, or with at least k: then `ensure` has to add some.
    func deliver(_ batch: ShardBatch) async throws(ObjectError) -> StoredSegment? {
        if open == nil { open = try begin(batch) }
        await send(batch)
        guard !Task.isCancelled else { throw .cancelled }
        guard let segment = open else { preconditionFailure("a batch without its segment") }
        let active = segment.peers.count { $0 != nil }
        guard active >= segment.code.dataShards else {
            if segment.refusedForSpace > segment.code.parityShards {
                throw .noSpace("\(segment.refusedForSpace) storage peers have no space left")
            }
            throw .unavailable(
                "only \(active) of \(segment.code.shards) peers took their shard; "
                    + "the last failure: \(segment.lastFailure)")
        }
        guard let shape = batch.shape else { return nil }
        open = nil
        return StoredSegment(
            shape: shape, signedCore: batch.signedCore, holders: segment.holders)
    }

    private func begin(_ batch: ShardBatch) throws(ObjectError) -> Open {
        let snapshot = context.membership.snapshot
        // Peers that gave bad shards lately come last: whoever lies only to readers is never found
        // by an audit.
        let doubtful = failed.union(
            context.standings.distrusted(now: context.environment.now()))
        let preferred = context.candidates(in: snapshot, avoiding: doubtful)
        let placement =
            Placement.choose(
                batch.code.shards, of: preferred, for: batch.segment, code: batch.code)
            ?? Placement.choose(
                batch.code.shards, of: context.candidates(in: snapshot), for: batch.segment,
                code: batch.code)
        guard let placement else {
            throw .unavailable("fewer than \(batch.code.shards) storage peers are left")
        }
        return Open(
            id: batch.segment, code: batch.code, peers: placement.holders,
            spares: placement.spares,
            asked: placement.holders.enumerated().map { (index: $0.offset, peer: $0.element) },
            holders: Array(repeating: nil, count: batch.code.shards))
    }

    private func send(_ batch: ShardBatch) async {
        let grace = context.timings.stragglerGrace
        let environment = context.environment
        await withTaskGroup(of: Event.self) { group in
            var waiting: Set<Int> = []
            for (index, peer) in (open?.peers ?? []).enumerated() {
                guard let peer else { continue }
                waiting.insert(index)
                group.addTask { await self.append(batch, index, peer) }
            }
            var good = 0
            var isGraceRunning = false
            while let event = await group.next() {
                switch event {
                case .graceOver:
                    for index in waiting { fail(index, "no answer in time") }
                    waiting = []
                case .answered(let index, let result):
                    guard waiting.contains(index) else { continue }
                    switch result {
                    case .success(let holder):
                        good += 1
                        open?.holders[index] = holder
                        waiting.remove(index)
                    case .failure(let failure):
                        if let spare = replacement(for: index, failure, batch) {
                            group.addTask { await self.append(batch, index, spare) }
                        } else {
                            waiting.remove(index)
                        }
                    }
                }
                if waiting.isEmpty {
                    group.cancelAll()
                } else if good >= batch.code.acknowledged, !isGraceRunning {
                    isGraceRunning = true
                    group.addTask {
                        do { try await environment.sleep(for: grace) } catch {}
                        return .graceOver
                    }
                }
            }
        }
    }

    private func append(_ batch: ShardBatch, _ index: Int, _ peer: PeerID) async -> Event {
        do throws(ShardClient.Failure) {
            let holder = try await context.client.append(
                batch.pieces[index], to: ShardID(segment: batch.segment, index: index),
                at: batch.offset, core: batch.signedCore, root: batch.shape?.roots[index],
                peer: peer)
            return .answered(index: index, .success(holder.map { ($0.entry, $0.receipt) }))
        } catch {
            return .answered(index: index, .failure(error))
        }
    }

    private func fail(_ index: Int, _ reason: String) {
        if let peer = open?.peers[index] { failed.insert(peer) }
        open?.peers[index] = nil
        open?.lastFailure = reason
    }

    /// Notes a failure and names who is to try instead; only a first batch can go to somebody else.
    private func replacement(
        for index: Int, _ failure: ShardClient.Failure, _ batch: ShardBatch
    ) -> PeerID? {
        if case .call(let error) = failure, ShardRefusal(error) == .noSpace {
            open?.refusedForSpace += 1
        }
        fail(index, "\(failure)")
        guard batch.offset == 0, let spare = open?.spares.first else { return nil }
        open?.spares.removeFirst()
        open?.peers[index] = spare
        open?.asked.append((index, spare))
        return spare
    }
}
