internal import CyxCore
internal import CyxOverlay
internal import CyxStorage
internal import Synchronization

/// Whether a peer serves, and why not.
package final class ServingState: Sendable {
    private let reason = Mutex<String?>(nil)
    package init() {}

    /// Nil while the peer serves.
    package var suspension: String? { reason.withLock { $0 } }
    func suspend(_ words: String) { reason.withLock { $0 = $0 ?? words } }
}

/// Looks whether the stores still lie where they were opened. A peer whose disk was unmounted,
/// removed or emptied stops serving by itself and says so: answering as if it had lost every shard
/// would only cost it its standing, and writing on would acknowledge what nobody will ever find.
package struct StoreWatch: Sendable {
    /// Looks in a row that must fail.
    static let misses = 2

    private let context: ObjectContext
    private let stores: [String]
    private let state: ServingState
    private let interval: Duration
    private let isBehind: @Sendable () async -> Bool
    private let stop: @Sendable () async -> Void

    /// `stores`: their names on the environment's device. `isBehind`: whether they were put back from
    /// an older copy. `stop` makes the rest of the peer refuse.
    package init(
        context: ObjectContext, stores: [String], state: ServingState,
        interval: Duration = .seconds(5),
        isBehind: @escaping @Sendable () async -> Bool = { false },
        stop: @escaping @Sendable () async -> Void
    ) {
        self.isBehind = isBehind
        self.context = context
        self.stores = stores
        self.state = state
        self.interval = interval
        self.stop = stop
    }

    /// Looks until the task is cancelled. There is no way back but a restart.
    package func run() async throws {
        let gauge = context.environment.metrics.gauge("cyxcloud_store_vanished")
        let behind = context.environment.metrics.gauge("cyxcloud_store_behind")
        gauge.set(0)
        behind.set(0)
        var missed = 0
        while true {
            if state.suspension == nil, await isBehind() {
                behind.set(1)
                await suspend(
                    "STORE-13: the data directory was put back from an older copy, or another peer "
                        + "has this one's identity; not serving, since rows may be missing",
                    [("try", "stop the other; or remove shards, tables and store-record there")])
            }
            try await context.environment.sleep(for: interval)
            guard state.suspension == nil else { continue }
            let device = context.environment.storage
            let gone = await context.environment.blocking.run { [stores] in
                stores.filter { !device.isPresent($0) }
            }
            missed = gone.isEmpty ? 0 : missed + 1
            guard missed >= StoreWatch.misses else { continue }
            gauge.set(1)
            await suspend(
                "STORE-07: the store is gone; not serving, so no audit fails",
                [
                    ("missing", gone.joined(separator: " and ")),
                    ("try", "mount it and restart; to begin anew, remove store-record there"),
                ])
        }
    }

    private func suspend(_ words: String, _ fields: [(String, String)]) async {
        state.suspend(words)
        context.membership.announce { $0.stopStoring() }
        await stop()
        context.environment.logger.labelled("store").error(words, fields)
    }
}
