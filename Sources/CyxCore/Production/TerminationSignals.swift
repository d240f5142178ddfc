internal import CyxKernels

/// SIGINT and SIGTERM as an event of the reactor, so that a peer closes its stores before it ends.
package struct TerminationSignals: Sendable {
    /// Readable while a signal waits. It stays open as long as the process is.
    package let descriptor: Int32

    /// Call `block` before, else the signals end the process.
    package init() throws(SystemError) {
        descriptor = cyx_termination_fd()
        guard descriptor >= 0 else { throw SystemError("signalfd", code: -descriptor) }
    }

    /// Keeps the signals from ending the process. Before any thread is made: threads inherit it.
    package static func block() { cyx_block_termination() }

    /// Calls `body` on the reactor whenever one of the signals arrives, until unwatched.
    package func watch(
        on reactor: Reactor, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WatchID {
        try reactor.watch(descriptor, for: .readable) { [descriptor] _ in
            if cyx_take_termination(descriptor) != 0 { body() }
        }
    }
}

/// SIGHUP as an event of the reactor: a wish that files be read again.
package struct HangupSignal: Sendable {
    private let descriptor: Int32

    /// Call `block` before, else the signal ends the process.
    package init() throws(SystemError) {
        descriptor = cyx_hangup_fd()
        guard descriptor >= 0 else { throw SystemError("signalfd", code: -descriptor) }
    }

    /// Keeps the signal from ending the process. Before any thread is made: threads inherit it.
    package static func block() { cyx_block_hangup() }

    /// Calls `body` on the reactor whenever the signal arrives, until unwatched.
    package func watch(
        on reactor: Reactor, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WatchID {
        try reactor.watch(descriptor, for: .readable) { [descriptor] _ in
            if cyx_take_termination(descriptor) != 0 { body() }
        }
    }
}
