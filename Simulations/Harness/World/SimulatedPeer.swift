package import CyxCore
internal import Synchronization

/// One simulated machine: a disk and an address that last, and a process that starts and dies.
package final class SimulatedPeer: Sendable {
    package typealias Boot = @Sendable (SimulatedPeer) async throws -> Void

    private struct State {
        var environment: Environment
        var executor: SimulatedExecutor
        var generator: SeededGenerator
        var boot: Boot?
        var process: SimulatedTask<Void>?
        var lives = 1
    }

    /// From 1.
    package let index: Int
    package let name: String
    package let address: SocketAddress
    package let disk: SimulatedDisk
    package let clock: SimulatedWallClock
    package let log: SimulatedLog
    package let metrics = MetricsRegistry()
    private unowned let world: SimulatedWorld
    private let state: Mutex<State>

    init(
        world: SimulatedWorld, index: Int, name: String, seed: UInt64,
        address: SocketAddress? = nil
    ) {
        var generator = SeededGenerator(seed: seed)
        self.world = world
        self.index = index
        self.name = name
        let first = world.options.firstByte
        // In a public network everybody is in a network of its own.
        let shift = first == 10 ? 0 : 8
        let number = index << shift
        self.address =
            address
            ?? SocketAddress(
                ipv4: (
                    first, UInt8(number >> 16 & 255), UInt8(number >> 8 & 255),
                    UInt8(number & 255 | (shift == 0 ? 0 : 1))
                ), port: 7700)
        disk = SimulatedDisk(capacity: world.options.diskCapacity, seed: generator.next())
        clock = SimulatedWallClock()
        log = SimulatedLog(
            name: name, engine: world.engine, printedLevel: world.options.printedLogLevel)
        let (environment, executor) = Self.makeLife(
            world: world, index: index, address: self.address, disk: disk, clock: clock, log: log,
            metrics: metrics, generator: &generator)
        state = Mutex(State(environment: environment, executor: executor, generator: generator))
    }

    private static func makeLife(
        world: SimulatedWorld, index: Int, address: SocketAddress, disk: SimulatedDisk,
        clock: SimulatedWallClock, log: SimulatedLog, metrics: MetricsRegistry,
        generator: inout SeededGenerator
    ) -> (Environment, SimulatedExecutor) {
        let executor = SimulatedExecutor(
            engine: world.engine, identity: world.nextExecutorIdentity(),
            peerIndex: UInt64(index), clock: clock)
        let logger = Logger(
            part: "peer", minimumLevel: world.options.minimumLogLevel, sink: log,
            time: { executor.wallTime() })
        let environment = Environment(
            executor: executor, random: SimulatedRandom(seed: generator.next()),
            network: SimulatedNetwork(world.network, executor: executor, ip: address.ip),
            storage: disk,
            blocking: SimulatedBlockingPool(executor: executor, seed: generator.next()),
            logger: logger, metrics: metrics)
        return (environment, executor)
    }

    /// The environment of the present life; a restart makes a new one.
    package var environment: Environment { state.withLock { $0.environment } }
    package var isRunning: Bool { state.withLock { $0.executor.isAlive } }
    package var lives: Int { state.withLock { $0.lives } }

    /// Nil while the process runs or before it was started; its result after it ended by itself.
    package var processResult: Result<Void, any Error>? { state.withLock { $0.process }?.result }

    /// Starts the peer's process: `boot` runs as its root task, now and after every restart.
    package func start(_ boot: @escaping Boot) {
        state.withLock { $0.boot = boot }
        launch()
    }

    private func launch() {
        let (executor, boot) = state.withLock { ($0.executor, $0.boot) }
        guard let boot else { return }
        let process = SimulatedTask<Void>(executor: executor) { [unowned self] in
            try await boot(self)
        }
        state.withLock { $0.process = process }
    }

    /// Asks the process to end, by cancelling its root task; what it flushes on its way counts.
    package func stop() {
        world.engine.record(.fault, UInt64(index) << 8 | 1)
        state.withLock { $0.process }?.cancel()
    }

    /// SIGKILL, and power loss as far as the disk is concerned: tasks never run again, timers,
    /// callbacks and unflushed writes are gone. Datagrams on their way out still arrive.
    package func crash() {
        world.engine.record(.fault, UInt64(index) << 8 | 2)
        let executor = state.withLock { $0.executor }
        executor.die()
        world.network.closeSockets(of: executor)
        world.directory.remove(executor)
        disk.crash()
    }

    /// Starts a new life on what the disk kept, crashing the present one first if it still runs.
    package func restart() {
        if isRunning { crash() }
        world.engine.record(.fault, UInt64(index) << 8 | 3)
        state.withLock { state in
            let (environment, executor) = Self.makeLife(
                world: world, index: index, address: address, disk: disk, clock: clock, log: log,
                metrics: metrics, generator: &state.generator)
            state.environment = environment
            state.executor = executor
            state.lives += 1
        }
        launch()
    }
}

extension Environment {
    /// The executor of an environment that a world made.
    var simulatedExecutor: SimulatedExecutor {
        guard let executor = executor as? SimulatedExecutor else {
            preconditionFailure("not the environment of a simulated peer")
        }
        return executor
    }
}
