internal import CyxCore
internal import CyxCrypto

/// The hash of consecutive rows of a partition: two peers that have the same ones need not send
/// them.
struct PageDigest {
    /// Where the page ends, exclusive.
    var end: [UInt8]
    private(set) var rowCount = 0
    private(set) var byteCount = 0
    private var hasher = BLAKE3.Hasher()

    init(end: [UInt8]) {
        self.end = end
    }

    /// Adds the next row: its key in the store and its content.
    mutating func add(_ key: [UInt8], _ content: [UInt8]) {
        // Each part behind its length, so that no two pages read alike.
        var writer = ByteWriter(capacity: 8 + key.count + content.count)
        writer.write(UInt32(key.count))
        writer.write(key)
        writer.write(UInt32(content.count))
        writer.write(content)
        hasher.update(writer.bytes)
        rowCount += 1
        byteCount += key.count + content.count
    }

    var digest: Digest { hasher.finalize() }
}
