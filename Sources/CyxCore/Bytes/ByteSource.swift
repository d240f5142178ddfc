/// A stream of bytes that its reader pulls; nothing is read ahead of the reader without bound.
package protocol ByteSource: Sendable {
    /// The next bytes (any number but 0), or nil at the end. Throws to abort whatever consumes it.
    mutating func next() async throws -> [UInt8]?
}

/// Bytes that are all there already, given out in one piece.
package struct FixedBytes: ByteSource {
    private var bytes: [UInt8]?

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes.isEmpty ? nil : bytes
    }

    package mutating func next() async throws -> [UInt8]? {
        defer { bytes = nil }
        return bytes
    }
}
