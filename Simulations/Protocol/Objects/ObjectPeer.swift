import CyxCore
import CyxCrypto
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization

/// One peer of a world of objects: tables, holder, repair, audits and collection as programs run
/// them, or a client's gateway, on messaging that skips the transport.
final class ObjectPeer: Sendable {
    private struct State {
        var tables: TableService?
        var gateway: ObjectGateway?
        var messaging: DirectMessaging?
        var departure: Departure?
        var hasHandedOver = false
        var isLying = false
        var hasLostFlushes = false
        var isGone = false
    }

    private static let allocatedBytes: Int64 = 1 << 34

    let machine: SimulatedPeer
    let id: PeerID
    let zone: String
    /// Whether it keeps rows and shards; otherwise it is a gateway.
    let isStoring: Bool
    /// Whether it is a member that only writes, and nothing true (`LyingMember`).
    let isLyingWriter: Bool
    /// Whether it is the gateway of an account with a lease (`LeasedAccount`).
    let isLeased: Bool
    private let key: SigningKey
    private let state = Mutex(State())

    init(
        machine: SimulatedPeer, zone: String, isStoring: Bool, isLyingWriter: Bool = false,
        isLeased: Bool = false
    ) {
        self.machine = machine
        self.zone = zone
        self.isStoring = isStoring
        self.isLyingWriter = isLyingWriter
        self.isLeased = isLeased
        key = SigningKey(
            seed: BLAKE3.deriveKey(
                context: "cyxcloud simulated objects", [UInt8(machine.index)], count: 32))
        id = key.verifyingKey.peerID
    }

    /// What runs in the present life; nil while it does not.
    var tables: TableService? { machine.isRunning ? state.withLock { $0.tables } : nil }
    var gateway: ObjectGateway? { machine.isRunning ? state.withLock { $0.gateway } : nil }
    var verifyingKey: VerifyingKey { key.verifyingKey }
    var isUp: Bool { tables != nil }
    var isGone: Bool { state.withLock { $0.isGone } }

    /// The life of its store, as its disk says.
    var store: StoreID? {
        machine.disk.value(of: ShardLayout.storeID, in: "shards").flatMap { StoreID(bytes: $0) }
    }

    /// Whether its disk has every part of that shard file that was stored.
    func holds(_ segment: SegmentID, _ index: Int) -> Bool {
        let rows = ShardLayout.rows(of: segment, index: UInt8(index))
        return !machine.disk.entries(in: "shards", rows).isEmpty
    }

    func info(store: StoreID?) -> MemberInfo {
        MemberInfo(
            contact: PeerContact(peer: id, address: machine.address),
            roles: isStoring ? [.storage] : [.gateway], zone: zone, store: store,
            allocatedBytes: UInt64(Self.allocatedBytes), freeBytes: UInt64(Self.allocatedBytes))
    }

    // MARK: Lives

    func boot(_ world: ObjectWorld, isFounder: Bool) {
        machine.start { [unowned self, unowned world] machine in
            state.withLock { ($0.tables, $0.gateway, $0.departure) = (nil, nil, nil) }
            let environment = machine.environment
            let messaging = DirectMessaging(world: world.world, peer: machine, id: id)
            for peer in world.peers {
                messaging.learn(PeerContact(peer: peer.id, address: peer.machine.address))
            }
            world.direct.introduce(id, at: machine)
            let shards =
                isStoring
                ? try await ShardStore.open(environment, allocated: Self.allocatedBytes) : nil
            let membership = DirectedMembership(
                localPeer: id, directory: world.directory, executor: environment.executor)
            var configuration = world.tables
            configuration.isFounder = isFounder
            let permits = PermitBook()
            configuration.rowGuard = ObjectRowRules.rowGuard(permits, without: world.broken)
            if isLyingWriter { configuration.validate = { _, _, _ in nil } }
            let salts = PlacementSalts()
            let tables = try await TableService(
                environment: environment, key: key,
                storeID: shards?.storeID ?? StoreID(BLAKE3.hash(id.bytes)), messaging: messaging,
                membership: membership, salts: salts, configuration: configuration)
            let context = ObjectContext(
                environment: environment, messaging: messaging, membership: membership,
                tables: tables, timings: world.timings, salts: salts, permits: permits,
                brokenRules: world.broken)
            world.direct.join(messaging)
            world.directory.set(
                Member(info: info(store: shards?.storeID), state: .alive, since: world.world.now))
            state.withLock { ($0.tables, $0.messaging) = (tables, messaging) }
            if let shards {
                try await runStorer(tables, context, shards, messaging)
            } else if isLyingWriter {
                try await tables.run()
            } else {
                try await runGateway(tables, context)
            }
        }
    }

    private func runStorer(
        _ tables: TableService, _ context: ObjectContext, _ shards: ShardStore,
        _ messaging: DirectMessaging
    ) async throws {
        let holder = ShardHolder(
            environment: context.environment,
            messaging: LyingMessaging(messaging) { [unowned self] in isLying }, store: shards,
            signing: key, timings: context.timings)
        let repairer = Repairer(context: context)
        let auditor = Auditor(context: context, repairer: repairer, signing: key)
        let collector = HolderCollector(context: context, holder: holder, store: shards)
        let departure = Departure(context: context, holder: holder, store: shards)
        state.withLock { $0.departure = departure }
        holder.start()
        repairer.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tables.run() }
            group.addTask { try await holder.run() }
            group.addTask { try await repairer.run() }
            group.addTask { try await auditor.run() }
            group.addTask { try await collector.run() }
            group.addTask { try await departure.run() }
            group.addTask { try await self.noteEnd(of: departure) }
            try await group.waitForAll()
        }
    }

    private func runGateway(_ tables: TableService, _ context: ObjectContext) async throws {
        let gateway =
            isLeased
            ? ObjectGateway(
                context: context, accountSeed: LeasedAccount.seed, lease: LeasedAccount.length)
            : ObjectGateway(context: context, accountSeed: ObjectWorld.accountSeed)
        state.withLock { $0.gateway = gateway }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tables.run() }
            group.addTask { try await gateway.run() }
            try await group.waitForAll()
        }
    }

    // MARK: Leaving

    var departure: Departure? { machine.isRunning ? state.withLock { $0.departure } : nil }
    /// Whether it said, in this life or an earlier one, that nobody needs it any more.
    var hasHandedOver: Bool { state.withLock { $0.hasHandedOver } }

    /// As programs do, which then stop.
    private func noteEnd(of departure: Departure) async throws {
        for await purpose in departure.ends where purpose == .leave {
            try await departure.forget()
            state.withLock { $0.hasHandedOver = true }
        }
        try Task.checkCancellation()
    }

    func crash() {
        state.withLock { ($0.tables, $0.gateway, $0.departure) = (nil, nil, nil) }
        machine.crash()
    }

    /// Ends for good.
    func leave() {
        state.withLock { $0.isGone = true }
        crash()
    }

    // MARK: Lies

    /// Whether its disk lost what it had said to be durable.
    var hasLostFlushes: Bool { state.withLock { $0.hasLostFlushes } }
    func noteLostFlushes() { state.withLock { $0.hasLostFlushes = true } }

    /// Whether it gives readers of shards other bytes than it has.
    var isLying: Bool { state.withLock { $0.isLying } }
    func setLying(_ isLying: Bool) { state.withLock { $0.isLying = isLying } }
}
