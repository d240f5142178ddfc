internal import CyxCore
internal import CyxCrypto

/// The fingerprint of a set of rows: the lane-wise sum of the hashes of its rows, and how many they
/// are. A row goes in and out in O(1), and the fingerprints of neighbouring ranges add up to that
/// of both (Meyer 2023, "Range-Based Set Reconciliation", arXiv 2212.13567, §5).
///
/// Sums of hashes can be made to collide on purpose with enough work (Wagner 2002). Members of a
/// view trust each other as it is, and a collision hides a missing copy, never a wrong one.
struct RowFingerprint: Hashable, Sendable {
    private var sum = SIMD4<UInt64>()
    private(set) var count: UInt64 = 0

    mutating func insert(_ hash: Digest) {
        sum &+= RowFingerprint.lanes(hash)
        count &+= 1
    }

    mutating func remove(_ hash: Digest) {
        sum &-= RowFingerprint.lanes(hash)
        count &-= 1
    }

    static func += (left: inout RowFingerprint, right: RowFingerprint) {
        left.sum &+= right.sum
        left.count &+= right.count
    }

    /// What travels: neither the sum's structure nor the count alone decides.
    var digest: Digest {
        var writer = ByteWriter(capacity: 40)
        for lane in 0..<4 { writer.write(sum[lane]) }
        writer.write(count)
        return BLAKE3.hash(writer.bytes)
    }

    private static func lanes(_ hash: Digest) -> SIMD4<UInt64> {
        SIMD4(hash.word0, hash.word1, hash.word2, hash.word3)
    }
}

/// What two members compare of a row: that it is there, and in which version.
struct RowSummary: Hashable, Sendable {
    var key: [UInt8]
    /// Of a register the ballot of what is accepted: one ballot has one value. A promise is no
    /// state and differs between members at any time. Of a merge row its hash.
    var version: [UInt8]

    /// Nil for a row without state: a promise alone, or nothing.
    init?(_ key: [UInt8], _ content: StoredRow.Content) {
        self.key = key
        switch content {
        case .register(let record):
            guard record.accepted != .none else { return nil }
            version = record.accepted.bytes
        case .merge(let row):
            guard !row.isEmpty else { return nil }
            version = BLAKE3.hash(row.bytes).bytes
        }
    }

    init(key: [UInt8], version: [UInt8]) {
        self.key = key
        self.version = version
    }

    var hash: Digest {
        var writer = ByteWriter(capacity: 4 + key.count + version.count)
        writer.write(UInt32(key.count))
        writer.write(key)
        writer.write(version)
        return BLAKE3.hash(writer.bytes)
    }
}
