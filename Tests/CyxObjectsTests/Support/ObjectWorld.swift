import CyxCore
import CyxCrypto
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization

/// Storage peers and one gateway under virtual time, over fake tables and membership.
final class ObjectWorld {
    struct Node: Sendable {
        var peer: SimulatedPeer
        var id: PeerID
        var signing: SigningKey
    }

    let world: SimulatedWorld
    let shared = FakeTables.Shared()
    let members = FakeMembers()
    private(set) var nodes: [Node] = []
    let gatewayNode: Node
    /// What the peers' present lives have made.
    private final class Slots: Sendable {
        let gateway = Mutex<ObjectGateway?>(nil)
        let lease = Mutex<Duration?>(nil)
        let stores = Mutex<[PeerID: ShardStore]>([:])
        let repairers = Mutex<[PeerID: Repairer]>([:])
        let auditors = Mutex<[PeerID: Auditor]>([:])
        let scrubbers = Mutex<[PeerID: Scrubber]>([:])
        let departures = Mutex<[PeerID: Departure]>([:])
        let books = Mutex<[PeerID: StandingBook]>([:])
        let salts = Mutex<[PeerID: PlacementSalts]>([:])
        let readMemory = Mutex<ReadMemory?>(nil)
        let answering = Mutex<[PeerID: DirectMessaging]>([:])
        private let messagings = Mutex<[(PeerContact, DirectMessaging)]>([])

        /// Lets everybody know everybody.
        func learnAll(_ contact: PeerContact, _ messaging: DirectMessaging) {
            messagings.withLock { known in
                known.removeAll { $0.0 == contact }
                for (other, theirs) in known {
                    messaging.learn(other)
                    theirs.learn(contact)
                }
                known.append((contact, messaging))
            }
        }
    }

    private let slots = Slots()
    /// Calls of storage peers about shards.
    let calls = CallLog()
    let timings: ObjectTimings
    /// Whether peers audit each other.
    private let audits: Bool
    /// Rules that the gateway does not keep.
    private let brokenRules: Set<ObjectRule>
    private let cacheBytes: Int
    private let readBytes: Int
    /// The lease that the gateway asks for when it starts next.
    var lease: Duration? {
        get { slots.lease.withLock { $0 } }
        set { slots.lease.withLock { $0 = newValue } }
    }
    /// Whether peers look after their own disks.
    private let upkeep: Bool

    var gateway: ObjectGateway {
        slots.gateway.withLock { gateway in
            guard let gateway else { preconditionFailure("start the gateway first") }
            return gateway
        }
    }

    /// What the gateway's reads have taken.
    var readMemoryBytes: Int { slots.readMemory.withLock { $0?.usedBytes ?? 0 } }

    func messaging(_ node: Node) -> DirectMessaging? {
        slots.answering.withLock { $0[node.id] }
    }

    func store(_ node: Node) -> ShardStore {
        slots.stores.withLock { stores in
            guard let store = stores[node.id] else { preconditionFailure("no store yet") }
            return store
        }
    }

    /// Changes what a store has of a shard's data.
    func flipABit(of segment: SegmentID, index: Int, at node: Node) throws {
        let store = store(node)
        let key = ShardKey(segment: segment, index: UInt8(index), chunk: 0)
        try world.perform(on: node.peer) {
            guard var piece = try await store.get(key) else {
                preconditionFailure("no such shard there")
            }
            piece[100] ^= 1
            try await store.put([(key, piece)])
        }
    }

    /// Answers one kind of request at a storage peer in another way from now on.
    func override(
        _ node: Node, _ method: RPCMethod,
        _ handler: @escaping @Sendable (PeerContact, [UInt8]) async throws -> [UInt8]
    ) {
        slots.answering.withLock { $0[node.id] }?.handle(method, with: handler)
    }

    /// Sums what all repairers say.
    func status() throws -> RepairStatus {
        var sum = RepairStatus()
        for node in nodes where node.peer.isRunning {
            guard let repairer = repairer(node) else { continue }
            let status = try world.perform(on: node.peer) { await repairer.status }
            sum.segments += status.segments
            sum.full += status.full
            sum.degraded += status.degraded
            sum.atRisk += status.atRisk
            sum.lost += status.lost
            sum.queued += status.queued
            sum.repairedBytes += status.repairedBytes
        }
        return sum
    }

    /// Runs until the repairers say that all `segments` are full.
    func runUntilFull(segments: Int, limit: Int = 120) throws -> Bool {
        for _ in 0..<limit {
            world.run(for: .seconds(1))
            let status = try status()
            if status.segments == segments, status.full == segments { return true }
        }
        return false
    }

    /// Who holds which index of all segments, as the rows say.
    func holders() -> [(segment: SegmentID, entry: HolderEntry)] {
        shared.state.withLock { state in
            state.merges.filter { $0.key.table == .holders }.flatMap { key, row in
                row.filter { $0.value != nil }.compactMap { element, _ in
                    (try? HolderEntry(element: element)).map { (SegmentID(key.position), $0) }
                }
            }.sorted { ($0.0, $0.1.index) < ($1.0, $1.1.index) }
        }
    }

