internal import CyxCore
internal import CyxTransport
internal import Glibc
internal import Synchronization

/// Writes traces of connections into a directory, a file each, off the reactor and in order.
///
/// A file ends at `fileBytesMax`, and after `filesMax` files no new one is begun, so that a trace
/// that was forgotten does not fill the volume.
final class QlogDirectory: QlogSink {
    static let fileBytesMax = 64 << 20
    static let filesMax = 512
    /// Bytes that wait to be written; a disk that is slower loses records.
    static let pendingMax = 32 << 20

    private struct Write: Sendable {
        var file: String
        var records: [UInt8]
        var isLast: Bool
    }

    private struct State: ~Copyable {
        var pending: [Write] = []
        var pendingBytes = 0
        var isWriting = false
        /// Descriptor and size of each open file; -1 for one that was given up.
        var files: [String: (descriptor: Int32, byteCount: Int)] = [:]
        var begun = 0
    }

    private let path: String
    private let pool: any BlockingPool
    private let state = Mutex(State())

    /// Makes the directory if there is none. Throws `ConfigurationError` where that fails.
    init(path: String, pool: any BlockingPool) throws(ConfigurationError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw ConfigurationError(
                "--qlog: cannot make \(path): \(String(cString: strerror(errno)))")
        }
        self.path = path
        self.pool = pool
    }

    func write(_ file: String, _ records: [UInt8], isLast: Bool) {
        let mustStart = state.withLock { state in
            guard state.pendingBytes + records.count <= QlogDirectory.pendingMax else {
                return false
            }
            state.pending.append(Write(file: file, records: records, isLast: isLast))
            state.pendingBytes += records.count
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustStart { pool.submit { self.writePending() } }
    }

    private func writePending() {
        while true {
            let batch = state.withLock { state in
                defer {
                    state.pending = []
                    state.pendingBytes = 0
                }
                if state.pending.isEmpty { state.isWriting = false }
                return state.pending
            }
            guard !batch.isEmpty else { return }
            for write in batch { carryOut(write) }
        }
    }

    /// Runs on one thread of the pool at a time.
    private func carryOut(_ write: Write) {
        var (descriptor, byteCount) =
            state.withLock { $0.files[write.file] } ?? (begin(write.file), 0)
        if byteCount + write.records.count > QlogDirectory.fileBytesMax, descriptor >= 0 {
            close(descriptor)
            descriptor = -1
        }
        if descriptor >= 0 {
            let count = Glibc.write(descriptor, write.records, write.records.count)
            byteCount += max(0, count)
        }
        if write.isLast {
            if descriptor >= 0 { close(descriptor) }
            state.withLock { $0.files[write.file] = nil }
        } else {
            let now = (descriptor, byteCount)
            state.withLock { $0.files[write.file] = now }
        }
    }

    private func begin(_ file: String) -> Int32 {
        let isAllowed = state.withLock { state in
            state.begun += 1
            return state.begun <= QlogDirectory.filesMax
        }
        guard isAllowed else { return -1 }
        return open("\(path)/\(file)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    }
}
