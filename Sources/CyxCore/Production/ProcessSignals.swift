internal import CyxKernels
internal import Glibc

/// Signals as an event of the reactor.
package struct ProcessSignals: Sendable {
    /// What somebody wants who sends one.
    package enum Wish: Sendable {
        /// SIGINT or SIGTERM: the process is to end, and closes its stores before.
        case ending
        /// SIGHUP: files are to be read again.
        case rereading

        fileprivate var numbers: [Int32] {
            switch self {
            case .ending: [SIGINT, SIGTERM]
            case .rereading: [SIGHUP]
            }
        }
    }

    /// Readable while a signal waits. It stays open as long as the process is.
    package let descriptor: Int32

    /// Call `block` before, else the signals end the process.
    package init(_ wish: Wish) throws(SystemError) {
        descriptor = cyx_signals_fd(wish.numbers, Int32(wish.numbers.count))
        guard descriptor >= 0 else { throw SystemError("signalfd", code: -descriptor) }
    }

    /// Keeps the signals from ending the process. Before any thread is made: threads inherit it.
    package static func block(_ wish: Wish) {
        cyx_block_signals(wish.numbers, Int32(wish.numbers.count))
    }

    /// A connection that is gone is an error of the call that writes to it, not the process's end.
    package static func ignoreBrokenPipes() { cyx_ignore_broken_pipes() }

    /// Calls `body` on the reactor whenever one of the signals arrives, until unwatched.
    package func watch(
        on reactor: Reactor, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WatchID {
        try reactor.watch(descriptor, for: .readable) { [descriptor] _ in
            if cyx_take_signal(descriptor) != 0 { body() }
        }
    }
}
