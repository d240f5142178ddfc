internal import CyxKernels
internal import Glibc
internal import Synchronization

/// Notices that a process which is ending does not come to its end, or is asked again to end.
///
/// It watches on a thread of its own, since what hangs may be the reactor.
package final class EndingDeadline: Sendable {
    package enum Reason: String, Sendable {
        case late = "it took too long"
        case askedAgain = "asked again"
    }

    /// Farewells, flushes and closing the stores take a few seconds at most; supervisors usually
    /// kill after 90 seconds, and could not say what hung.
    package static let limit = Duration.seconds(30)
    /// A signal that comes sooner is the same wish: a terminal and a supervisor may both send one.
    package static let sameWish = Duration.seconds(2)

    private let signals: Int32
    private let limit: Duration
    private let sameWish: Duration
    private let body: @Sendable (Reason) -> Void
    private let hasBegun = Atomic<Bool>(false)

    /// `signals`: where termination signals are read, a descriptor of `ProcessSignals`. `body`
    /// is called at most once, on the thread.
    package init(
        signals: Int32, limit: Duration = EndingDeadline.limit,
        sameWish: Duration = EndingDeadline.sameWish, _ body: @escaping @Sendable (Reason) -> Void
    ) {
        self.signals = signals
        self.limit = limit
        self.sameWish = sameWish
        self.body = body
    }

    /// The process is ending from now on. Nobody else may read the signals any more.
    package func begin() throws(SystemError) {
        guard !hasBegun.exchange(true, ordering: .relaxed) else { return }
        let reference = Unmanaged.passRetained(self)
        var handle = pthread_t()
        let code = pthread_create(&handle, nil, endingThread, reference.toOpaque())
        guard code == 0 else {
            reference.release()
            throw SystemError("pthread_create", code: code)
        }
        pthread_detach(handle)
    }

    fileprivate func watch() {
        let clock = ContinuousClock()
        let start = clock.now
        while true {
            let elapsed = clock.now - start
            guard elapsed < limit else { return body(.late) }
            var descriptor = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
            let left = (limit - elapsed).nanoseconds / 1_000_000 + 1
            let count = poll(&descriptor, 1, Int32(clamping: left))
            guard count > 0, cyx_take_signal(signals) != 0 else { continue }
            if clock.now - start >= sameWish { return body(.askedAgain) }
        }
    }
}

private func endingThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    cyx_thread_name("cyx-ending")
    Unmanaged<EndingDeadline>.fromOpaque(argument).takeRetainedValue().watch()
    return nil
}
