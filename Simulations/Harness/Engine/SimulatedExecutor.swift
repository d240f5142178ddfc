package import CyxCore
internal import Synchronization

/// The thread of one life of one simulated peer. A restart makes a new one: jobs and timers of a
/// dead executor never run again, and their tasks are abandoned where they stand.
package final class SimulatedExecutor: PeerExecutor {
    let engine: EventEngine
    /// Unique among the executors of a world, never 0.
    let identity: UInt64
    /// From 1; 0 is the world itself.
    let peerIndex: UInt64
    private let clock: SimulatedWallClock
    private let alive = Atomic<Bool>(true)

    init(engine: EventEngine, identity: UInt64, peerIndex: UInt64, clock: SimulatedWallClock) {
        self.engine = engine
        self.identity = identity
        self.peerIndex = peerIndex
        self.clock = clock
    }

    var isAlive: Bool { alive.load(ordering: .relaxed) }

    func die() {
        alive.store(false, ordering: .relaxed)
        engine.dropEvents(of: self)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        // A dead peer's task that something still resumes stays suspended for ever.
        guard isAlive else { return }
        engine.enqueue(UnownedJob(job), on: self)
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        precondition(
            engine.currentExecutor == identity, "not on the executor of peer \(peerIndex)")
    }

    package func isIsolatingCurrentContext() -> Bool? { engine.currentExecutor == identity }

    package func now() -> Instant { engine.now }
    package func wallTime() -> WallTime { clock.time(at: engine.now) }

    package func schedule(at deadline: Instant, _ body: @escaping @Sendable () -> Void) -> TimerID {
        guard isAlive else { return TimerID(.max) }
        return engine.schedule(at: deadline, kind: .timer, owner: self, body)
    }

    package func cancel(_ timer: TimerID) { engine.cancel(timer) }

    package func execute(_ body: @escaping @Sendable () -> Void) {
        guard isAlive else { return }
        engine.enqueue(body, on: self)
    }
}

/// A peer's civil clock: virtual time plus an offset and a drift, which a scenario may change.
package final class SimulatedWallClock: Sendable {
    private struct Rate {
        var offsetMilliseconds: Int64 = 0
        var driftPartsPerMillion: Int64 = 0
    }

    /// 2027-01-15T08:00:00Z: where every world's civil time begins.
    package static let startMilliseconds: Int64 = 1_800_000_000_000

    private let rate = Mutex(Rate())

    init() {}

    package func step(byMilliseconds milliseconds: Int64) {
        rate.withLock { $0.offsetMilliseconds += milliseconds }
    }

    package func setDrift(partsPerMillion: Int64) {
        rate.withLock { $0.driftPartsPerMillion = partsPerMillion }
    }

    func time(at instant: Instant) -> WallTime {
        let rate = rate.withLock { $0 }
        let elapsed = instant.nanoseconds / 1_000_000
        let drift = elapsed / 1000 * rate.driftPartsPerMillion / 1000
        return WallTime(
            milliseconds: Self.startMilliseconds + elapsed + drift + rate.offsetMilliseconds)
    }
}
