internal import Glibc

/// An open file, closed when the last user lets go; safe to use at several places at once.
package final class OpenFile: Sendable {
    package let path: String
    private let descriptor: Int32
    private let ownsDescriptor: Bool

    private init(path: String, descriptor: Int32, ownsDescriptor: Bool) {
        self.path = path
        self.descriptor = descriptor
        self.ownsDescriptor = ownsDescriptor
    }

    deinit {
        if ownsDescriptor { Glibc.close(descriptor) }
    }

    /// A regular file to read.
    package static func reading(_ path: String) throws(ClientError) -> OpenFile {
        try open(path, O_RDONLY, verb: "read")
    }

    /// A file to write; made if it is not there, and kept as it is if it is.
    package static func writing(_ path: String) throws(ClientError) -> OpenFile {
        try open(path, O_RDWR | O_CREAT, verb: "write")
    }

    package static func standardOutput() -> OpenFile {
        OpenFile(path: "standard output", descriptor: STDOUT_FILENO, ownsDescriptor: false)
    }

    private static func open(
        _ path: String, _ flags: Int32, verb: String
    ) throws(ClientError) -> OpenFile {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .file(verb, path, errno: errno) }
        return OpenFile(path: path, descriptor: descriptor, ownsDescriptor: true)
    }

    /// Size in bytes and modification time in nanoseconds.
    package func status() throws(ClientError) -> (size: UInt64, modified: Int64) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .file("examine", path, errno: errno) }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw ClientError(
                code: "FILE-02", message: "\(path) is not a regular file",
                remedy: "name a file, or a folder to take all files in it")
        }
        let modified = Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)
        return (UInt64(info.st_size), modified)
    }

    /// Reads up to the buffer's size at `offset`; 0 at the end of the file, nil on an error.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int? {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if count >= 0 { return count }
            guard errno == EINTR else { return nil }
        }
    }

    /// Writes all of it at `offset`, or in order if that is nil. False on an error, as in `errno`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64?) -> Bool {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count =
                if let offset {
                    pwrite(descriptor, base + done, bytes.count - done, off_t(offset) + done)
                } else {
                    Glibc.write(descriptor, base + done, bytes.count - done)
                }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// Sets the length, which leaves a hole where nothing was written yet.
    package func resize(to size: UInt64) throws(ClientError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw .file("resize", path, errno: errno)
        }
    }

    /// Waits until what was written is on the disk.
    package func synchronize() throws(ClientError) {
        guard fsync(descriptor) == 0 else { throw .file("flush", path, errno: errno) }
    }
}

/// The calling thread's `errno`, for files that do not import Glibc.
func currentErrno() -> Int32 { errno }
