internal import Synchronization

/// One suspended sleep: resumed once, by its timer or by cancellation, whichever comes first.
///
/// The continuation is unsafe rather than checked: `State` resumes it at most once, and a simulated
/// crash drops it unresumed on purpose, which a checked one would report as a leak.
final class Sleeper: Sendable {
    private enum State {
        case idle
        case sleeping(UnsafeContinuation<Void, any Error>, TimerID?)
        case finished
        case cancelledEarly
    }

    private let executor: any PeerExecutor
    private let state = Mutex(State.idle)

    init(executor: any PeerExecutor) {
        self.executor = executor
    }

    func begin(_ continuation: UnsafeContinuation<Void, any Error>, until deadline: Instant) {
        let isCancelled = state.withLock { state in
            if case .cancelledEarly = state { return true }
            state = .sleeping(continuation, nil)
            return false
        }
        guard !isCancelled else { return continuation.resume(throwing: CancellationError()) }
        let timer = executor.schedule(at: deadline) { self.finish(throwing: nil) }
        state.withLock { state in
            if case .sleeping(let continuation, _) = state {
                state = .sleeping(continuation, timer)
            }
        }
    }

    func cancel() { finish(throwing: CancellationError()) }

    private func finish(throwing error: (any Error)?) {
        let (continuation, timer) = state.withLock { state in
            defer {
                if case .idle = state { state = .cancelledEarly } else { state = .finished }
            }
            if case .sleeping(let continuation, let timer) = state {
                return (Optional(continuation), timer)
            }
            return (nil, nil)
        }
        guard let continuation else { return }
        if let error {
            if let timer { executor.cancel(timer) }
            continuation.resume(throwing: error)
        } else {
            continuation.resume()
        }
    }
}
