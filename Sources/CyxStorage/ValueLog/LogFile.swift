internal import CyxCore
internal import CyxKernels
internal import Glibc

/// One file of a value log: its descriptor, closed with the last reference. Any thread.
///
/// Its bytes go past the page cache where the file system can do that (open(2), O_DIRECT): what a
/// peer stores for others is seldom asked for again soon, so keeping a copy costs the processor and
/// drives out what the machine's owner works with; and what a scrub reads comes from the disk. Hot
/// objects are kept by the gateways that serve them.
final class LogFile: Sendable {
    /// What direct access asks of places, lengths and memory: disks have blocks of 512 or 4,096
    /// bytes. Every write ends on such a border.
    static let blockBytes = 4096
    /// Memory that one write uses beside the values; a read uses as much as it returns.
    private static let stagingBytes = 512 << 10

    let number: UInt32
    private let descriptor: Int32

    fileprivate init(number: UInt32, descriptor: Int32) {
        self.number = number
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// `count` rounded up to whole blocks.
    static func padded(_ count: Int) -> Int {
        (count + blockBytes - 1) / blockBytes * blockBytes
    }

    /// Its length in bytes.
    func size() throws(StoreError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .refused("stat") }
        return UInt64(clamping: status.st_size)
    }

    /// Writes all of `pieces` one after another, and zeros up to the end of the last block. `offset`
    /// is a multiple of `blockBytes`. When it throws, some of them may be there.
    func write(_ pieces: [[UInt8]], at offset: UInt64) throws(StoreError) {
        let total = LogFile.padded(pieces.reduce(0) { $0 + $1.count })
        let staged = min(total, LogFile.stagingBytes)
        var failure: StoreError?
        withUnsafeTemporaryAllocation(byteCount: staged, alignment: LogFile.blockBytes) { buffer in
            var filled = 0
            var written = offset
            func write(_ count: Int) throws(StoreError) {
                try writeAll(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: written)
                written += UInt64(count)
                filled = 0
            }
            do throws(StoreError) {
                for piece in pieces {
                    var taken = 0
                    while taken < piece.count {
                        let count = min(piece.count - taken, buffer.count - filled)
                        piece.withUnsafeBytes { raw in
                            UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
                                .copyMemory(
                                    from: UnsafeRawBufferPointer(
                                        rebasing: raw[taken..<taken + count]))
                        }
                        taken += count
                        filled += count
                        if filled == buffer.count { try write(filled) }
                    }
                }
                let last = LogFile.padded(filled)
                UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<last])
                    .initializeMemory(as: UInt8.self, repeating: 0)
                if last > 0 { try write(last) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StoreError) {
        var done = 0
        var isBuffered = false
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done,
                off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EINVAL, !isBuffered {
                isBuffered = true
                giveUpDirectAccess()
                continue
            }
            guard count > 0 else { throw .refused("write") }
            done += count
        }
    }

    /// `count` bytes, or those up to the end of the file if there are fewer.
    func read(_ count: Int, at offset: UInt64) throws(StoreError) -> [UInt8] {
        let block = UInt64(LogFile.blockBytes)
        let skipped = Int(offset % block)
        let covering = LogFile.padded(skipped + count)
        var failure: StoreError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { result, initialized in
            withUnsafeTemporaryAllocation(
                byteCount: covering, alignment: LogFile.blockBytes
            ) { buffer in
                do throws(StoreError) {
                    let got = try readAll(into: buffer, at: offset - UInt64(skipped))
                    initialized = max(0, min(got - skipped, count))
                    UnsafeMutableRawBufferPointer(result).copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: buffer[skipped..<skipped + initialized]))
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// How many bytes there were.
    private func readAll(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(StoreError) -> Int {
        var done = 0
        var isBuffered = false
        while done < buffer.count {
            let got = pread(
                descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done,
                off_t(offset) + off_t(done))
            if got < 0, errno == EINTR { continue }
            if got < 0, errno == EINVAL, !isBuffered {
                isBuffered = true
                giveUpDirectAccess()
                continue
            }
            if got < 0 { throw .refused("read") }
            done += got
            // A direct read that ends within a block has met the end of the file.
            if got == 0 || done % LogFile.blockBytes != 0 { break }
        }
        return done
    }

    /// Some file systems refuse direct access only when it is used, and some want larger blocks. Who
    /// finds out at the same time does the same: whoever was refused tries once more.
    private func giveUpDirectAccess() {
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags & ~cyx_open_direct) }
    }

    /// Makes all that was written durable. After it failed once, what a later call says about the
    /// same bytes means nothing: the kernel may have dropped them.
    func sync() throws(StoreError) {
        guard fdatasync(descriptor) == 0 else { throw .refused("flush") }
    }

    func truncate(to size: UInt64) throws(StoreError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .refused("truncate") }
    }
}

/// The directory of a value log's files, numbered from 1 in the order in which they were filled.
final class LogDirectory: Sendable {
    let path: String

    /// Makes the directory if there is none.
    init(path: String) throws(StoreError) {
        self.path = path
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .refused("mkdir \(path)") }
    }

    /// The numbers of the files that are there, in order.
    func numbers() throws(StoreError) -> [UInt32] {
        guard let directory = opendir(path) else { throw .refused("open \(path)") }
        defer { closedir(directory) }
        var numbers: [UInt32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = UInt32(name) { numbers.append(number) }
        }
        return numbers.sorted()
    }

    /// A new, empty file whose name survives a crash.
    func create(_ number: UInt32) throws(StoreError) -> LogFile {
        let descriptor = descriptor(number, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
        guard descriptor >= 0 else { throw .refused("create \(name(number))") }
        let file = LogFile(number: number, descriptor: descriptor)
        do throws(StoreError) {
            try sync()
        } catch {
            unlink(name(number))
            throw error
        }
        return file
    }

    /// A file that is there; nil if it is not.
    func open(_ number: UInt32) throws(StoreError) -> LogFile? {
        let descriptor = descriptor(number, O_RDWR | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw .refused("open \(name(number))") }
        return LogFile(number: number, descriptor: descriptor)
    }

    /// Opens a file for direct access, or for any if its file system knows none.
    private func descriptor(_ number: UInt32, _ flags: Int32) -> Int32 {
        let direct = Glibc.open(name(number), flags | cyx_open_direct, 0o600)
        guard direct < 0, errno == EINVAL else { return direct }
        // Linux makes the file before it says so.
        return Glibc.open(name(number), flags & ~O_EXCL, 0o600)
    }

    /// Frees a file's space as soon as nobody holds it; nothing if it is gone already.
    func remove(_ number: UInt32) throws(StoreError) {
        guard unlink(name(number)) == 0 || errno == ENOENT else {
            throw .refused("remove \(name(number))")
        }
    }

    private func name(_ number: UInt32) -> String {
        let digits = String(number)
        return path + "/" + String(repeating: "0", count: 10 - digits.count) + digits
    }

    private func sync() throws(StoreError) {
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .refused("open \(path)") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw .refused("flush \(path)") }
    }
}

extension StoreError {
    /// What the operating system just said about `operation`.
    fileprivate static func refused(_ operation: String) -> StoreError {
        let code = errno
        if code == ENOSPC || code == EDQUOT { return .noSpace }
        return .failed(operation: operation, detail: String(cString: strerror(code)))
    }
}
