internal import CyxKernels
internal import Synchronization

/// What a descriptor is ready for. An error or a hang-up counts as both, so that a read or a write
/// reports it.
package struct DescriptorEvents: OptionSet, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let readable = DescriptorEvents(rawValue: UInt8(CYX_READABLE))
    package static let writable = DescriptorEvents(rawValue: UInt8(CYX_WRITABLE))
}

/// Names one watched descriptor of one reactor.
package struct WatchID: Hashable, Sendable {
    let token: UInt64
    let descriptor: Int32
}

/// The descriptor callbacks of a reactor. Tokens are never used twice, so an event that was taken
/// before its descriptor was given back finds nothing.
struct WatchTable: ~Copyable {
    typealias Handler = @Sendable (DescriptorEvents) -> Void
    static let wakeToken: UInt64 = 0

    private var handlers: [UInt64: Handler] = [:]
    private var lastToken = WatchTable.wakeToken

    mutating func add(_ handler: @escaping Handler) -> UInt64 {
        lastToken += 1
        handlers[lastToken] = handler
        return lastToken
    }

    mutating func remove(_ token: UInt64) -> Handler? { handlers.removeValue(forKey: token) }

    func handler(_ token: UInt64) -> Handler? { handlers[token] }
}

extension Reactor {
    /// Calls `handler` on this reactor whenever `descriptor` is ready for one of `events`, as long
    /// as it is (level-triggered). The descriptor stays its owner's; callable from any thread.
    package func watch(
        _ descriptor: Int32, for events: DescriptorEvents,
        _ handler: @escaping @Sendable (DescriptorEvents) -> Void
    ) throws(SystemError) -> WatchID {
        let token = watches.withLock { $0.add(handler) }
        let code = cyx_epoll_add(epoll, descriptor, UInt32(events.rawValue), token)
        guard code == 0 else {
            _ = watches.withLock { $0.remove(token) }
            throw SystemError("epoll_ctl", code: -code)
        }
        return WatchID(token: token, descriptor: descriptor)
    }

    /// Changes what a watched descriptor waits for.
    package func modify(_ watch: WatchID, for events: DescriptorEvents) {
        let code = cyx_epoll_modify(
            epoll, watch.descriptor, UInt32(events.rawValue), watch.token)
        precondition(code == 0, "modified a descriptor that is not watched")
    }

    /// Ends a watch. Call it before closing the descriptor; on the reactor itself, the handler is
    /// not called afterwards.
    package func unwatch(_ watch: WatchID) {
        let handler = watches.withLock { $0.remove(watch.token) }
        if handler != nil { _ = cyx_epoll_remove(epoll, watch.descriptor) }
    }
}
