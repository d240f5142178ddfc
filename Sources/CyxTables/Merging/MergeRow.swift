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
    package struct Item: Hashable, Sendable {
        package let element: [UInt8]
        package fileprivate(set) var entry: MergeEntry
    }

    /// Least size of an encoded entry: two lengths, flag, stamp and writer.
    private static let entryOverhead = 4 + 4 + 1 + 8 + 32

    /// In the order of their elements, which is that of their encoding: rows are read far more often
    /// than elements are looked for.
    package private(set) var items: [Item] = []

    package init() {}

    package var isEmpty: Bool { items.isEmpty }

    /// Whether an element is there only to say that it was removed.
    package var hasTombstones: Bool { items.contains { $0.entry.value == nil } }

    /// Forgets which elements were removed; returns how many.
    mutating func dropTombstones() -> Int {
        let before = items.count
        items.removeAll { item in
            guard item.entry.value == nil else { return false }
            byteCount -= MergeRow.entryOverhead + item.element.count
            return true
        }
        return before - items.count
    }

    /// Length of `bytes`.
    package private(set) var byteCount = 4

    /// What is there, removed elements left out, in element order.
    package var elements: [MergeElement] {
        items.compactMap { item in
            item.entry.value.map { MergeElement(element: item.element, value: $0) }
        }
    }

    package subscript(element: [UInt8]) -> MergeEntry? {
        let place = place(of: element)
        return place.isTaken ? items[place.index].entry : nil
    }

    /// Where an element is, or is to be.
    private func place(of element: [UInt8]) -> (index: Int, isTaken: Bool) {
        // Mostly elements come in order.
        guard let last = items.last, !last.element.lexicographicallyPrecedes(element) else {
            return (items.count, false)
        }
        var low = 0
        var high = items.count - 1
        while low < high {
            let middle = (low + high) / 2
            if items[middle].element.lexicographicallyPrecedes(element) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return (low, items[low].element == element)
    }

    /// Sets one element unless what is there wins; returns whether it changed anything.
    @discardableResult
    package mutating func put(
        _ element: [UInt8], _ entry: MergeEntry, twoPhase: Bool
    ) -> Bool {
        let place = place(of: element)
        if place.isTaken {
            let existing = items[place.index].entry
            guard entry != existing, entry.supersedes(existing, twoPhase: twoPhase) else {
                return false
            }
            byteCount -= existing.value?.count ?? 0
            items[place.index].entry = entry
        } else {
            byteCount += MergeRow.entryOverhead + element.count
            items.insert(Item(element: element, entry: entry), at: place.index)
        }
        byteCount += entry.value?.count ?? 0
        return true
    }

    /// Merges all of `other`; returns whether that changed anything.
    @discardableResult
    package mutating func absorb(_ other: MergeRow, twoPhase: Bool) -> Bool {
        var changed = false
        for item in other.items where put(item.element, item.entry, twoPhase: twoPhase) {
            changed = true
        }
        return changed
    }

    /// The highest stamp among those of `other`'s elements that this row already supersedes: a
    /// writer whose clock is behind must write above it.
    package func conflict(with other: MergeRow, twoPhase: Bool) -> HybridStamp? {
        var highest: HybridStamp?
        for item in other.items {
            guard let existing = self[item.element], existing != item.entry,
                existing.supersedes(item.entry, twoPhase: twoPhase),
                !(twoPhase && existing.value == nil)
            else { continue }
            highest = max(highest ?? existing.stamp, existing.stamp)
        }
        return highest
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: byteCount)
        writer.write(UInt32(items.count))
        for item in items {
            let entry = item.entry
            writer.write(UInt32(item.element.count))
            writer.write(item.element)
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
            // One row has one encoding.
            if let last = items.last {
                guard last.element.lexicographicallyPrecedes(element) else {
                    throw .outOfRange(field: "element")
                }
            }
            put(
                element,
                MergeEntry(value: isPresent == 1 ? value : nil, stamp: stamp, writer: writer),
                twoPhase: false)
        }
        try reader.finish()
    }
}
