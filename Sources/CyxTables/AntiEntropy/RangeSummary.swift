internal import CyxCore

/// What a member says of a range of its rows when another asks: its fingerprint, and either its
/// rows, if they are few, or the fingerprints of a few parts with about as many rows each.
///
/// Parts follow the rows, not the keys: all rows of a bucket share their first bits, so that a tree
/// of fixed prefixes would be a list.
struct RangeSummary: Sendable {
    /// A range with no more rows than this is listed.
    static let listingRows = 128
    /// Parts of a range that is not, at most; at least half as many.
    static let parts = 32

    /// Consecutive rows from a key on.
    struct Part: Hashable, Sendable {
        var from: [UInt8]
        var fingerprint: RowFingerprint
    }

    private(set) var total = RowFingerprint()
    /// That the rows take in the store.
    private(set) var byteCount = 0
    /// The first rows; all of them if they are few.
    private var first: [RowSummary] = []
    /// Each but the last has `rowsInPart` rows.
    private var made: [Part] = []
    private var rowsInPart: UInt64 = 1

    /// Adds the next row, in key order, with so many bytes in the store.
    mutating func add(_ row: RowSummary, bytes: Int = 0) {
        byteCount += bytes
        if first.count <= RangeSummary.listingRows { first.append(row) }
        let hash = row.hash
        total.insert(hash)
        if let last = made.indices.last, made[last].fingerprint.count < rowsInPart {
            made[last].fingerprint.insert(hash)
            return
        }
        if made.count == RangeSummary.parts { halve() }
        made.append(Part(from: row.key, fingerprint: RowFingerprint()))
        made[made.count - 1].fingerprint.insert(hash)
    }

    /// Joins each two neighbours.
    private mutating func halve() {
        rowsInPart *= 2
        made = stride(from: 0, to: made.count, by: 2).map { index in
            var part = made[index]
            part.fingerprint += made[index + 1].fingerprint
            return part
        }
    }

    /// The rows; nil if they are too many.
    var listing: [RowSummary]? { first.count <= RangeSummary.listingRows ? first : nil }

    /// The parts of the range that begins at `from`, in order.
    func parts(from: [UInt8]) -> [Part] {
        var parts = made
        if !parts.isEmpty { parts[0].from = from }
        return parts
    }
}
