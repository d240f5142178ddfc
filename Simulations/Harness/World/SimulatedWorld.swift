package import CyxCore
internal import Synchronization

/// What a world is made of, beside its seed.
package struct WorldOptions: Sendable {
    package var links = LinkQuality()
    package var diskCapacity: Int64 = 1 << 40
    /// How many segments one `send` of a simulated socket may carry.
    package var maximumSegments = 1
    /// First byte of the addresses: 10, or one of public addresses, each in a /24 of its own.
    package var firstByte: UInt8 = 10
    package var minimumLogLevel = LogLevel.info
    /// Log lines at or above this level are printed with their virtual time.
    package var printedLogLevel: LogLevel?
    package init() {}
}

/// Peers under one virtual clock, all on the thread that calls `run`. One seed gives one trace.
///
/// Code in the world must never reach a global executor, the real clock or hash order: then two
/// runs with the same seed end with the same `trace`.
package final class SimulatedWorld: Sendable {
    private struct State {
        var peers: [SimulatedPeer] = []
        var generator: SeededGenerator
        var executors: UInt64 = 0
    }

    package let seed: UInt64
    package let options: WorldOptions
    package let engine: EventEngine
    package let links: LinkModel
    let network: NetworkSwitch
    let directory = MessagingDirectory()
    private let state: Mutex<State>

    package init(seed: UInt64, options: WorldOptions = WorldOptions()) {
        var generator = SeededGenerator(seed: seed)
        self.seed = seed
        self.options = options
        engine = EventEngine()
        links = LinkModel(quality: options.links, seed: generator.next())
        network = NetworkSwitch(
            engine: engine, links: links, maximumSegments: options.maximumSegments)
        state = Mutex(State(generator: generator))
    }

    deinit { engine.shutDown() }

    package var now: Instant { engine.now }
    package var trace: TraceHash { engine.trace }
    package var peers: [SimulatedPeer] { state.withLock { $0.peers } }

    /// A generator for the scenario itself, a stream of the seed.
    package func generator() -> SeededGenerator {
        SeededGenerator(seed: state.withLock { $0.generator.next() })
    }

    /// Adds a peer with a disk and an address of its own, from its number.
    package func addPeer(_ name: String? = nil) -> SimulatedPeer {
        let (index, seed) = state.withLock { ($0.peers.count + 1, $0.generator.next()) }
        let peer = SimulatedPeer(
            world: self, index: index, name: name ?? "peer\(index)", seed: seed)
        state.withLock { $0.peers.append(peer) }
        return peer
    }

    /// Puts a NAT into the network, at an address from its number.
    package func addNAT(_ behaviour: NATBehaviour, number: Int) -> NATBoxID {
        let address = SocketAddress(
            ipv4: (options.firstByte, 200, UInt8(number & 255), 1), port: 0)
        let seed = state.withLock { $0.generator.next() }
        network.state.withLock {
            $0.boxes[address.ip] = NATBox(
                publicIP: address.ip, behaviour: behaviour, seed: seed)
        }
        return NATBoxID(ip: address.ip)
    }

    /// Adds a peer behind a NAT, with the address 192.168.x.y.
    package func addPeer(_ name: String, behind box: NATBoxID) -> SimulatedPeer {
        let (index, seed) = state.withLock { ($0.peers.count + 1, $0.generator.next()) }
        let inside = SocketAddress(
            ipv4: (192, 168, UInt8(index >> 8 & 255), UInt8(index & 255)), port: 7700)
        let peer = SimulatedPeer(
            world: self, index: index, name: name, seed: seed, address: inside)
        state.withLock { $0.peers.append(peer) }
        network.state.withLock { $0.behind[inside.ip] = box.ip }
        return peer
    }

    package func addPeers(_ count: Int) -> [SimulatedPeer] { (0..<count).map { _ in addPeer() } }

    func nextExecutorIdentity() -> UInt64 {
        state.withLock { state in
            state.executors += 1
            return state.executors
        }
    }

    /// Ends everything: processes are asked to stop, and are killed `grace` later; disks are wiped.
    /// A task that a death abandoned holds what it captured for ever, so a program that runs many
    /// worlds ends each, or keeps them all.
    package func end(grace: Duration = .seconds(10)) {
        for peer in peers where peer.isRunning { peer.stop() }
        run(for: grace)
        for peer in peers {
            peer.crash()
            peer.disk.wipe()
        }
    }

    // MARK: Running

    package func run(for duration: Duration) {
        _ = engine.run(until: now + duration) { false }
    }

    /// Runs until `predicate` holds (asked after each event) or `limit` has passed; returns
    /// whether it holds.
    @discardableResult
    package func run(limit: Duration, until predicate: () -> Bool) -> Bool {
        engine.run(until: now + limit, isDone: predicate)
    }

    /// Starts a task on `peer`, which ends with the peer's life. Its result can be waited for.
    package func spawn<Value: Sendable>(
        _ peer: SimulatedPeer, _ body: @escaping @Sendable () async throws -> Value
    ) -> SimulatedTask<Value> {
        SimulatedTask(executor: peer.environment.simulatedExecutor, body)
    }

    /// Runs the world until `task` has ended and returns what it returned.
    /// Throws what it threw, or `SimulationError.stillRunning` after `limit`.
    package func wait<Value: Sendable>(
        _ task: SimulatedTask<Value>, limit: Duration = .seconds(600)
    ) throws -> Value {
        run(limit: limit) { task.result != nil }
        guard let result = task.result else { throw SimulationError.stillRunning(after: limit) }
        return try result.get()
    }

    /// Runs `body` on `peer` to its end: `spawn` and `wait`.
    package func perform<Value: Sendable>(
        on peer: SimulatedPeer, limit: Duration = .seconds(600),
        _ body: @escaping @Sendable () async throws -> Value
    ) throws -> Value {
        try wait(spawn(peer, body), limit: limit)
    }

    /// Calls `body` at a virtual time, outside every peer: how scenarios inject faults.
    package func at(_ time: Instant, _ body: @escaping @Sendable () -> Void) {
        engine.schedule(at: time, kind: .fault, owner: nil, body)
    }

    /// One line that says how to compare this run with another.
    package var summary: String {
        "seed \(seed), \(now.nanoseconds / 1_000_000_000) virtual s, "
            + "\(engine.eventCount) events, \(engine.jobCount) jobs, trace \(trace)"
    }
}

/// Names a NAT of a world.
package struct NATBoxID: Hashable, Sendable {
    let ip: UInt128
}

package enum SimulationError: Error, Equatable {
    case stillRunning(after: Duration)
}

/// A task of a simulated peer and, once it has ended, its result.
package final class SimulatedTask<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var task: Task<Void, Never>?
    }

    private let state = Mutex(State())

    init(executor: SimulatedExecutor, _ body: @escaping @Sendable () async throws -> Value) {
        // Unstructured on purpose: the world owns it, and the peer's death abandons it.
        let task = Task(executorPreference: executor) { [self] in
            let result: Result<Value, any Error>
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            state.withLock { $0.result = result }
        }
        state.withLock { $0.task = task }
    }

    package var result: Result<Value, any Error>? { state.withLock { $0.result } }
    package func cancel() { state.withLock { $0.task }?.cancel() }
}
