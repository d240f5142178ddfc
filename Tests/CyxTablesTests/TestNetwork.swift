import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization

/// Who is in the network, as the test says; every peer sees the same.
final class TestDirectory: Sendable {
    private let members = Mutex<[PeerID: Member]>([:])
    private let observers = Mutex<[@Sendable () -> Void]>([])
    /// How many members a peer sees, those closest to it and itself; nil: all.
    let sample: Int?

    init(sample: Int? = nil) { self.sample = sample }

    func set(_ member: Member) {
        members.withLock { $0[member.peer] = member }
        notify()
    }

    func observe(_ observer: @escaping @Sendable () -> Void) {
        observers.withLock { $0.append(observer) }
    }

    private func notify() {
        for observer in observers.withLock({ $0 }) { observer() }
    }

    func change(_ peer: PeerID, to state: MemberState, at time: Instant) {
        members.withLock { members in
            members[peer]?.state = state
            members[peer]?.since = time
        }
        notify()
    }

    func drain(_ peer: PeerID) {
        members.withLock { $0[peer]?.info.isDraining = true }
        notify()
    }

    var all: [PeerID: Member] { members.withLock { $0 } }
}

final class TestMembership: Membership {
    private let localPeer: PeerID
    private let directory: TestDirectory
    private let executor: any PeerExecutor
    /// What this peer asks after besides what it sees of a network that is too large.
    private let watched = Mutex<[WatchList.Interest: Set<PeerID>]>([:])

    init(localPeer: PeerID, directory: TestDirectory, executor: any PeerExecutor) {
        self.localPeer = localPeer
        self.directory = directory
        self.executor = executor
    }

    var snapshot: MembershipSnapshot {
        let all = directory.all
        guard let sample = directory.sample, all.count > sample else {
            return MembershipSnapshot(localPeer: localPeer, members: all)
        }
        let close = all.keys.sorted {
            ($0.digest ^ localPeer.digest) < ($1.digest ^ localPeer.digest)
        }
        let watched = watched.withLock { $0.values.reduce(into: Set()) { $0.formUnion($1) } }
        // This peer itself is the closest.
        let seen = watched.union(close.prefix(sample))
        return MembershipSnapshot(
            localPeer: localPeer, members: all.filter { seen.contains($0.key) }, isPartial: true)
    }

    func watch(_ peers: Set<PeerID>, for interest: WatchList.Interest) {
        watched.withLock { $0[interest] = peers }
    }

    func keepers(of position: Digest, count: Int) async -> [PeerID] {
        guard directory.sample != nil else { return snapshot.ranked(position, count: count) }
        // One, which hardly ever is a custodian: it knows only what it was taught.
        let all = directory.all.values.filter(\.isReachable).map(\.peer)
        return all.filter { $0 != localPeer }.sorted {
            ($0.digest ^ position) < ($1.digest ^ position)
        }.prefix(1).map { $0 }
    }

    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {
        directory.observe { self.executor.execute { observer(self.snapshot) } }
    }

    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {}
}

/// One peer of a test network: its tables run in its process and start anew after a restart.
final class TestPeer: Sendable {
    let machine: SimulatedPeer
    let key: SigningKey
    let id: PeerID
    let store: StoreID
    private let service = Mutex<TableService?>(nil)

    init(machine: SimulatedPeer, seed: UInt8) {
        self.machine = machine
        key = SigningKey(seed: [UInt8](repeating: seed, count: 32))
        id = key.verifyingKey.peerID
        store = StoreID(BLAKE3.hash([seed]))
    }

    var tables: TableService {
        guard let tables = service.withLock({ $0 }) else {
            preconditionFailure("\(machine.name) does not run")
        }
        return tables
    }

    var isReady: Bool { service.withLock { $0 } != nil && machine.isRunning }

    func boot(_ network: TestNetwork, isFounder: Bool) {
        machine.start { [unowned self] machine in
            service.withLock { $0 = nil }
            var configuration = network.configuration
            network.exceptions.withLock { $0[id] }?(&configuration)
            configuration.isFounder = isFounder
            let messaging = DirectMessaging(world: network.world, peer: machine, id: id)
            for peer in network.peers {
                messaging.learn(PeerContact(peer: peer.id, address: peer.machine.address))
            }
            let tables = try await TableService(
                environment: machine.environment, key: key, storeID: store, messaging: messaging,
                membership: TestMembership(
                    localPeer: id, directory: network.directory,
                    executor: machine.environment.executor),
                configuration: configuration)
            service.withLock { $0 = tables }
            try await tables.run()
        }
    }
}

