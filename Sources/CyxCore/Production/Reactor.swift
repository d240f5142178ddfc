internal import CyxKernels
internal import Glibc
internal import Synchronization

/// The production executor of a peer: one thread around epoll that runs the peer's jobs, timers
/// and descriptor callbacks, one at a time (architecture §4).
///
/// Jobs enqueued on the thread itself cost no lock and no system call; jobs from other threads
/// are taken in batches, and an eventfd wakes the thread only while it sleeps.
package final class Reactor: PeerExecutor {
    /// Jobs that run before descriptors are looked at again, so that sockets are not starved.
    static let jobsPerRound = 1024
    /// Timers that fire before descriptors are looked at again.
    static let timersPerRound = 256
    /// The longest sleep; only a bound, nothing relies on waking up.
    static let maximumSleep = Duration.seconds(60)

    enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct Inbox: ~Copyable {
        var work: [Work] = []
        var isSleeping = false
    }

    private struct Thread: ~Copyable {
        var handle: pthread_t?
    }

    let epoll: Int32
    let wakeDescriptor: Int32
    let watches = Mutex(WatchTable())
    private let inbox = Mutex(Inbox())
    private let timers = Mutex(ReactorTimers())
    private let thread = Mutex(Thread())
    private let isStopping = Atomic<Bool>(false)
    /// `pthread_self()` of the thread inside `run`, 0 outside.
    private let owner = Atomic<UInt>(0)
    // Only the thread inside `run` touches these two: `enqueue` compares `owner` first.
    private nonisolated(unsafe) var local: [Work] = []
    private nonisolated(unsafe) var batch: [Work] = []

    /// Makes the epoll and event descriptors; throws when the process has none left.
    package init() throws(SystemError) {
        let epoll = cyx_epoll_create()
        guard epoll >= 0 else { throw SystemError("epoll_create1", code: -epoll) }
        let wake = cyx_eventfd()
        var code = wake
        if wake >= 0 {
            code = cyx_epoll_add(epoll, wake, UInt32(CYX_READABLE), WatchTable.wakeToken)
        }
        guard code >= 0 else {
            Glibc.close(epoll)
            if wake >= 0 { Glibc.close(wake) }
            throw SystemError("eventfd", code: -code)
        }
        self.epoll = epoll
        self.wakeDescriptor = wake
    }

    deinit {
        Glibc.close(epoll)
        Glibc.close(wakeDescriptor)
    }

    // MARK: Clock

    package func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    package func wallTime() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(
            milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    // MARK: Executor

    /// Whether the calling thread is the one inside `run`.
    package var isCurrent: Bool { owner.load(ordering: .relaxed) == UInt(pthread_self()) }

    package func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

    package func execute(_ body: @escaping @Sendable () -> Void) { add(.closure(body)) }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        precondition(isCurrent, "called off the reactor's thread")
    }

    package func isIsolatingCurrentContext() -> Bool? { isCurrent }

    private func add(_ work: Work) {
        if isCurrent {
            local.append(work)
            return
        }
        let mustWake = inbox.withLock { inbox in
            inbox.work.append(work)
            defer { inbox.isSleeping = false }
            return inbox.isSleeping
        }
        if mustWake { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        // It fails only when the counter is full, and then a wake-up is pending anyway.
        _ = Glibc.write(wakeDescriptor, &one, 8)
    }

    // MARK: Timers

    package func schedule(
        at deadline: Instant, _ body: @escaping @Sendable () -> Void
    ) -> TimerID {
        let timer = timers.withLock { $0.schedule(at: deadline, body) }
        if !isCurrent {
            let mustWake = inbox.withLock { inbox in
                defer { inbox.isSleeping = false }
                return inbox.isSleeping
            }
            if mustWake { wake() }
        }
        return timer
    }

    package func cancel(_ timer: TimerID) {
        // The body is released after the lock: it may own what cancels further timers.
        let body = timers.withLock { $0.cancel(timer) }
        _ = body
    }

    // MARK: Running

    /// Runs the calling thread as this reactor until `stop`. At most one thread at a time.
    package func run() {
        let claimed = owner.compareExchange(
            expected: 0, desired: UInt(pthread_self()), ordering: .relaxed)
        precondition(claimed.exchanged, "a reactor runs on one thread")
        let events = UnsafeMutablePointer<cyx_epoll_ready>.allocate(
            capacity: Int(CYX_EPOLL_CAPACITY))
        defer { events.deallocate() }
        while !isStopping.load(ordering: .relaxed) {
            runJobs()
            fireTimers()
            let count = poll(events)
            for index in 0..<count { dispatch(events[index]) }
        }
        runJobs()
        owner.store(0, ordering: .relaxed)
    }

    /// Runs `body` as a root task and the calling thread as this reactor until it is done.
    package func run(
        _ body: @escaping @Sendable () async throws -> Void
    ) throws {
        let outcome = RootOutcome()
        Task(executorPreference: self) {
            do { try await body() } catch { outcome.fail(error) }
            self.stop()
        }
        run()
        try outcome.result.get()
    }

    /// Runs on a thread of its own until `stop`.
    package func start() throws(SystemError) {
        let reference = Unmanaged.passRetained(self)
        var handle = pthread_t()
        let code = pthread_create(&handle, nil, reactorThread, reference.toOpaque())
        guard code == 0 else {
            reference.release()
            throw SystemError("pthread_create", code: code)
        }
        thread.withLock { $0.handle = handle }
    }

    /// Makes `run` return after the round that it is in. Jobs that are queued later never run.
    package func stop() {
        isStopping.store(true, ordering: .relaxed)
        wake()
    }

    /// Waits for the thread that `start` made. Not from the reactor itself.
    package func join() {
        precondition(!isCurrent, "a reactor cannot wait for itself")
        let handle = thread.withLock { thread in
            defer { thread.handle = nil }
            return thread.handle
        }
        if let handle { pthread_join(handle, nil) }
    }

    private func runJobs() {
        var remaining = Reactor.jobsPerRound
        while remaining > 0 {
            if local.isEmpty {
                inbox.withLock { swap(&$0.work, &local) }
                if local.isEmpty { return }
            }
            swap(&local, &batch)
            for work in batch {
                switch work {
                case .job(let job):
                    job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(),
                        taskExecutor: asUnownedTaskExecutor())
                case .closure(let body): body()
                }
            }
            remaining -= batch.count
            batch.removeAll(keepingCapacity: batch.count <= Reactor.jobsPerRound)
        }
    }

    private func fireTimers() {
        let now = now()
        for _ in 0..<Reactor.timersPerRound {
            guard let body = timers.withLock({ $0.popDue(now) }) else { return }
            body()
        }
    }

    /// Waits for descriptors no longer than until the next timer, and not at all with work queued.
    private func poll(_ events: UnsafeMutablePointer<cyx_epoll_ready>) -> Int {
        var timeout = Duration.zero
        if local.isEmpty, !isStopping.load(ordering: .relaxed) {
            // Asleep first, then the timers: a timer from another thread that `next` misses finds
            // the thread asleep and wakes it.
            let isIdle = inbox.withLock { inbox in
                guard inbox.work.isEmpty else { return false }
                inbox.isSleeping = true
                return true
            }
            if isIdle {
                let next = timers.withLock { $0.nextDeadline }
                timeout = next.map { min($0 - now(), Reactor.maximumSleep) } ?? Reactor.maximumSleep
            }
        }
        let count = cyx_epoll_wait(epoll, events, max(0, timeout.nanoseconds))
        inbox.withLock { $0.isSleeping = false }
        precondition(count >= 0, "epoll_wait refused our own descriptor")
        return Int(count)
    }

    private func dispatch(_ event: cyx_epoll_ready) {
        if event.token == WatchTable.wakeToken {
            var value: UInt64 = 0
            _ = Glibc.read(wakeDescriptor, &value, 8)
            return
        }
        let handler = watches.withLock { $0.handler(event.token) }
        handler?(DescriptorEvents(rawValue: UInt8(event.events)))
    }
}

private func reactorThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    cyx_thread_name("cyx-reactor")
    Unmanaged<Reactor>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}

/// How the root task of `Reactor.run(_:)` ended.
private final class RootOutcome: Sendable {
    private let failure = Mutex<(any Error)?>(nil)

    var result: Result<Void, any Error> {
        failure.withLock { $0.map { .failure($0) } ?? .success(()) }
    }

    func fail(_ error: any Error) { failure.withLock { $0 = error } }
}
