package import CyxCore
internal import Glibc
internal import Synchronization

/// The stores of one peer below one directory: rows in RocksDB, shards in a log that a RocksDB
/// database indexes.
package final class RocksDBDevice: StorageDevice {
    package let path: String
    private let cache: RocksDBCache
    private let log: ValueLogTuning
    /// Device and inode of each store's directory when it was opened.
    private let places = Mutex<[String: Place]>([:])

    private struct Place: Equatable {
        var device: UInt64
        var inode: UInt64

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }
    }

    /// The directory must exist (`DataDirectory` makes and checks it).
    package init(path: String, log: ValueLogTuning = ValueLogTuning()) {
        self.path = path
        self.log = log
        cache = RocksDBCache(bytes: RocksDBTuning().cacheBytes)
    }

    package func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
        }
        precondition(isPlain && !name.isEmpty, "a store's name is a-z, 0-9 and -")
        let place = "\(path)/\(name)"
        // RocksDB would let others look into it. What cannot be made it refuses with its reason.
        mkdir(place, 0o700)
        let store: any KeyValueStore =
            switch kind {
            case .rows: try RocksDBStore(path: place, tuning: .rows, cache: cache)
            case .shards: try ValueLogStore(path: place, tuning: log, cache: cache)
            }
        let opened = Place(place)
        places.withLock { $0[name] = opened }
        return store
    }

    package func remove(_ name: String) throws(StoreError) {
        try RocksDBDatabase.destroy("\(path)/\(name)", cache: cache)
    }

    package func isPresent(_ name: String) -> Bool {
        guard let opened = places.withLock({ $0[name] }) else { return true }
        let place = "\(path)/\(name)"
        // RocksDB's CURRENT names the manifest; without it the directory is empty or foreign.
        return Place(place) == opened && access("\(place)/CURRENT", F_OK) == 0
    }

    package func freeBytes() -> Int64 { Volume.freeBytes(path) }
}

/// The file system that a path lies on.
package enum Volume {
    /// Bytes that this user can still write; 0 when the volume cannot be asked.
    package static func freeBytes(_ path: String) -> Int64 {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return 0 }
        return Int64(clamping: status.f_bavail) * Int64(clamping: status.f_frsize)
    }
}