    func node(_ id: PeerID) -> Node? { nodes.first { $0.id == id } }

    func repairer(_ node: Node) -> Repairer? { slots.repairers.withLock { $0[node.id] } }

    func auditor(_ node: Node) -> Auditor? { slots.auditors.withLock { $0[node.id] } }

    func departure(_ node: Node) -> Departure {
        slots.departures.withLock { departures in
            guard let departure = departures[node.id] else { preconditionFailure("no such peer") }
            return departure
        }
    }

    func scrubber(_ node: Node) -> Scrubber? { slots.scrubbers.withLock { $0[node.id] } }

    /// What a peer knows of the others' standing; the gateway's, too.
    func book(_ node: Node) -> StandingBook {
        slots.books.withLock { $0[node.id] } ?? StandingBook()
    }

    /// What the node's placement is salted with, the newest first.
    func salts(_ node: Node) -> [PlacementSalt] {
        slots.salts.withLock { $0[node.id]?.recent } ?? []
    }

    init(
        storers: Int, seed: UInt64 = 1, zones: Int = 0, audits: Bool = false,
        upkeep: Bool = false, lease: Duration? = nil, timings: ObjectTimings = .devnet,
        gatewayWithout brokenRules: Set<ObjectRule> = [], cacheBytes: Int = 0,
        readBytes: Int = ReadMemory.defaultBytes
    ) throws {
        self.upkeep = upkeep
        self.audits = audits
        self.timings = timings
        self.brokenRules = brokenRules
        self.cacheBytes = cacheBytes
        self.readBytes = readBytes
        slots.lease.withLock { $0 = lease }
        world = SimulatedWorld(seed: seed)
        gatewayNode = ObjectWorld.node(world, 0)
        shared.state.withLock { $0.validate = ObjectRowRules.validate }
        for index in 0..<storers {
            try addStorer(zone: zones > 0 ? "zone\(index % zones)" : "")
        }
        try startGateway()
    }

    private static func node(_ world: SimulatedWorld, _ number: UInt8) -> Node {
        let signing = SigningKey(seed: [UInt8](repeating: number, count: 32))
        return Node(peer: world.addPeer(), id: signing.verifyingKey.peerID, signing: signing)
    }

    /// Starts one more storage peer, with a store of its own, holding and repairing.
    @discardableResult
    func addStorer(zone: String = "") throws -> Node {
        let node = ObjectWorld.node(world, UInt8(nodes.count + 1))
        nodes.append(node)
        launch(node, zone: zone)
        world.run(limit: .seconds(10)) { slots.stores.withLock { $0[node.id] != nil } }
        shared.state.withLock { state in
            state.custodians = nodes.prefix(5).map(\.id)
        }
        return node
    }

