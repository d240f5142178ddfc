internal import CyxCore
internal import CyxStorage
internal import Glibc

/// Small files that only their owner may read: keys, tokens, and the addresses a peer serves at.
enum SecretFile {
    private static let byteLimit = 1 << 20

    /// The bytes of a file, nil if there is none.
    static func read(_ path: String) throws(StoreProblem) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw refused("read", path)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= byteLimit {
            let count = Glibc.read(descriptor, &piece, piece.count)
            guard count >= 0 else { throw refused("read", path) }
            if count == 0 { return bytes }
            bytes += piece.prefix(count)
        }
        throw StoreProblem(
            "STORE-06", "\(path) is larger than \(byteLimit >> 20) MiB",
            advice: "this should be a key or a settings file; check its name")
    }

    /// Replaces a file whole, mode 0600: a crash leaves the old one or the new one.
    static func write(_ path: String, _ text: String) throws(StoreProblem) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw refused("write", temporary) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        let count = Glibc.write(descriptor, bytes, bytes.count)
        guard count == bytes.count, fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw refused("write", path)
        }
    }

    /// Reads 64 hexadecimal digits.
    static func key(_ bytes: [UInt8], in path: String) throws(StoreProblem) -> [UInt8] {
        let word = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard let key = Hex.decode(word), key.count == 32 else {
            throw StoreProblem(
                "ID-01", "\(path) must hold 64 hexadecimal digits",
                advice: "`openssl rand -hex 32` makes such a key; restore the file if it was one")
        }
        return key
    }

    /// The 32-byte secret in a file, made and kept on first use.
    static func secret(
        _ path: String, make: () -> [UInt8]
    ) throws(StoreProblem) -> [UInt8] {
        if let bytes = try read(path) { return try key(bytes, in: path) }
        let secret = make()
        try write(path, Hex.encode(secret) + "\n")
        return secret
    }

    private static func refused(_ verb: String, _ path: String) -> StoreProblem {
        StoreProblem(
            "STORE-02", "cannot \(verb) \(path): \(String(cString: strerror(errno)))",
            advice: "give user \(getuid()) the right to, or choose another --data-dir")
    }
}
