/// A 256-bit value: a BLAKE3 digest, an identifier, or a position in the key space.
///
/// Four machine words rather than an array, so that it hashes, compares and moves without
/// allocating. The words hold the bytes in big-endian order: comparing words compares bytes.
package struct Digest: Hashable, Comparable, Sendable {
    package static let byteCount = 32

    package var word0: UInt64
    package var word1: UInt64
    package var word2: UInt64
    package var word3: UInt64

    @inlinable
    package init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
        self.word3 = word3
    }

    package static let zero = Digest(0, 0, 0, 0)

    /// Reads 32 bytes; nil unless there are exactly 32.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Digest.byteCount else { return nil }
        self = bytes.withUnsafeBytes { Digest(rawBytes: $0) }
    }

    /// Reads the 32 bytes of `raw`, which our own caller has measured.
    package init(rawBytes raw: UnsafeRawBufferPointer) {
        precondition(raw.count == Digest.byteCount, "a digest has 32 bytes")
        word0 = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        word1 = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    package var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Digest.byteCount) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            raw.storeBytes(of: word0.bigEndian, toByteOffset: 0, as: UInt64.self)
            raw.storeBytes(of: word1.bigEndian, toByteOffset: 8, as: UInt64.self)
            raw.storeBytes(of: word2.bigEndian, toByteOffset: 16, as: UInt64.self)
            raw.storeBytes(of: word3.bigEndian, toByteOffset: 24, as: UInt64.self)
            count = Digest.byteCount
        }
    }

    package static func < (left: Digest, right: Digest) -> Bool {
        if left.word0 != right.word0 { return left.word0 < right.word0 }
        if left.word1 != right.word1 { return left.word1 < right.word1 }
        if left.word2 != right.word2 { return left.word2 < right.word2 }
        return left.word3 < right.word3
    }

    /// The XOR metric of Kademlia (Maymounkov and Mazières 2002, §2.1).
    package static func ^ (left: Digest, right: Digest) -> Digest {
        Digest(
            left.word0 ^ right.word0, left.word1 ^ right.word1, left.word2 ^ right.word2,
            left.word3 ^ right.word3)
    }

    /// How many leading bits are zero, 0…256.
    package var leadingZeroBitCount: Int {
        if word0 != 0 { return word0.leadingZeroBitCount }
        if word1 != 0 { return 64 + word1.leadingZeroBitCount }
        if word2 != 0 { return 128 + word2.leadingZeroBitCount }
        return 192 + word3.leadingZeroBitCount
    }

    /// The first `count` bits as a number, 0…64 of them: the index of a partition of that depth.
    package func prefix(bits count: Int) -> UInt64 {
        precondition((0...64).contains(count), "a prefix has 0 to 64 bits")
        return count == 0 ? 0 : word0 >> UInt64(64 - count)
    }

    package var hex: String { Hex.encode(bytes) }

    /// The first 12 hexadecimal digits, as screens show it.
    package var shortHex: String { String(hex.prefix(12)) }
}

extension Digest: CustomStringConvertible {
    package var description: String { shortHex }
}
