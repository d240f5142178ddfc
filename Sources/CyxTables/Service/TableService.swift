package import CyxCore
package import CyxCrypto
package import CyxOverlay
package import CyxTransport

/// The replicated tables of one peer: its custody of partitions, and reads and writes of rows on
/// behalf of whoever runs here (architecture §8, `decisions.md` A).
///
/// Rules of consistency live in the machines (`RegisterRecord`, `RegisterProposer`, `MergeRow`,
/// `ViewVote`, `ViewPlanner`); this actor sends, collects and stores.
package actor TableService: Tables {
    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    package typealias Job = @Sendable () async -> Void

    nonisolated let environment: Environment
    nonisolated let logger: Logger
    nonisolated let configuration: TablesConfiguration
    nonisolated let localPeer: PeerID
    let messaging: any PeerMessaging
    let membership: any Membership
    let salts: PlacementSalts
    let key: SigningKey
    let storeID: StoreID
    let rows: RowStore

    /// Partitions that this peer holds or held.
    var replicas: [Partition: Replica] = [:]
    /// Which partitions there are, and the newest view of each, as far as that was needed.
    var catalog: PartitionCatalog
    /// Whether this store has ever held or known a view, in this life of the process or before.
    var hasNetwork: Bool
    var clock = HybridClock()
    var turns = RowTurns()
    var random: SeededGenerator

    var isStopped = false
    /// Whether this peer has stopped answering, since its store is gone.
    var isSuspended = false
    /// How far the store has come, as others are told; nil: it was put back from an older copy.
    package internal(set) var mark: StoreMark?
    /// How much had been written when that was last raised.
    var writesAtMark: UInt64 = 0
    var outboxes: [PeerOutbox.Destination: PeerOutbox] = [:]
    var timedCalls: [UInt64: any TimedCall] = [:]
    var nextTimedCall: UInt64 = 0
    var answerTimes = PeerAnswerTimes()
    var changes = ViewChanges()
    var comparisons = Comparisons()
    var sweep = TombstoneSweep()
    /// The highest floors that other members have told of, so that proposals begin above them.
    var toldFloors: [Partition: RegisterVersion] = [:]
    /// Errands of others under way here.
    var errands = 0
    /// Hashes of certificates of given-up generations that were found valid.
    var formerViews: Set<Digest> = []
    /// Since when partitions have been seen without all of their rows here.
    var behindSince: [Partition: Instant] = [:]

    /// Work that belongs to nobody's request; `run` owns it.
    nonisolated let jobs: AsyncStream<Job>
    nonisolated let jobSink: AsyncStream<Job>.Continuation

    /// Opens the row store `tables` and what it holds.
    ///
    /// `storeID` is the life of this peer's store: a new one when it was wiped (A5). `salts` decide
    /// who is asked into views; whoever finds beacons adds them.
    package init(
        environment: Environment, key: SigningKey, storeID: StoreID,
        messaging: any PeerMessaging, membership: any Membership,
        salts: PlacementSalts = PlacementSalts(), configuration: TablesConfiguration
    ) async throws(StoreError) {
        self.environment = environment
        self.logger = environment.logger.labelled("tables")
        self.configuration = configuration
        self.key = key
        self.storeID = storeID
        self.messaging = messaging
        self.membership = membership
        self.salts = salts
        localPeer = messaging.localPeer
        catalog = TableService.emptyCatalog(configuration)
        random = environment.random.generator()
        (jobs, jobSink) = AsyncStream.makeStream(of: Job.self)
        let device = environment.storage
        let (store, opened, held, left, network, changes) = try await environment.blocking.run {
            () throws(StoreError) in
            let store = try device.open("tables", kind: .rows)
            let opened = try TableService.raiseMark(of: store)
            let network = try store.get(StorageKey.networkMark)
            let held = try TableService.load(store, StorageKey.replicaTag) {
                bytes throws(DecodingError) in try Replica(bytes: bytes)
            }
            let left = try TableService.load(store, StorageKey.leftTag) {
                bytes throws(DecodingError) in try ViewCertificate(bytes: bytes)
            }
            guard let changes = ChangeLog.stored(try store.get(StorageKey.changeMark)) else {
                throw .corrupt(detail: "the mark of the log of changes")
            }
            return (store, opened, held, left, network, changes)
        }
        rows = RowStore(
            store: store, blocking: environment.blocking,
            changes: ChangeLog(tables: configuration.loggedTables, stored: changes))
        hasNetwork = network != nil || !held.isEmpty
        mark = opened.map { StoreMark(count: $0, opening: max(1, environment.random.next())) }
        isSuspended = mark == nil
        precondition(key.verifyingKey.peerID == localPeer, "a peer's key gives its ID")
        setOut(held, left: left)
    }

    // MARK: Running

    /// Serves until the task is cancelled. Requests are answered from the first moment on.
    package func run() async throws {
        installHandlers()
        keepLooking()
        membership.observe { [weak self] _ in
            self?.assumeIsolated {
                $0.keepLooking()
                $0.noteStore()
            }
        }
        let marker: Job = { [weak self] in await self?.markForever() }
        let ticker: Job = { [weak self] in await self?.tickForever() }
        let comparer: Job = { [weak self] in await self?.compareForever() }
        let teacher: Job = { [weak self] in await self?.teachForever() }
        let remover: Job = { [weak self] in await self?.removeForever() }
        await withDiscardingTaskGroup { group in
            group.addTask { await ticker() }
            group.addTask { await teacher() }
            group.addTask { await comparer() }
            group.addTask { await marker() }
            group.addTask { await remover() }
            for await job in jobs { group.addTask { await job() } }
            group.cancelAll()
            // Nobody starts jobs any more, those that send among them: who waits for an answer has
            // to be told before it is waited for here.
            stopSending()
        }
        let store = rows.store
        await environment.blocking.run { store.close() }
        throw CancellationError()
    }

    /// Starts work that `run` owns.
    nonisolated func start(_ job: @escaping Job) {
        jobSink.yield(job)
    }

    private func installHandlers() {
        messaging.handle(.tableRows) { [weak self] remote, request in
            guard let self else { throw RPCFailure(code: 1, message: "shutting down") }
            return try await self.answerRows(request, from: remote.peer)
        }
        messaging.handle(.tableErrands) { [weak self] remote, request in
            guard let self else { throw RPCFailure(code: 1, message: "shutting down") }
            return try await self.answerErrands(request, from: remote.peer)
        }
        messaging.handle(.tableViews) { [weak self] remote, request in
            guard let self else { throw RPCFailure(code: 1, message: "shutting down") }
            return try await self.answerViews(request, from: remote.peer)
        }
    }

    /// Answers no request from now on: what it wrote would be lost. Its own operations go on, at
    /// other custodians.
    package func suspend() { isSuspended = true }

    func checkServing(_ remote: PeerID) throws(RPCFailure) {
        if isSuspended { throw RPCFailure(code: 3, message: "not serving: the store is gone") }
        // Whoever has heard from nobody may have a store that was put back, and not know it.
        if remote != localPeer,
            !membership.snapshot.reachable.contains(where: { $0.peer != localPeer })
        {
            throw RPCFailure(code: 3, message: "not serving yet: nobody was heard")
        }
    }

    private func tickForever() async {
        do {
            while true {
                tick()
                try await environment.sleep(for: configuration.timings.tick)
            }
        } catch {
            logger.debug("stopped")
        }
    }

    // MARK: Partitions

    /// Whether this peer, with the store that it has, is a member of `view`.
    func isListed(in view: View) -> Bool {
        view.contains(ViewMember(peer: localPeer, store: storeID))
            || !configuration.keeps(.tellsStoresApart) && view.contains(localPeer)
    }

    static func emptyCatalog(_ configuration: TablesConfiguration) -> PartitionCatalog {
        PartitionCatalog(
            genesisDepth: configuration.genesisDepth, depthMax: configuration.depthMax)
    }

    /// Makes a changed replica durable.
    func store(_ replica: Replica) async throws(StoreError) {
        let failures = rows.failures
        replicas[replica.partition] = replica
        rows.stage([
            .put(key: StorageKey.replica(replica.partition), value: replica.bytes)
        ])
        try await rows.settle()
        if rows.failures != failures { throw .failed(operation: "write", detail: "rolled back") }
    }

    /// Founds the network: every partition at its genesis view, this peer alone in it.
    func makeGenesis() async throws(StoreError) {
        let member = ViewMember(peer: localPeer, store: storeID)
        var writes: [KeyValueWrite] = []
        for index in 0..<UInt64(1) << UInt64(configuration.genesisDepth) {
            guard let partition = Partition(depth: configuration.genesisDepth, index: index) else {
                preconditionFailure("the index has as many bits as the depth")
            }
            let id = ViewID(partition: partition, generation: 0, epoch: 0)
            let view = View(id: id, members: [member], quorum: 1)
            let replica = Replica(
                certificate: .genesis(view, key: key), isSynced: true)
            replicas[partition] = replica
            _ = catalog.take(replica.certificate)
            writes.append(.put(key: StorageKey.replica(partition), value: replica.bytes))
        }
        hasNetwork = true
        rows.stage(writes)
        do throws(StoreError) {
            try await rows.settle()
        } catch {
            (replicas, hasNetwork) = ([:], false)
            catalog = TableService.emptyCatalog(configuration)
            throw error
        }
        logger.info("founded a network", [("partitions", "\(replicas.count)")])
    }
}
