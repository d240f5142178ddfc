package import CyxCore
internal import CyxCrypto

/// The state of one element of a merge row.
package struct MergeEntry: Hashable, Sendable {
    /// Nil: removed.
    package var value: [UInt8]?
    package var stamp: HybridStamp
    package var writer: PeerID

    package init(value: [UInt8]?, stamp: HybridStamp, writer: PeerID) {
        self.value = value
        self.stamp = stamp
        self.writer = writer
    }

    /// Whether this state wins over `other`: by (clock, writer, value hash) (A7), except that in a
    /// two-phase table a removal wins over everything.
    package func supersedes(_ other: MergeEntry, twoPhase: Bool) -> Bool {
        if twoPhase, (value == nil) != (other.value == nil) { return value == nil }
        if stamp != other.stamp { return stamp > other.stamp }
        if writer != other.writer { return writer > other.writer }
        return hash > other.hash
    }

    private var hash: Digest { value.map { BLAKE3.hash($0) } ?? .zero }
}

/// A merge row: a map from element to state that merges element by element, in any order and any
/// number of times, to the same result.
package struct MergeRow: Hashable, Sendable {
    /// Least size of an encoded entry: two lengths, flag, stamp and writer.
    private static let entryOverhead = 4 + 4 + 1 + 8 + 32

    package private(set) var entries: [[UInt8]: MergeEntry] = [:]

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    /// Length of `bytes`.
    package private(set) var byteCount = 4

    /// Elements in order.
    package var sortedElements: [[UInt8]] {
        entries.keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// What is there, removed elements left out, in element order.
    package var elements: [MergeElement] {
        sortedElements.compactMap { element in
            entries[element]?.value.map { MergeElement(element: element, value: $0) }
        }
    }

    /// Sets one element unless what is there wins; returns whether it changed anything.
    @discardableResult
    package mutating func put(
        _ element: [UInt8], _ entry: MergeEntry, twoPhase: Bool
    ) -> Bool {
        if let existing = entries[element] {
            guard entry != existing, entry.supersedes(existing, twoPhase: twoPhase) else {
                return false
            }
            byteCount -= existing.value?.count ?? 0
        } else {
            byteCount += MergeRow.entryOverhead + element.count
        }
        byteCount += entry.value?.count ?? 0
        entries[element] = entry
        return true
    }

    /// Merges all of `other`; returns whether that changed anything.
    @discardableResult
    package mutating func absorb(_ other: MergeRow, twoPhase: Bool) -> Bool {
        var changed = false
        for (element, entry) in other.entries
        where put(element, entry, twoPhase: twoPhase) {
            changed = true
        }
        return changed
    }

    /// The highest stamp among those of `other`'s elements that this row already supersedes: a
    /// writer whose clock is behind must write above it.
    package func conflict(with other: MergeRow, twoPhase: Bool) -> HybridStamp? {
        var highest: HybridStamp?
        for (element, entry) in other.entries {
            guard let existing = entries[element], existing != entry,
                existing.supersedes(entry, twoPhase: twoPhase),
                !(twoPhase && existing.value == nil)
            else { continue }
            highest = max(highest ?? existing.stamp, existing.stamp)
        }
        return highest
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: byteCount)
        writer.write(UInt32(entries.count))
        for element in sortedElements {
            guard let entry = entries[element] else { continue }
            writer.write(UInt32(element.count))
            writer.write(element)
            writer.write(UInt8(entry.value == nil ? 0 : 1))
            writer.write(UInt32(entry.value?.count ?? 0))
            if let value = entry.value { writer.write(value) }
            writer.write(entry.stamp.value)
            writer.write(entry.writer.digest)
        }
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let count = Int(try reader.readUInt32())
        guard count <= RowLimits.mergeElements,
            count * MergeRow.entryOverhead <= reader.remaining
        else { throw .outOfRange(field: "elements") }
        for _ in 0..<count {
            let element = try reader.readBytes(Int(try reader.readUInt32()))
            let isPresent = try reader.readUInt8()
            let value = try reader.readBytes(Int(try reader.readUInt32()))
            guard isPresent <= 1, isPresent == 1 || value.isEmpty else {
                throw .outOfRange(field: "value")
            }
            let stamp = HybridStamp(value: try reader.readUInt64())
            let writer = PeerID(try reader.readDigest())
            guard entries[element] == nil else { throw .outOfRange(field: "element") }
            put(
                element,
                MergeEntry(value: isPresent == 1 ? value : nil, stamp: stamp, writer: writer),
                twoPhase: false)
        }
        try reader.finish()
    }
}