final class TestNetwork: Sendable {
    let world: SimulatedWorld
    let directory: TestDirectory
    let configuration: TablesConfiguration
    /// What single peers are started with instead, from their next start on.
    let exceptions = Mutex<[PeerID: @Sendable (inout TablesConfiguration) -> Void]>([:])
    let peers: [TestPeer]

    /// A network of `count` machines, none of them started yet.
    init(
        seed: UInt64, peers count: Int, depth: UInt8 = 2, loss: Double = 0, sample: Int? = nil,
        _ configure: (inout TablesConfiguration) -> Void = { _ in }
    ) {
        var options = WorldOptions()
        options.links.loss = loss
        options.minimumLogLevel = .warning
        options.printedLogLevel = nil
        let world = SimulatedWorld(seed: seed, options: options)
        self.world = world
        directory = TestDirectory(sample: sample)
        var configuration = TablesConfiguration()
        configuration.genesisDepth = depth
        // As many partitions as the test says, unless it is about splits.
        configuration.splitRatio = 0
        configuration.timings = .devnet
        // Everything that is taught at all.
        configuration.lessonRowsMin = 1
        configuration.twoPhaseTables = [TableID(rawValue: 5)]
        configuration.loggedTables = [TestNetwork.registers]
        configure(&configuration)
        self.configuration = configuration
        peers = (0..<count).map { TestPeer(machine: world.addPeer(), seed: UInt8($0 + 1)) }
    }

    /// Starts a peer and lets everyone know it; the first one founds the network.
    func start(_ index: Int, storing: Bool = true) {
        let peer = peers[index]
        let info = MemberInfo(
            contact: PeerContact(peer: peer.id, address: peer.machine.address),
            roles: storing ? [.storage] : [.gateway], zone: "", store: storing ? peer.store : nil,
            allocatedBytes: 1 << 30, freeBytes: 1 << 30)
        peer.boot(self, isFounder: index == 0)
        directory.set(Member(info: info, state: .alive, since: world.now))
        world.run(limit: .seconds(5)) { peer.isReady }
    }

    /// Has peers give their seats away, and ends each that nobody needs any more; returns who is
    /// still needed at the end.
    func drain(_ indices: [Int], limit: Duration = .seconds(60)) throws -> [Int] {
        var left = indices
        for index in left { directory.drain(peers[index].id) }
        let deadline = world.now + limit
        while !left.isEmpty, world.now < deadline {
            world.run(for: .milliseconds(250))
            for index in left where try perform(on: index, { await $0.health() }).held == 0 {
                left.removeAll { $0 == index }
                directory.change(peers[index].id, to: .left, at: world.now)
                peers[index].machine.crash()
            }
        }
        return left
    }

    func crash(_ index: Int) {
        peers[index].machine.crash()
        directory.change(peers[index].id, to: .dead, at: world.now)
    }

    /// Starts crashed peers again, all at the same moment.
    func restart(_ indices: Int...) {
        for index in indices {
            peers[index].machine.restart()
            directory.change(peers[index].id, to: .alive, at: world.now)
        }
        world.run(limit: .seconds(5)) { indices.allSatisfy { self.peers[$0].isReady } }
    }

    /// Runs `body` on a peer with its tables.
    func perform<Value: Sendable>(
        on index: Int, _ body: @escaping @Sendable (TableService) async throws -> Value
    ) throws -> Value {
        let peer = peers[index]
        return try world.perform(on: peer.machine) { try await body(peer.tables) }
    }

    static let registers = TableID(rawValue: 2)
    static let merges = TableID(rawValue: 3)
    static let twoPhase = TableID(rawValue: 5)

    static func key(_ table: TableID, _ number: UInt64) -> RowKey {
        var generator = SeededGenerator(seed: number)
        let position = Digest(
            generator.next(), generator.next(), generator.next(), generator.next())
        return RowKey(table: table, position: position, suffix: [])
    }
}
