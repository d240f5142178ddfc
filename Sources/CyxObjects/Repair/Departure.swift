package import CyxCore
internal import CyxOverlay
package import CyxStorage
internal import CyxTables
internal import CyxTransport

/// How far a peer is with giving away what it holds.
package struct DepartureStatus: Sendable, Equatable {
    package enum Phase: String, Sendable {
        case staying
        case handingOver = "handing_over"
        /// Nobody counts on what is here any more.
        case handedOver = "handed_over"
        /// Nobody takes what is left; it is tried again and again.
        case stuck
    }

    package var phase = Phase.staying
    package var shards = 0
    package var shardsLeft = 0
    package var bytes: UInt64 = 0
    /// Durable at others, by their receipts.
    package var bytesHandedOver: UInt64 = 0
    /// Partitions of the tables whose rows others still need from here.
    package var partitionsLeft = 0
    /// Why the last shard that could not be handed over could not, or rows cannot be.
    package var problem: String?
    package init() {}
}

/// Gives what a peer holds that is to go to others. Shards go one by one: each is copied, its new
/// holder's receipt takes the place of this peer's entry in the rows, and only then the next one
/// goes. Its seats among the custodians of rows go to others because it says that it drains (A4); it
/// stays until these have all that it has. Whatever interrupts it, the rows say how far it is, and a
/// note in the store that it is to go on after a restart.
package actor Departure {
    /// Shards that are copied at once.
    static let concurrency = 4
    /// Rows of the store that are listed at a time.
    static let page = 512
    /// Rounds in which nothing goes after which it counts as stuck: custodians take their turns.
    static let patience = 5
    private static let note = [UInt8(ascii: "l")]

    /// What is to be done when nothing is left.
    package enum Purpose: UInt8, Sendable {
        /// The peer stays, empty.
        case drain = 1
        /// It leaves the network.
        case leave = 2
    }

    private struct Plan: Sendable {
        var purpose: Purpose
        /// Who is asked first to take each shard.
        var successor: PeerID?
    }

    private let context: ObjectContext
    private let holder: ShardHolder
    private let store: ShardStore
    private let runner = JobRunner()
    private let logger: Logger
    private var plan: Plan?
    private var isWorking = false
    private(set) package var status = DepartureStatus()
    /// Says that everything is handed over, with the purpose that it was for.
    package nonisolated let ends: AsyncStream<Purpose>
    private let endSink: AsyncStream<Purpose>.Continuation

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext, holder: ShardHolder, store: ShardStore) {
        self.context = context
        self.holder = holder
        self.store = store
        logger = context.environment.logger.labelled("departure")
        (ends, endSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Goes on where the last life of this process was, then does what it is asked to.
    package func run() async throws {
        if let plan = await remembered(), self.plan == nil { set(plan) }
        await withDiscardingTaskGroup { group in
            if plan != nil, !isWorking {
                isWorking = true
                group.addTask { await self.work() }
            }
            await runner.run()
        }
        try Task.checkCancellation()
    }

    /// Begins to give everything away, to `successor` as far as that may hold it; changes the purpose
    /// if it has begun already. Throws `StoreError` when that could not be noted.
    package func begin(_ purpose: Purpose, successor: PeerID? = nil) async throws {
        try await store.setNotes([
            (Departure.note, [purpose.rawValue] + (successor?.bytes ?? []))
        ])
        begin(Plan(purpose: purpose, successor: successor))
    }

    /// Stays after all, with what is still here.
    package func cancel() async throws {
        try await forget()
        plan = nil
        status = DepartureStatus()
        context.membership.announce { $0.isDraining = false }
    }

    /// Does not go on after a restart: who left and is started again is a new peer.
    package func forget() async throws {
        try await store.setNotes([(Departure.note, [])])
    }

    private func remembered() async -> Plan? {
        do throws(StoreError) {
            guard let bytes = try await store.note(Departure.note), let first = bytes.first,
                let purpose = Purpose(rawValue: first)
            else { return nil }
            return Plan(purpose: purpose, successor: PeerID(bytes: Array(bytes.dropFirst())))
        } catch {
            logger.warning("an interrupted departure is not resumed", [("error", "\(error)")])
            return nil
        }
    }

    private func begin(_ plan: Plan) {
        set(plan)
        guard !isWorking else { return }
        isWorking = runner.submit { await self.work() }
    }

    private func set(_ plan: Plan) {
        self.plan = plan
        // Nobody is to choose this peer for anything new.
        context.membership.announce { $0.isDraining = true }
    }

    // MARK: Handing over

    private func work() async {
        status.phase = .handingOver
        var cleanRounds = 0
        var idleRounds = 0
        while let plan, !Task.isCancelled {
            let before = (shards: status.shardsLeft, partitions: status.partitionsLeft)
            let isClean: Bool
            do {
                isClean = try await round(plan)
            } catch {
                status.problem = "\(error)"
                isClean = false
            }
            status.partitionsLeft = await context.tables.health().held
            // Who did not know yet that this peer goes may have written to it meanwhile.
            cleanRounds = isClean ? cleanRounds + 1 : 0
            if cleanRounds >= 2, status.partitionsLeft == 0 {
                status.phase = .handedOver
                status.problem = nil
                logger.info(
                    "everything is handed over", [("shards", "\(status.shards)")])
                endSink.yield(plan.purpose)
                break
            }
            let isDone = isClean && status.partitionsLeft == 0
            let isProgress =
                status.shardsLeft < before.shards || status.partitionsLeft < before.partitions
            idleRounds = isDone || isProgress ? 0 : idleRounds + 1
            say(isStuck: idleRounds >= Departure.patience, isClean: isClean)
            do { try await context.environment.sleep(for: context.timings.repair.settle) } catch {
                break
            }
        }
        isWorking = false
    }

    private func say(isStuck: Bool, isClean: Bool) {
        status.phase = isStuck ? .stuck : .handingOver
        guard isClean else { return }
        status.problem =
            isStuck
            ? "no other storage peer takes the rows of \(status.partitionsLeft) partitions" : nil
    }

    /// Offers every shard that the rows say is here; true if there was none.
    private func round(_ plan: Plan) async throws -> Bool {
        let listed = try await inventory()
        status.shardsLeft = listed.count
        status.shards = max(status.shards, listed.count)
        let waiting = listed.reduce(UInt64(0)) { $0 + UInt64($1.shape.fileBytes) }
        status.bytes = max(status.bytes, status.bytesHandedOver + waiting)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, shard) in listed.enumerated() {
                if number >= Departure.concurrency { try await group.next() }
                guard self.plan != nil else { break }
                group.addTask { await self.offer(shard, plan) }
            }
            try await group.waitForAll()
        }
        return listed.isEmpty
    }

    private struct Listed: Sendable {
        var shard: ShardID
        var shape: SegmentShape
        var core: [UInt8]
    }

    /// Finished files for which the rows name this peer.
    private func inventory() async throws -> [Listed] {
        var after: ShardKey?
        var listed: [Listed] = []
        while true {
            let page = try await store.list(after: after, limit: Departure.page)
            for (key, _) in page where key.chunk == ShardFile.recordNumber {
                let shard = ShardID(segment: key.segment, index: Int(key.index))
                guard let record = try await holder.record(of: shard) else { continue }
                let shape: SegmentShape
                do throws(RowError) {
                    shape = try SegmentShape.verified(record.core, of: shard.segment).shape
                } catch { continue }
                guard try await !entries(of: shard, shape).own.isEmpty else { continue }
                listed.append(Listed(shard: shard, shape: shape, core: record.core))
            }
            guard page.count == Departure.page, let last = page.last else { return listed }
            after = last.key
        }
    }

    private func entries(
        of shard: ShardID, _ shape: SegmentShape
    ) async throws(TableError) -> (own: [HolderEntry], others: [HolderEntry]) {
        let local = context.messaging.localPeer
        let entries = try await context.provenHolders(of: shape).map(\.entry)
        return (
            entries.filter { $0.index == shard.index && $0.peer == local },
            entries.filter { $0.index != shard.index || $0.peer != local }
        )
    }

    private func offer(_ listed: Listed, _ plan: Plan) async {
        do {
            try await handOver(listed, plan)
            status.shardsLeft -= 1
            status.bytesHandedOver += UInt64(listed.shape.fileBytes)
        } catch {
            status.problem = "\(error)"
            logger.debug(
                "a shard could not be handed over yet",
                [("segment", "\(listed.shard.segment)"), ("error", "\(error)")])
            guard Departure.isForCustodians(error) else { return }
            await context.report(
                listed.shard.segment, suspect: context.messaging.localPeer,
                index: listed.shard.index)
        }
    }

    /// Whether custodians can do what this peer cannot: they have room in a row that others filled up,
    /// and rebuild what is rotten here.
    private static func isForCustodians(_ error: any Error) -> Bool {
        switch error {
        case let error as TableError: error == .tooLarge
        case let error as ShardCopier.Failure: error == .badSource
        default: false
        }
    }

    private func handOver(_ listed: Listed, _ plan: Plan) async throws {
        let (own, others) = try await entries(of: listed.shard, listed.shape)
        var changes = own.map { MergeElement(element: $0.element, value: nil) }
        let reachable = context.reachable()
        let isSpare = others.contains {
            $0.index == listed.shard.index && reachable.contains($0.peer)
        }
        if !isSpare {
            let target = context.replacementHolder(
                for: listed.shard, listed.shape, beside: others, preferring: plan.successor,
                avoiding: [context.messaging.localPeer], mayDouble: true)
            guard let target else {
                throw ObjectError.unavailable("no further storage peer takes a shard")
            }
            let copier = ShardCopier(
                context: context, shape: listed.shape, signedCore: listed.core)
            let copy = try await copier.copy(
                listed.shard, to: target, read: holder.localReader(of: listed.shard))
            changes.append(
                MergeElement(element: copy.entry.element, value: copy.receipt.protobufBytes()))
        }
        try await context.tables.merge(ObjectRows.holders(listed.shard.segment), changes)
    }
}

