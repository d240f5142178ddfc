internal import CyxCore
internal import CyxCrypto
internal import Glibc

/// Remembers a multipart upload on disk, so that the same command can go on with it: a file named
/// by what is uploaded, with the upload's ID in its first line and a stored part in each further
/// one. A line that was cut off by a crash is ignored.
struct UploadJournal: Sendable {
    private static let byteLimit = 2 << 20
    private let directory: String
    private let path: String

    /// `identity` tells endpoint, target and the very state of the file.
    init(directory: String, identity: String) {
        self.directory = directory
        path = directory + "/" + Hex.encode(SHA256.hash(Array(identity.utf8)))
    }

    /// The upload and its parts' ETags by number; nil if there is none.
    func load() throws(ClientError) -> (upload: String, parts: [Int: String])? {
        guard access(path, F_OK) == 0 else { return nil }
        let file = try OpenFile.reading(path)
        let size = try file.status().size
        guard size <= UInt64(Self.byteLimit) else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        let count = bytes.withUnsafeMutableBytes { file.read(into: $0, at: 0) } ?? 0
        var lines = String(decoding: bytes[..<count], as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        lines.removeLast()
        guard let first = lines.first, first.hasPrefix("upload ") else { return nil }
        var parts: [Int: String] = [:]
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            guard words.count == 2, let number = Int(words[0]) else { continue }
            parts[number] = String(words[1])
        }
        return (String(first.dropFirst(7)), parts)
    }

    func start(upload: String) throws(ClientError) {
        try Self.makeDirectory(directory)
        remove()
        try append("upload \(upload)\n")
    }

    /// Notes a part that the gateway has stored.
    func add(_ part: UploadedPart) throws(ClientError) {
        try append("\(part.number) \(part.etag)\n")
    }

    func remove() {
        unlink(path)
    }

    /// One write per line, so that parallel parts do not mix.
    private func append(_ line: String) throws(ClientError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .file("write", path, errno: errno) }
        defer { close(descriptor) }
        let bytes = Array(line.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw .file("write", path, errno: errno)
        }
    }

    private static func makeDirectory(_ path: String) throws(ClientError) {
        var made = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            made += made.isEmpty && part.isEmpty ? "/" : made.hasSuffix("/") ? part : "/" + part
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else {
                throw .file("make", made, errno: errno)
            }
        }
    }
}
