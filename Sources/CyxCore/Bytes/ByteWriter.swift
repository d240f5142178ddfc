/// Appends fixed-width big-endian values to owned bytes.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    package mutating func write(_ value: UInt8) { bytes.append(value) }

    package mutating func write(_ value: UInt16) { append(value.bigEndian) }
    package mutating func write(_ value: UInt32) { append(value.bigEndian) }
    package mutating func write(_ value: UInt64) { append(value.bigEndian) }

    package mutating func write(_ digest: Digest) {
        write(digest.word0)
        write(digest.word1)
        write(digest.word2)
        write(digest.word3)
    }

    package mutating func write(_ more: [UInt8]) { bytes.append(contentsOf: more) }
    package mutating func write(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }
}
