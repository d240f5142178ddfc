internal import CyxCore
internal import CyxOverlay
internal import CyxTables

/// Gets any k verified shards of a range of a segment.
///
/// Asks the holders of the data shards first, which need no decoding; one more when they take
/// longer than reads did lately; another at once for each that fails or answers garbage. Who did
/// is asked last for that shard for a while.
actor SegmentFetcher {
    /// Segments whose holders are remembered.
    static let cachedHolders = 4096
    /// For how long they are believed where they leave a data shard without a holder: it may have been
    /// rebuilt meanwhile, and until that is known each read decodes.
    static let partialHoldersTime = Duration.seconds(5)
    /// Segments whose bad shards are remembered, and how long their holders are asked last for
    /// them: then they may have been mended, and if not, custodians are told again.
    static let rejectedSegments = 4096
    static let rejectionTime = Duration.seconds(60)

    private let context: ObjectContext
    private let runner: JobRunner
    private var latency: LatencyTracker
    private var rows = BoundedCache<SegmentID, (entries: [HolderEntry], read: Instant)>(
        capacity: cachedHolders)
    private var rejected = BoundedCache<SegmentID, [FetchSources.ShardAsk: Instant]>(
        capacity: rejectedSegments)
    private let badShards: Counter
    private let hedges: Counter

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(context: ObjectContext, runner: JobRunner) {
        self.context = context
        self.runner = runner
        latency = LatencyTracker(bounds: context.timings.hedge)
        badShards = context.environment.metrics.counter("cyxcloud_shards_bad_total")
        hedges = context.environment.metrics.counter("cyxcloud_read_hedges_total")
    }

    private enum Event: Sendable {
        case answered(
            index: Int, peer: PeerID, took: Duration,
            Result<ReadShardResponse, ShardClient.Failure>)
        case hedge
    }

    /// `holders`: who is known to have had which index; `excluding`: indices not to ask for.
    func fetch(
        _ shape: SegmentShape, _ range: Range<Int>, holders: [PeerID?], excluding: Set<Int> = []
    ) async throws(ObjectError) -> FetchedShards {
        var sources = FetchSources(
            shape: shape, holders: holders, excluding: excluding,
            rejected: Set(lately(rejected: shape.id).keys))
        sources.setMembers(context.membership.snapshot)
        if !sources.hasAllDataShards { await addRows(&sources, shape, refresh: false) }
        var shards = FetchedShards(shape: shape, range: range, answers: [:])
        var lastFailure = "no holder is reachable"
        while true {
            await gather(&shards, &sources, &lastFailure)
            guard !Task.isCancelled else { throw .cancelled }
            if shards.answers.count < shape.code.dataShards {
                // What was remembered is used up: ask the rows, once, then give up.
                guard !sources.isRefreshed else {
                    throw failure(shape, sources, shards, lastFailure)
                }
                await addRows(&sources, shape, refresh: true)
                continue
            }
            let snapshot = shards
            let bad = await context.environment.blocking.run { WindowDecoder.bad(in: snapshot) }
            if bad.isEmpty { return shards }
            for index in bad {
                shards.answers[index] = nil
                lastFailure = "a shard did not match its proof"
                reject(index, sources.asked[index], shape.id)
            }
        }
    }

    private func failure(
        _ shape: SegmentShape, _ sources: FetchSources, _ shards: FetchedShards, _ last: String
    ) -> ObjectError {
        let detail =
            "segment \(shape.id): \(shards.answers.count) of \(shape.code.dataShards) needed "
            + "shards could be read; the last failure: \(last)"
        return sources.knownIndices < shape.code.dataShards
            ? .dataLost(detail) : .unavailable(detail)
    }

    /// Asks until k answers are there, or nobody is left to ask.
    private func gather(
        _ shards: inout FetchedShards, _ sources: inout FetchSources, _ lastFailure: inout String
    ) async {
        let environment = context.environment
        let delay = latency.hedgeDelay
        let needed = shards.shape.code.dataShards
        let (id, range) = (shards.shape.id, shards.range)
        await withTaskGroup(of: Event.self) { group in
            var inFlight = 0
            func askNext() {
                guard let (index, peer) = sources.next(shards.indices) else { return }
                inFlight += 1
                group.addTask { await self.ask(index, of: peer, in: id, range) }
            }
            while shards.answers.count + inFlight < needed, sources.hasNext(shards.indices) {
                askNext()
            }
            func arm() {
                group.addTask {
                    do { try await environment.sleep(for: delay) } catch {}
                    return .hedge
                }
            }
            if sources.hasNext(shards.indices) { arm() }
            while inFlight > 0, let event = await group.next() {
                switch event {
                case .hedge:
                    guard !Task.isCancelled, sources.hasNext(shards.indices) else { continue }
                    hedges.add()
                    askNext()
                    arm()
                case .answered(let index, let peer, let took, let result):
                    inFlight -= 1
                    switch result {
                    case .success(let answer):
                        latency.record(took)
                        shards.answers[index] = answer
                    case .failure(let failure):
                        lastFailure = "\(failure)"
                        if isEvidence(failure) { reject(index, peer, id) }
                        askNext()
                    }
                }
                if shards.answers.count >= needed { break }
            }
            group.cancelAll()
        }
    }

    private func ask(
        _ index: Int, of peer: PeerID, in segment: SegmentID, _ range: Range<Int>
    ) async -> Event {
        let start = context.environment.now()
        let result: Result<ReadShardResponse, ShardClient.Failure>
        do throws(ShardClient.Failure) {
            let answer = try await context.client.read(
                ShardID(segment: segment, index: index), range, from: peer)
            result = .success(answer)
        } catch { result = .failure(error) }
        return .answered(
            index: index, peer: peer, took: context.environment.now() - start, result)
    }

    /// Whether a failure says that the shard is not where it should be, rather than that the
    /// network or the peer is slow.
    private func isEvidence(_ failure: ShardClient.Failure) -> Bool {
        switch failure {
        case .garbage: true
        case .call(let error): ShardRefusal(error) == .notFound
        }
    }

    /// Counts a bad shard and tells the segment's first custodians.
    private func reject(_ index: Int, _ peer: PeerID?, _ segment: SegmentID) {
        badShards.add()
        rows.remove(segment)
        guard let peer else { return }
        var asks = lately(rejected: segment)
        asks[FetchSources.ShardAsk(index: index, peer: peer)] = context.environment.now()
        rejected[segment] = asks
        context.standings.distrust(peer, now: context.environment.now())
        context.logger.warning(
            "a shard is bad or missing",
            [("segment", "\(segment)"), ("index", "\(index)"), ("peer", "\(peer)")])
        _ = runner.submit { [context] in
            await context.report(segment, suspect: peer, index: index)
        }
    }

    private func lately(rejected segment: SegmentID) -> [FetchSources.ShardAsk: Instant] {
        guard let asks = rejected[segment] else { return [:] }
        let limit = context.environment.now() - SegmentFetcher.rejectionTime
        return asks.filter { $0.value > limit }
    }

    private func addRows(
        _ sources: inout FetchSources, _ shape: SegmentShape, refresh: Bool
    ) async {
        if refresh { sources.isRefreshed = true }
        let now = context.environment.now()
        if !refresh, let cached = rows[shape.id] {
            sources.add(cached.entries)
            let isFresh = now - cached.read < SegmentFetcher.partialHoldersTime
            if isFresh || sources.hasAllDataShards { return }
        }
        do throws(TableError) {
            let entries = try await context.provenHolders(of: shape).map(\.entry)
            rows[shape.id] = (entries, now)
            sources.isRefreshed = true
            sources.add(entries)
        } catch {
            context.logger.debug("holders could not be read", [("error", "\(error)")])
        }
    }
}

