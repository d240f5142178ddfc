/// Everything a peer may touch of the world, handed to every shell. Production and simulation are
/// two values of it, and nothing above `CyxCore` reaches around it (architecture §4).
package struct Environment: Sendable {
    package var executor: any PeerExecutor
    package var random: any RandomSource
    package var network: any DatagramNetwork
    package var storage: any StorageDevice
    package var blocking: any BlockingPool
    package var logger: Logger
    package var metrics: MetricsRegistry

    package init(
        executor: any PeerExecutor, random: any RandomSource, network: any DatagramNetwork,
        storage: any StorageDevice, blocking: any BlockingPool, logger: Logger,
        metrics: MetricsRegistry
    ) {
        self.executor = executor
        self.random = random
        self.network = network
        self.storage = storage
        self.blocking = blocking
        self.logger = logger
        self.metrics = metrics
    }

    package func now() -> Instant { executor.now() }
    package func wallTime() -> WallTime { executor.wallTime() }

    /// Suspends until `deadline`; throws `CancellationError` as soon as the task is cancelled.
    package func sleep(until deadline: Instant) async throws {
        let sleeper = Sleeper(executor: executor)
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { sleeper.begin($0, until: deadline) }
        } onCancel: {
            sleeper.cancel()
        }
    }

    package func sleep(for duration: Duration) async throws {
        try await sleep(until: now() + duration)
    }
}
