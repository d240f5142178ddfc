package import CyxCore
internal import Glibc

/// What a peer remembers, beside its key, of the store that it served: enough to notice that the
/// store is gone.
package struct StoreRecord: Equatable, Sendable {
    package var store: StoreID
    package var shards: Int64

    package init(store: StoreID, shards: Int64) {
        self.store = store
        self.shards = shards
    }
}

/// A peer's data directory, held by one process at a time.
///
/// `owner` names the peer that the directory belongs to, `LOCK` is locked while a process uses it,
/// and `store-record` remembers what was stored.
package final class DataDirectory: Sendable {
    /// Of the volume, in percent, that an allocation leaves free.
    package static let reservedPercent: Int64 = 10

    package let path: String
    private let lock: Int32

    /// Makes the directory if there is none, and claims it for `peer`.
    package init(path: String, peer: PeerID) throws(StoreProblem) {
        try DataDirectory.make(path)
        let lock = try DataDirectory.acquireLock(path)
        do throws(StoreProblem) {
            try DataDirectory.claim(path, for: peer)
        } catch {
            close(lock)
            throw error
        }
        self.path = path
        self.lock = lock
    }

    /// Gives the directory back.
    deinit { close(lock) }

    // MARK: The store's record

    /// What was remembered last; nil for a peer that never stored.
    package func record() throws(StoreProblem) -> StoreRecord? {
        let name = recordPath
        guard let text = try DataDirectory.read(name) else { return nil }
        let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard words.count == 2, let bytes = Hex.decode(words[0]), let store = StoreID(bytes: bytes),
            let shards = Int64(words[1]), shards >= 0
        else {
            throw StoreProblem(
                "STORE-05", "\(name) is damaged", cause: "it should hold an ID and a number",
                advice: "restore it, or remove it if the store may start empty")
        }
        return StoreRecord(store: store, shards: shards)
    }

    private var recordPath: String { "\(path)/store-record" }

    /// Remembers `record`; survives a crash when it returns.
    package func remember(_ record: StoreRecord) throws(StoreProblem) {
        try DataDirectory.replace(
            recordPath, with: "\(record.store.hex) \(record.shards)\n")
    }

    /// Before a store is opened at `storePath`: refuses to start an empty one where shards were.
    package func requireStore(named name: String, at storePath: String) throws(StoreProblem) {
        guard let record = try record(), record.shards > 0 else { return }
        guard access("\(storePath)/\(name)/CURRENT", F_OK) != 0 else { return }
        throw vanished(record, storePath)
    }

    /// After a store was opened: refuses one that is not the remembered one.
    package func verify(_ store: StoreID, at storePath: String) throws(StoreProblem) {
        guard let record = try record(), record.shards > 0, record.store != store else { return }
        throw vanished(record, storePath)
    }

    private func vanished(_ record: StoreRecord, _ storePath: String) -> StoreProblem {
        StoreProblem(
            "STORE-07",
            "this identity stored \(record.shards) shards; \(storePath) holds none of them",
            cause: "a disk that is not mounted, a wrong path, or a wiped store",
            advice: "mount it; to begin with an empty store, remove \(recordPath)")
    }

    /// What a peer offers that was not told how much: nine tenths of what it may use.
    package static func defaultAllocation(path: String) throws(StoreProblem) -> Int64 {
        let (free, reserved) = try space(path)
        return max(0, free - reserved) / 10 * 9
    }

    /// Free bytes of the volume, and how many of them stay free.
    private static func space(
        _ path: String
    ) throws(StoreProblem) -> (free: Int64, reserved: Int64) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw refused("measure \(path)", errno) }
        let block = Int64(clamping: status.f_frsize)
        return (
            Int64(clamping: status.f_bavail) * block,
            Int64(clamping: status.f_blocks) * block / 100 * reservedPercent
        )
    }

    /// Refuses an allocation that the volume cannot hold beside what is used already.
    package static func checkAllocation(
        _ allocated: Int64, used: Int64, path: String
    ) throws(StoreProblem) {
        let (free, reserved) = try space(path)
        let possible = used + max(0, free - reserved)
        guard allocated > possible else { return }
        throw StoreProblem(
            "STORE-03",
            "storage.allocated is \(describe(bytes: allocated)), but the volume of \(path) has "
                + "\(describe(bytes: free)) free",
            cause: "\(reservedPercent) % stays reserved (\(describe(bytes: reserved)))",
            advice: "cyxcloud config set storage.allocated \(possible >> 20)MiB")
    }

    // MARK: Claiming

    /// Makes the directory with its parents, if there is none, and checks the right to use it.
    package static func make(_ path: String) throws(StoreProblem) {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            prefix += prefix.isEmpty && part.isEmpty ? "" : String(part)
            if !prefix.isEmpty, mkdir(prefix, 0o700) != 0, errno != EEXIST, errno != EISDIR {
                let code = errno
                throw refused("make the data directory \(path)", code)
            }
            prefix += "/"
        }
        guard access(path, R_OK | W_OK | X_OK) == 0 else {
            throw refused("use the data directory \(path)", errno)
        }
    }

    private static func acquireLock(_ path: String) throws(StoreProblem) -> Int32 {
        let descriptor = open("\(path)/LOCK", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw refused("use the data directory \(path)", errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw StoreProblem(
                "STORE-04", "the data directory \(path) is in use by another process",
                cause: "its LOCK file is held", advice: "stop that peer, or another --data-dir")
        }
        return descriptor
    }

    private static func claim(_ path: String, for peer: PeerID) throws(StoreProblem) {
        let name = "\(path)/owner"
        guard let text = try read(name) else {
            return try replace(name, with: peer.hex + "\n")
        }
        let owner = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        guard owner != peer.hex else { return }
        guard Hex.decode(owner).flatMap({ PeerID(bytes: $0) }) != nil else {
            throw StoreProblem(
                "STORE-05", "\(name) is damaged", cause: "it should hold a peer ID",
                advice: "restore it, or another --data-dir")
        }
        throw StoreProblem(
            "STORE-02", "the data directory \(path) belongs to peer \(owner.prefix(12))",
            cause: "this peer is \(peer)", advice: "another --data-dir, or that peer's key")
    }

    // MARK: Files

    static func refused(_ action: String, _ code: Int32) -> StoreProblem {
        let words = SystemError.words(code)
        switch code {
        case EACCES, EPERM, EROFS:
            return StoreProblem(
                "STORE-01", "cannot \(action)", cause: words,
                advice: "make it writable for this user, or another --data-dir")
        case ENOSPC, EDQUOT:
            return StoreProblem(
                "STORE-06", "cannot \(action)", cause: words,
                advice: "free some space, or another --data-dir")
        default:
            return StoreProblem(
                "STORE-01", "cannot \(action)", cause: words, advice: "another --data-dir")
        }
    }

    /// The file's text, nil if there is none; at most 4 KiB of it.
    private static func read(_ name: String) throws(StoreProblem) -> String? {
        let descriptor = open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw refused("read \(name)", errno)
        }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw refused("read \(name)", errno) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// Writes beside, syncs, renames: a crash leaves the old file or the new one.
    private static func replace(_ name: String, with text: String) throws(StoreProblem) {
        let temporary = name + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw refused("write \(name)", errno) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0,
            rename(temporary, name) == 0
        else { throw refused("write \(name)", errno) }
        let parent = name.lastIndex(of: "/").map { String(name[..<$0]) } ?? "."
        let directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }
}
