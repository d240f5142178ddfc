internal import CyxCore
internal import CyxCrypto
package import CyxObjects
package import CyxOverlay
internal import CyxStorage
package import CyxTables
package import CyxTransport
package import SimulationHarness
internal import Synchronization

/// How the peers of a cluster are set up.
package struct ClusterOptions: Sendable {
    package var membership = MembershipTimings.devnet
    package var tables = TableTimings.devnet
    package var objects = ObjectTimings.devnet
    package var transport = TransportTimings.devnet
    package var genesisDepth: UInt8 = 4
    package var zones = 1
    package var world = WorldOptions()
    package init() {}
}

/// Whole peers of one private network in a simulated world: transport, overlay, tables, holder,
/// repair and a gateway each, as `cyxpeer` has them.
package final class Cluster: Sendable {
    /// One life of one peer.
    package struct Life: Sendable {
        package var overlay: Overlay
        package var tables: TableService
        package var gateway: ObjectGateway
    }

    private struct State {
        var lives: [Int: Life] = [:]
        /// Peers that are gone for good.
        var retired: Set<Int> = []
    }

    package let world: SimulatedWorld
    package let options: ClusterOptions
    private let state = Mutex(State())
    private let accountSeed = [UInt8](repeating: 42, count: 32)
    private let networkKey = [UInt8](repeating: 17, count: 32)

    package init(seed: UInt64, options: ClusterOptions) {
        world = SimulatedWorld(seed: seed, options: options.world)
        self.options = options
    }

    /// Starts one more peer; the first one founds the network, the others join through it and,
    /// where there is one, through the second.
    @discardableResult
    package func addPeer() -> SimulatedPeer {
        let peer = world.addPeer()
        let bootstrap = world.peers.prefix(2).filter { $0.index < peer.index }.map(\.address)
        peer.start { [weak self] peer in
            try await self?.boot(peer, bootstrap: bootstrap)
        }
        return peer
    }

    private func boot(_ peer: SimulatedPeer, bootstrap: [SocketAddress]) async throws {
        let environment = peer.environment
        let key = SigningKey(
            seed: BLAKE3.deriveKey(
                context: "cyxcloud simulated peer",
                [UInt8(peer.index >> 8), UInt8(peer.index & 255)],
                count: 32))
        let network = NetworkID(BLAKE3.hash(networkKey))
        let shards = try await ShardStore.open(environment, allocated: 1 << 34)
        let messaging = try UDPMessaging(
            TransportConfiguration(
                networkKey: networkKey, networkID: network, identity: key,
                timings: options.transport), environment: environment, address: peer.address)
        let usage = await shards.usage
        let info = MemberInfo(
            contact: PeerContact(peer: key.verifyingKey.peerID, address: peer.address),
            roles: [.storage, .gateway], zone: "zone\(peer.index % options.zones)",
            store: shards.storeID, allocatedBytes: UInt64(usage.allocated),
            freeBytes: UInt64(max(0, usage.free)))
        var overlayOptions = OverlayOptions()
        overlayOptions.bootstrap = bootstrap
        overlayOptions.timings = options.membership
        overlayOptions.network = network
        let overlay = Overlay(
            environment: environment, messaging: messaging, identity: key, info: info,
            options: overlayOptions)
        var configuration = TablesConfiguration()
        configuration.genesisDepth = options.genesisDepth
        configuration.isFounder = bootstrap.isEmpty
        configuration.timings = options.tables
        configuration.twoPhaseTables = ObjectRowRules.twoPhaseTables
        configuration.validate = ObjectRowRules.validate
        let tables = try await TableService(
            environment: environment, key: key, storeID: shards.storeID, messaging: messaging,
            membership: overlay, configuration: configuration)
        let holder = ShardHolder(
            environment: environment, messaging: messaging, store: shards, signing: key,
            timings: options.objects)
        let context = ObjectContext(
            environment: environment, messaging: messaging, membership: overlay, tables: tables,
            timings: options.objects)
        let repairer = Repairer(context: context)
        let gateway = ObjectGateway(context: context, accountSeed: accountSeed)
        state.withLock {
            $0.lives[peer.index] = Life(overlay: overlay, tables: tables, gateway: gateway)
        }
        messaging.start()
        holder.start()
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await messaging.run() }
            group.addTask { try await overlay.run() }
            group.addTask { try await tables.run() }
            group.addTask { try await holder.run() }
            group.addTask { try await repairer.run() }
            group.addTask { try await gateway.run() }
        }
    }

    // MARK: Faults

    package func life(of peer: SimulatedPeer) -> Life? {
        guard peer.isRunning else { return nil }
        return state.withLock { $0.lives[peer.index] }
    }

    package func crash(_ peer: SimulatedPeer) {
        state.withLock { $0.lives[peer.index] = nil }
        peer.crash()
    }

    /// Crashes `peer` for good.
    package func retire(_ peer: SimulatedPeer) {
        crash(peer)
        _ = state.withLock { $0.retired.insert(peer.index) }
    }

    package func isRetired(_ peer: SimulatedPeer) -> Bool {
        state.withLock { $0.retired.contains(peer.index) }
    }

    /// Peers whose process runs, by number.
    package var running: [SimulatedPeer] { world.peers.filter(\.isRunning) }

    // MARK: Looking

    /// Whether every running peer holds exactly the running peers reachable.
    package var hasConverged: Bool {
        let running = running
        return running.allSatisfy { peer in
            guard let life = life(of: peer) else { return false }
            return life.overlay.snapshot.reachable.count == running.count
        }
    }

    /// Runs until `predicate` holds, asking every `interval` of virtual time.
    package func settle(
        _ limit: Duration, every interval: Duration = .milliseconds(250),
        _ predicate: () -> Bool
    ) -> Bool {
        let deadline = world.now + limit
        while world.now < deadline {
            if predicate() { return true }
            world.run(for: interval)
        }
        return predicate()
    }

    /// The tables' health as every running peer reports it; nil entries did not answer in 10 s.
    package func tablesHealth() -> [TablesHealth?] {
        let tasks = running.compactMap { peer in
            life(of: peer).map { life in world.spawn(peer) { await life.tables.health() } }
        }
        world.run(limit: .seconds(10)) { tasks.allSatisfy { $0.result != nil } }
        return tasks.map { task in
            if case .success(let health)? = task.result { return health }
            return nil
        }
    }
}
