internal import CyxCore
internal import Glibc

/// Why a data directory cannot be used: what, where and what to do.
struct DataDirectoryError: Error, Equatable, CustomStringConvertible {
    var message: String
    init(_ message: String) { self.message = message }
    var description: String { message }
}

/// The folder of one peer: held by one process at a time, its secrets readable by its owner alone.
struct DataDirectory: ~Copyable {
    let path: String
    private let lockDescriptor: Int32

    /// Creates the folder if need be and locks it until the process ends.
    init(path: String) throws(DataDirectoryError) {
        self.path = path
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw DataDirectoryError("cannot create \(path): \(Self.errorText)")
        }
        let descriptor = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DataDirectoryError(
                "cannot write in \(path): \(Self.errorText); give user \(getuid()) the right to,"
                    + " or choose another --data-dir")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw DataDirectoryError(
                "\(path) is in use by another cyxpeer; stop it, or choose another --data-dir")
        }
        lockDescriptor = descriptor
    }

    deinit { close(lockDescriptor) }

    private static var errorText: String { String(cString: strerror(errno)) }

    /// The bytes of a file of the directory, nil if there is none.
    func read(_ name: String) throws(DataDirectoryError) -> [UInt8]? {
        try Self.read("\(path)/\(name)")
    }

    /// The bytes of any file, nil if there is none. At most 1 MiB: these are keys and settings.
    static func read(_ file: String) throws(DataDirectoryError) -> [UInt8]? {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw DataDirectoryError("cannot read \(file): \(errorText)")
        }
        defer { close(descriptor) }
        let limit = 1 << 20
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            var piece = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(descriptor, &piece, piece.count)
            guard count >= 0 else { throw DataDirectoryError("cannot read \(file): \(errorText)") }
            if count == 0 { return bytes }
            bytes += piece.prefix(count)
        }
        throw DataDirectoryError("\(file) is larger than \(limit >> 20) MiB")
    }

    /// Replaces a file whole: a crash leaves the old one or the new one. Mode 0600.
    func write(_ name: String, _ bytes: [UInt8]) throws(DataDirectoryError) {
        let target = "\(path)/\(name)"
        let temporary = target + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DataDirectoryError("cannot write \(temporary): \(Self.errorText)")
        }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            guard count > 0 else {
                throw DataDirectoryError("cannot write \(temporary): \(Self.errorText)")
            }
            written += count
        }
        guard fsync(descriptor) == 0, rename(temporary, target) == 0 else {
            throw DataDirectoryError("cannot write \(target): \(Self.errorText)")
        }
    }

    /// A 32-byte secret kept as hex under `name`, made by `make` on first use.
    func secret(
        _ name: String, make: () -> [UInt8]
    ) throws(DataDirectoryError) -> [UInt8] {
        if let text = try read(name) {
            return try Self.parseKey(text, file: "\(path)/\(name)")
        }
        let secret = make()
        try write(name, Array((Hex.encode(secret) + "\n").utf8))
        return secret
    }

    /// Reads a file of 64 hexadecimal digits.
    static func parseKey(
        _ text: [UInt8], file: String
    ) throws(DataDirectoryError) -> [UInt8] {
        let word = String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }
        guard let bytes = Hex.decode(word), bytes.count == 32 else {
            throw DataDirectoryError(
                "\(file) must hold 64 hexadecimal digits (`openssl rand -hex 32` makes them)")
        }
        return bytes
    }
}