    private func launch(_ node: Node, zone: String) {
        let (world, shared, members) = (world, shared, members)
        let (timings, slots, audits, upkeep) = (timings, slots, audits, upkeep)
        let calls = calls
        node.peer.start { peer in
            let environment = peer.environment
            let messaging = DirectMessaging(world: world, peer: peer, id: node.id)
            let store = try await ShardStore.open(environment, allocated: 1 << 34)
            let serving = ServingState()
            let holder = ShardHolder(
                environment: environment, messaging: messaging, store: store,
                signing: node.signing, timings: timings, serving: serving)
            holder.start()
            slots.learnAll(PeerContact(peer: node.id, address: peer.address), messaging)
            members.set(
                MemberInfo(
                    contact: PeerContact(peer: node.id, address: peer.address),
                    roles: .storage, zone: zone, store: store.storeID,
                    allocatedBytes: 1 << 34, freeBytes: 1 << 34))
            let context = ObjectContext(
                environment: environment, messaging: LoggedMessaging(messaging, calls),
                membership: FakeMembership(node.id, members),
                tables: FakeTables(shared, node.id),
                timings: timings)
            let repairer = Repairer(context: context)
            repairer.start()
            slots.answering.withLock { $0[node.id] = messaging }
            slots.stores.withLock { $0[node.id] = store }
            slots.repairers.withLock { $0[node.id] = repairer }
            let auditor = Auditor(context: context, repairer: repairer, signing: node.signing)
            let keeper = StandingKeeper(context: context, signing: node.signing)
            slots.auditors.withLock { $0[node.id] = auditor }
            let scrubber = Scrubber(context: context, holder: holder, store: store)
            let collector = HolderCollector(context: context, holder: holder, store: store)
            let watch = StoreWatch(context: context, stores: ["shards"], state: serving) {}
            slots.scrubbers.withLock { $0[node.id] = scrubber }
            let departure = Departure(context: context, holder: holder, store: store)
            slots.departures.withLock { $0[node.id] = departure }
            slots.books.withLock { $0[node.id] = context.standings }
            slots.salts.withLock { $0[node.id] = context.salts }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await holder.run() }
                group.addTask { try await repairer.run() }
                group.addTask { try await departure.run() }
                if upkeep {
                    group.addTask { try await scrubber.run() }
                    group.addTask { try await collector.run() }
                    group.addTask { try await watch.run() }
                }
                if audits {
                    group.addTask { try await auditor.run() }
                    group.addTask { try await keeper.run() }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Starts, or starts again, the gateway's process.
    func startGateway() throws {
        let (world, shared, members) = (world, shared, members)
        let (timings, slots, gatewayNode) = (timings, slots, gatewayNode)
        let (brokenRules, cacheBytes, readBytes) = (brokenRules, cacheBytes, readBytes)
        slots.gateway.withLock { $0 = nil }
        if gatewayNode.peer.lives > 1 || !gatewayNode.peer.isRunning {
            gatewayNode.peer.restart()
        } else {
            gatewayNode.peer.start { peer in
                let messaging = DirectMessaging(world: world, peer: peer, id: gatewayNode.id)
                slots.learnAll(
                    PeerContact(peer: gatewayNode.id, address: peer.address), messaging)
                let context = ObjectContext(
                    environment: peer.environment, messaging: messaging,
                    membership: FakeMembership(gatewayNode.id, members),
                    tables: FakeTables(shared, gatewayNode.id), timings: timings,
                    brokenRules: brokenRules, cacheBytes: cacheBytes, readBytes: readBytes)
                slots.readMemory.withLock { $0 = context.readMemory }
                slots.books.withLock { $0[gatewayNode.id] = context.standings }
                let gateway = ObjectGateway(
                    context: context, accountSeed: [UInt8](repeating: 77, count: 32),
                    lease: slots.lease.withLock { $0 })
                slots.gateway.withLock { $0 = gateway }
                try await gateway.run()
            }
        }
        world.run(limit: .seconds(10)) { slots.gateway.withLock { $0 != nil } }
    }

    /// What another gateway works with, of whatever account; it reaches tables, and peers if so wanted.
    func addContext(
        reachesPeers: Bool = false, number: UInt8 = 250
    ) -> (peer: SimulatedPeer, context: ObjectContext) {
        let node = ObjectWorld.node(world, number)
        node.peer.start { peer in try await peer.environment.sleep(for: .seconds(1 << 20)) }
        let messaging = DirectMessaging(world: world, peer: node.peer, id: node.id)
        if reachesPeers {
            slots.learnAll(PeerContact(peer: node.id, address: node.peer.address), messaging)
        }
        let context = ObjectContext(
            environment: node.peer.environment, messaging: messaging,
            membership: FakeMembership(node.id, members),
            tables: FakeTables(shared, node.id),
            timings: timings)
        return (node.peer, context)
    }

    /// Another gateway of the account, which does nothing by itself.
    func addReader(
        reachesPeers: Bool = false
    ) -> (peer: SimulatedPeer, gateway: ObjectGateway) {
        let (peer, context) = addContext(reachesPeers: reachesPeers)
        return (
            peer, ObjectGateway(context: context, accountSeed: [UInt8](repeating: 77, count: 32))
        )
    }

    /// Runs `body` with the gateway to its end.
    func perform<Value: Sendable>(
        limit: Duration = .seconds(600),
        _ body: @escaping @Sendable (ObjectGateway) async throws -> Value
    ) throws -> Value {
        let gateway = gateway
        return try world.perform(on: gatewayNode.peer, limit: limit) { try await body(gateway) }
    }

    func kill(_ node: Node) {
        node.peer.crash()
        members.mark(node.id, .dead)
    }

    func put(
        _ key: String, _ bytes: [UInt8], piece: Int = 64 << 10, options: PutOptions = PutOptions()
    ) throws -> ObjectInfo {
        try perform { gateway in
            try await gateway.put(
                key, in: "bucket", options: options, body: Pieces(bytes, of: piece))
        }
    }

    func get(_ key: String, _ range: ByteRange = .whole) throws -> [UInt8] {
        try perform { gateway in
            var body = try await gateway.get(key, in: "bucket", range: range).source
            var bytes: [UInt8] = []
            while let piece = try await body.next() { bytes += piece }
            return bytes
        }
    }

    func createBucket() throws {
        _ = try perform { try await $0.createBucket("bucket") }
    }
}

/// A body in pieces; may throw after some bytes.
struct Pieces: ByteSource {
    private var bytes: ArraySlice<UInt8>
    private let piece: Int
    private let failure: (after: Int, error: BodyError)?
    private var given = 0

    struct BodyError: Error, Equatable {}

    init(_ bytes: [UInt8], of piece: Int, failingAfter: Int? = nil) {
        self.bytes = bytes[...]
        self.piece = piece
        failure = failingAfter.map { ($0, BodyError()) }
    }

    mutating func next() async throws -> [UInt8]? {
        if let failure, given >= failure.after { throw failure.error }
        guard !bytes.isEmpty else { return nil }
        let next = Array(bytes.prefix(piece))
        bytes = bytes.dropFirst(next.count)
        given += next.count
        return next
    }
}

/// Bytes that do not compress and differ by seed.
func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    var writer = ByteWriter(capacity: count + 8)
    for _ in 0..<(count + 7) / 8 { writer.write(generator.next()) }
    return Array(writer.bytes.prefix(count))
}
