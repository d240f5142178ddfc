/// Names a timer of one executor.
package struct TimerID: Hashable, Sendable {
    package var value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

/// The thread of one peer: every shell actor, task, timer and socket callback of the peer runs
/// here, one at a time. An epoll reactor in production, the event loop in a simulation.
///
/// Actors name it in `unownedExecutor`; root tasks run under `withTaskExecutorPreference`.
/// Callbacks that arrive outside a task use `assumeIsolated`, which both kinds support.
package protocol PeerExecutor: SerialExecutor, TaskExecutor {
    func now() -> Instant
    func wallTime() -> WallTime

    /// Runs `body` on this executor at or soon after `deadline`. Callable from any thread.
    func schedule(at deadline: Instant, _ body: @escaping @Sendable () -> Void) -> TimerID

    /// After this returns on the executor itself, the timer does not fire. Cancelling one that
    /// fired already does nothing. Callable from any thread.
    func cancel(_ timer: TimerID)

    /// Runs `body` on this executor soon. Callable from any thread.
    func execute(_ body: @escaping @Sendable () -> Void)
}
