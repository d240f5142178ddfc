internal import CyxKernels
internal import Glibc
internal import Synchronization

/// Threads for blocking and heavy work, first come first served.
///
/// The queue holds at most `maximumPending` pieces; beyond that a submitter runs its piece itself,
/// which slows down whoever floods the pool instead of growing memory.
package final class ThreadPool: BlockingPool {
    package static let maximumPending = 4096
    /// RocksDB and the system's resolver stay well below this.
    static let stackBytes = 1 << 20

    private struct Queue: ~Copyable {
        var work: [@Sendable () -> Void] = []
        var head = 0
        var isStopping = false

        var count: Int { work.count - head }

        mutating func popFirst() -> (@Sendable () -> Void)? {
            guard head < work.count else { return nil }
            let first = work[head]
            work[head] = {}
            head += 1
            if head == work.count || head >= ThreadPool.maximumPending {
                work.removeFirst(head)
                head = 0
            }
            return first
        }
    }

    private struct Threads: ~Copyable {
        var handles: [pthread_t] = []
    }

    private let queue = Mutex(Queue())
    private let threads = Mutex(Threads())
    // A semaphore is made to be shared by threads; it is freed after the last of them has ended,
    // because every worker holds the pool.
    private nonisolated(unsafe) let available: UnsafeMutablePointer<sem_t>

    /// `threadCount` nil: one per processor.
    package init(threadCount: Int? = nil) throws(SystemError) {
        available = .allocate(capacity: 1)
        sem_init(available, 0, 0)
        let count = threadCount ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        precondition(count > 0, "a pool has at least one thread")
        for _ in 0..<count { try startThread() }
    }

    deinit {
        sem_destroy(available)
        available.deallocate()
    }

    package func submit(_ work: @escaping @Sendable () -> Void) {
        let isQueued = queue.withLock { queue in
            precondition(!queue.isStopping, "work for a pool that was stopped")
            guard queue.count < ThreadPool.maximumPending else { return false }
            queue.work.append(work)
            return true
        }
        if isQueued { sem_post(available) } else { work() }
    }

    /// Ends the threads after the work that is queued, and waits for them.
    package func stop() {
        queue.withLock { $0.isStopping = true }
        let handles = threads.withLock { threads in
            defer { threads.handles = [] }
            return threads.handles
        }
        for _ in handles { sem_post(available) }
        for handle in handles { pthread_join(handle, nil) }
    }

    private func startThread() throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, ThreadPool.stackBytes)
        defer { pthread_attr_destroy(&attributes) }
        let reference = Unmanaged.passRetained(self)
        var handle = pthread_t()
        let code = pthread_create(&handle, &attributes, poolThread, reference.toOpaque())
        guard code == 0 else {
            reference.release()
            throw SystemError("pthread_create", code: code)
        }
        threads.withLock { $0.handles.append(handle) }
    }

    fileprivate func work() {
        while true {
            while sem_wait(available) != 0 {}
            guard let next = queue.withLock({ $0.popFirst() }) else { return }
            next()
        }
    }
}

private func poolThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    cyx_thread_name("cyx-pool")
    Unmanaged<ThreadPool>.fromOpaque(argument).takeRetainedValue().work()
    return nil
}
