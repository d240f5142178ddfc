package import CyxAssembly
package import CyxCore
internal import CyxCrypto
package import CyxObjects
package import CyxOverlay
package import CyxTables
internal import CyxTransport
package import SimulationHarness
internal import Synchronization

/// How the peers of a cluster are set up.
package struct ClusterOptions: Sendable {
    package var profile = TimingProfile.devnet
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
        /// What runs of it.
        package var parts: RunningParts
    }

    private struct State {
        var lives: [Int: Life] = [:]
        var indices: [PeerID: Int] = [:]
    }

    package let world: SimulatedWorld
    package let options: ClusterOptions
    /// Peers whose holders lie to readers.
    let liars = LiarList()
    private let state = Mutex(State())
    /// What each peer lends, in bytes.
    private static let allocatedBytes: Int64 = 1 << 34
    /// In every other world, members-to-be of views learn even the smallest partition in advance.
    private let lessonRowsMin: Int
    private let accountSeed = [UInt8](repeating: 42, count: 32)
    private let networkKey = [UInt8](repeating: 17, count: 32)

    package init(seed: UInt64, options: ClusterOptions) {
        world = SimulatedWorld(seed: seed, options: options.world)
        self.options = options
        lessonRowsMin = seed.isMultiple(of: 2) ? 1 : RowLimits.scanPageRows
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
        let seed = BLAKE3.deriveKey(
            context: "cyxcloud simulated peer",
            [UInt8(peer.index >> 8), UInt8(peer.index & 255)], count: 32)
        var plan = PeerPlan(
            identity: SigningKey(seed: seed), network: NetworkSecret(privateKey: networkKey),
            listen: peer.address, allocatedBytes: Cluster.allocatedBytes)
        plan.bootstrap = bootstrap
        plan.roles = [.storage, .gateway]
        plan.zone = "zone\(peer.index % options.zones)"
        plan.profile = options.profile
        plan.genesisDepth = options.genesisDepth
        plan.lessonRowsMin = lessonRowsMin
        let assembly = try await PeerAssembly(environment: peer.environment, plan: plan) {
            LyingMessaging($0) { self.liars.contains(peer) }
        }
        let gateway = ObjectGateway(context: assembly.objects, accountSeed: accountSeed)
        state.withLock {
            $0.indices[assembly.messaging.localPeer] = peer.index
            $0.lives[peer.index] = Life(
                overlay: assembly.overlay, tables: assembly.tables, gateway: gateway,
                parts: assembly.parts)
        }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await assembly.run() }
            group.addTask { try await assembly.parts.run("gateway") { try await gateway.run() } }
        }
    }

    // MARK: Faults

    package func life(of peer: SimulatedPeer) -> Life? {
        guard peer.isRunning else { return nil }
        return state.withLock { $0.lives[peer.index] }
    }

    /// The machine of a peer; nil if it never ran.
    func peer(_ id: PeerID) -> SimulatedPeer? {
        guard let index = state.withLock({ $0.indices[id] }) else { return nil }
        return world.peers.first { $0.index == index }
    }

    /// Who a machine that runs is.
    func id(of peer: SimulatedPeer) -> PeerID? { life(of: peer)?.overlay.snapshot.localPeer }

    package func crash(_ peer: SimulatedPeer) {
        state.withLock { $0.lives[peer.index] = nil }
        peer.crash()
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