extension ShardHolder {
    /// Reads a file that is here.
    nonisolated func localReader(of shard: ShardID) -> ShardCopier.Reader {
        { range throws(ShardClient.Failure) in
            let request = ReadShardRequest(
                segment: shard.segment.bytes, index: UInt32(shard.index),
                offset: UInt64(range.lowerBound), length: UInt64(range.count))
            do {
                return try ReadShardResponse(
                    protobuf: try await self.read(request.protobufBytes()))
            } catch let failure as RPCFailure {
                throw .call(.refused(failure))
            } catch {
                throw .garbage
            }
        }
    }
}

extension ObjectContext {
    /// Who is to take one shard of a segment of which `others` keep the rest: no zone above its
    /// share where zones allow. With `mayDouble` one of them, where nobody else is left: of those
    /// that have the fewest.
    func replacementHolder(
        for shard: ShardID, _ shape: SegmentShape, beside others: [HolderEntry],
        preferring successor: PeerID? = nil, avoiding: Set<PeerID> = [], mayDouble: Bool = false
    ) -> PeerID? {
        let snapshot = membership.snapshot
        let taken = Set(others.map(\.peer))
        var zones: [String: Int] = [:]
        for peer in taken {
            if let zone = snapshot.members[peer]?.info.zone { zones[zone, default: 0] += 1 }
        }
        var candidates = candidates(in: snapshot, avoiding: taken.union(avoiding))
        if candidates.isEmpty, mayDouble {
            var counts: [PeerID: Int] = [:]
            for entry in others { counts[entry.peer, default: 0] += 1 }
            let holders = self.candidates(in: snapshot, avoiding: avoiding)
            let fewest = holders.map { counts[$0.peer] ?? 0 }.min()
            candidates = holders.filter { counts[$0.peer] ?? 0 == fewest }
        }
        if let successor, candidates.contains(where: { $0.peer == successor }) { return successor }
        let placement = Placement.choose(
            1, of: candidates, for: shard.segment, code: shape.code, used: zones,
            order: placementOrder(in: snapshot))
        return placement?.holders.first
    }
}
