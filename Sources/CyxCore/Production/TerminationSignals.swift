internal import CyxKernels

/// SIGINT and SIGTERM as an event of the reactor, so that a peer closes its stores before it ends.
package enum TerminationSignals {
    /// Keeps the signals from ending the process. Before any thread is made: threads inherit it.
    package static func block() { cyx_block_termination() }

    /// Calls `body` on the reactor whenever one of the signals arrives, as long as the process is.
    package static func watch(
        on reactor: Reactor, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        let descriptor = cyx_termination_fd()
        guard descriptor >= 0 else { throw SystemError("signalfd", code: -descriptor) }
        _ = try reactor.watch(descriptor, for: .readable) { _ in
            if cyx_take_termination(descriptor) != 0 { body() }
        }
    }
}
