internal import Synchronization

/// Gives tasks that outlive a call an owner: whoever runs `run()`. Bounded by its users, each of
/// which submits a named number of jobs.
final class JobRunner: Sendable {
    typealias Job = @Sendable () async -> Void

    private struct State {
        var isRunning = false
        var queue: [Job] = []
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Starts `job` soon. False when nobody runs this: then the caller does without.
    func submit(_ job: @escaping Job) -> Bool {
        let (isTaken, waiter) = state.withLock { state in
            guard state.isRunning else {
                return (false, CheckedContinuation<Void, Never>?.none)
            }
            state.queue.append(job)
            return (true, state.waiter.take())
        }
        waiter?.resume()
        return isTaken
    }

    /// Runs jobs until the task is cancelled; those that are left then run cancelled, so that
    /// whoever waits for them is told.
    func run() async {
        state.withLock { $0.isRunning = true }
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                for job in state.withLock({ state in take(&state) }) {
                    group.addTask { await job() }
                }
                await withTaskCancellationHandler {
                    await wait()
                } onCancel: {
                    wake()
                }
            }
            let rest = state.withLock { state in
                state.isRunning = false
                return take(&state)
            }
            for job in rest { group.addTask { await job() } }
            group.cancelAll()
        }
    }

    private func take(_ state: inout State) -> [Job] {
        defer { state.queue = [] }
        return state.queue
    }

    private func wait() async {
        await withCheckedContinuation { continuation in
            let isDue = state.withLock { state in
                if !state.queue.isEmpty || Task.isCancelled { return true }
                state.waiter = continuation
                return false
            }
            if isDue { continuation.resume() }
        }
    }

    private func wake() {
        state.withLock { $0.waiter.take() }?.resume()
    }
}
