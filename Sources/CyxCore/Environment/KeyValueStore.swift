/// Why a store could not do what was asked. Nothing that was acknowledged before is affected.
package enum StoreError: Error, Equatable {
    /// The volume is full or the quota is used up.
    case noSpace
    /// Stored bytes do not match their checksum.
    case corrupt(detail: String)
    /// The operating system refused: what, and its words.
    case failed(operation: String, detail: String)
    /// The store was closed.
    case closed
}

package enum KeyValueWrite: Sendable {
    case put(key: [UInt8], value: [UInt8])
    case delete(key: [UInt8])
}

/// What a store is for, which decides how it is tuned (architecture §9).
package enum StoreKind: Sendable {
    /// Small rows behind a log: a durable write survives a power cut when it returns.
    case rows
    /// Large values without a log: writes are durable after `flush`.
    case shards
}

/// What a store can tell of a key without touching the disk.
package enum ValueInMemory: Hashable, Sendable {
    /// Nil: there is no such key.
    case known([UInt8]?)
    /// Only `get` can tell.
    case unknown
}

/// An ordered map from bytes to bytes. Every call but `getFromMemory` may block: call it through
/// `BlockingPool`.
package protocol KeyValueStore: AnyObject, Sendable {
    func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]?

    /// As `get` where that needs no disk. Does not block, so that whoever runs on a reactor need not
    /// leave its thread for what most often is in memory, or known to be nowhere.
    func getFromMemory(_ key: [UInt8]) -> ValueInMemory

    /// As `get`, for a caller who checks the value itself: the store need not.
    func getUnchecked(_ key: [UInt8]) throws(StoreError) -> [UInt8]?

    /// Applies all of `writes` or none. With `durable`, they survive a crash when this returns;
    /// stores of kind `.shards` ignore it and become durable by `flush`.
    func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError)

    /// Makes every earlier write durable.
    func flush() throws(StoreError)

    /// Entries with `from <= key < to` in key order (`to` nil: to the end), at most `limit`.
    func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])]

    func close()
}

extension KeyValueStore {
    package func getUnchecked(_ key: [UInt8]) throws(StoreError) -> [UInt8]? { try get(key) }

    package func getFromMemory(_ key: [UInt8]) -> ValueInMemory { .unknown }
}

/// A data directory: opens the stores of one peer by name.
package protocol StorageDevice: AnyObject, Sendable {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore

    /// Removes a store that is not open, with all that is in it, whatever state that is in.
    func remove(_ name: String) throws(StoreError)

    /// Bytes that can still be written to the volume.
    func freeBytes() -> Int64

    /// Whether what was opened under `name` still lies where it was: false once its directory was
    /// unmounted, removed or emptied.
    func isPresent(_ name: String) -> Bool
}

extension StorageDevice {
    package func isPresent(_ name: String) -> Bool { true }

    package func remove(_ name: String) throws(StoreError) {
        throw .failed(operation: "remove", detail: "\(name) cannot be removed there")
    }
}
