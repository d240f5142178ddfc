package import CyxCore
internal import CyxTables
internal import Synchronization

/// The store that a peer's gateways keep their indexes of buckets in, opened when it is first needed.
///
/// It has names of objects in the clear, which custodians never see: it is as secret as the accounts'
/// keys, and nobody but the peer's user can read its directory. It can be lost at any time.
package final class ListingStore: Sendable {
    private static let name = "listings"

    private enum State {
        case unused
        case open(any KeyValueStore)
        case closed
    }

    private let environment: Environment
    private let state = Mutex(State.unused)
    /// Held by whoever changes an index.
    private let changing = Mutex(())
    /// Names of objects whose rows may go: a row that is gone does not tell which it was.
    private let names = Mutex<[RowKey: String]>([:])
    private static let namesMax = 65536

    package init(environment: Environment) {
        self.environment = environment
    }

    /// The store. One that is damaged beyond opening is made anew. Blocks.
    func opened() throws(StoreError) -> any KeyValueStore {
        let (device, logger) = (environment.storage, environment.logger)
        return try state.withLock { state throws(StoreError) in
            switch state {
            case .open(let store): return store
            case .closed: throw .closed
            case .unused: break
            }
            var store: any KeyValueStore
            do throws(StoreError) {
                store = try device.open(ListingStore.name, kind: .rows)
            } catch .corrupt(let detail) {
                logger.warning("the indexes of buckets are made anew", [("reason", detail)])
                try device.remove(ListingStore.name)
                store = try device.open(ListingStore.name, kind: .rows)
            }
            state = .open(store)
            return store
        }
    }

    /// Remembers the names of rows, for a while.
    func remember(_ rows: [(key: RowKey, name: String)]) {
        names.withLock { names in
            if names.count + rows.count > ListingStore.namesMax { names = [:] }
            for row in rows { names[row.key] = row.name }
        }
    }

    func rememberedName(of row: RowKey) -> String? { names.withLock { $0[row] } }

    /// Runs `body` while nobody else changes an index.
    func exclusively<Value: Sendable>(
        _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try changing.withLock { _ throws(StoreError) in try body() }
    }

    /// Has the store made anew when it is needed next. Blocks.
    func discard() throws(StoreError) {
        try state.withLock { state throws(StoreError) in
            guard case .open(let store) = state else { return }
            store.close()
            state = .unused
            try environment.storage.remove(ListingStore.name)
        }
    }

    /// Closes it for good.
    func close() {
        state.withLock { state in
            if case .open(let store) = state { store.close() }
            state = .closed
        }
    }
}
