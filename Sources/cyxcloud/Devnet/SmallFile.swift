internal import CyxClient
internal import CyxCore
internal import Glibc

/// Files of a few bytes: tokens, addresses, keys, process IDs.
enum SmallFile {
    private static let byteLimit = 64 << 10

    /// The text without white space around it; nil if there is no such file or nothing in it.
    static func read(_ path: String) -> String? {
        guard let bytes = readBytes(path, from: 0) else { return nil }
        let words = String(decoding: bytes, as: UTF8.self)
            .drop { $0.isWhitespace }
        guard let last = words.lastIndex(where: { !$0.isWhitespace }) else { return nil }
        return String(words[...last])
    }

    /// The last lines of a log.
    static func tail(_ path: String, lines: Int) -> [String] {
        var info = stat()
        guard stat(path, &info) == 0 else { return [] }
        let start = max(Int(info.st_size) - byteLimit, 0)
        guard let bytes = readBytes(path, from: start) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(lines)
            .map(String.init)
    }

    private static func readBytes(_ path: String, from offset: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: byteLimit)
        let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
        return count < 0 ? nil : Array(buffer[..<count])
    }

    /// Puts a whole new file in place of the old one.
    static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws(ClientError) {
        let fresh = path + ".new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure("write", path) }
        let bytes = Array(text.utf8)
        let count = Glibc.write(descriptor, bytes, bytes.count)
        let isWritten = count == bytes.count
        close(descriptor)
        guard isWritten, rename(fresh, path) == 0 else { throw failure("write", path) }
    }

    static func makeFolder(_ path: String, mode: mode_t = 0o755) throws(ClientError) {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("make", path) }
    }

    private static func failure(_ verb: String, _ path: String) -> ClientError {
        ClientError(
            code: "FILE-01", message: "cannot \(verb) \(path)", cause: SystemError.words(errno))
    }
}