extension ObjectContext {
    /// Custodians that are told of a bad shard.
    static let reportedCustodians = 2

    /// Tells custodians that a segment needs a look; best effort, since they look by themselves.
    /// Returns whether one of them took it.
    @discardableResult
    func report(_ segment: SegmentID, suspect: PeerID?, index: Int) async -> Bool {
        var isTaken = false
        do {
            let custodians = try await tables.custodians(of: segment.digest)
            let snapshot = membership.snapshot
            for custodian in custodians.filter(snapshot.mayBeThere)
                .prefix(ObjectContext.reportedCustodians)
            {
                try await client.report(segment, suspect: suspect, index: index, to: custodian)
                isTaken = true
            }
        } catch {
            logger.debug("a report was not taken", [("error", "\(error)")])
        }
        return isTaken
    }

    /// The entries of a segment's holder row whose receipt names the same peer, store and index.
    /// The receipts' signatures are not checked here (see `StoreReceipt.proves`).
    func holders(
        of segment: SegmentID
    ) async throws(TableError) -> [(entry: HolderEntry, receipt: StoreReceipt)] {
        ObjectContext.holders(try await tables.readMerge(ObjectRows.holders(segment)))
    }

    /// The same of a row that was read.
    static func holders(
        _ row: [MergeElement]
    ) -> [(entry: HolderEntry, receipt: StoreReceipt)] {
        row.compactMap { element in
            do {
                let entry = try HolderEntry(element: element.element)
                let receipt = try StoreReceipt(protobuf: element.value ?? [])
                guard receipt.claim?.entry == entry else { return nil }
                return (entry, receipt)
            } catch { return nil }
        }.sorted { ($0.entry.index, $0.entry.peer) < ($1.entry.index, $1.entry.peer) }
    }

    /// Those of them that signed their receipts: anybody can write a name into the row.
    func provenHolders(
        of shape: SegmentShape
    ) async throws(TableError) -> [(entry: HolderEntry, receipt: StoreReceipt)] {
        let named = try await holders(of: shape.id)
        guard keeps(.provesReceipts) else { return named }
        return await environment.blocking.run {
            named.filter { $0.receipt.proves($0.entry, in: shape) }
        }
    }
}
