internal import CyxCore
internal import CyxCrypto

/// What a signature says of a request's body.
enum PayloadHash {
    /// How much of a file is hashed at once.
    private static let pieceBytes = 1 << 20

    /// The SHA-256 of a request's body in hex; a file is read once for it.
    static func hex(of body: HTTPRequest.Body) throws(ClientError) -> String {
        var hash = SHA256()
        switch body {
        case .none: break
        case .bytes(let bytes): hash.update(bytes)
        case .file(let file, let offset, let count):
            var piece = [UInt8](repeating: 0, count: Int(min(count, UInt64(pieceBytes))))
            var done: UInt64 = 0
            while done < count {
                let wanted = Int(min(count - done, UInt64(pieceBytes)))
                let read = piece.withUnsafeMutableBytes { buffer in
                    file.read(into: .init(rebasing: buffer[..<wanted]), at: offset + done)
                }
                guard let read, read > 0 else {
                    throw .file("read", file.path, errno: currentErrno())
                }
                hash.update(piece[..<read])
                done += UInt64(read)
            }
        }
        return Hex.encode(hash.finalize())
    }
}
