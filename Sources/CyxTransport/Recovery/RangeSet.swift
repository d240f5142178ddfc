/// Disjoint, non-adjacent half-open ranges in ascending order: packet numbers received, bytes
/// acknowledged, bytes lost.
struct RangeSet: Equatable, Sendable {
    private(set) var ranges: [Range<UInt64>] = []

    var count: Int { ranges.count }
    var isEmpty: Bool { ranges.isEmpty }
    var first: Range<UInt64>? { ranges.first }
    var last: Range<UInt64>? { ranges.last }
    subscript(index: Int) -> Range<UInt64> { ranges[index] }

    /// Index of the first range whose upper bound is at or above `value`.
    private func firstIndex(reaching value: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func contains(_ value: UInt64) -> Bool {
        let index = firstIndex(reaching: value + 1)
        return index < ranges.count && ranges[index].contains(value)
    }

    /// Adds `range`, joining what it touches.
    @inline(__always)
    mutating func insert(_ range: Range<UInt64>) {
        // In-order arrival is the common case: grow the last range.
        if let last = ranges.last, last.upperBound == range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
        } else {
            join(range)
        }
    }

    private mutating func join(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        let start = firstIndex(reaching: range.lowerBound)
        var end = start
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= merged.upperBound {
            merged =
                min(
                    merged.lowerBound, ranges[end].lowerBound)..<max(
                    merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        if end == start + 1 {
            ranges[start] = merged
        } else {
            ranges.replaceSubrange(start..<end, with: CollectionOfOne(merged))
        }
    }

    /// Takes `range` out, splitting what it cuts.
    mutating func remove(_ range: Range<UInt64>) {
        guard !range.isEmpty, !ranges.isEmpty else { return }
        let start = firstIndex(reaching: range.lowerBound + 1)
        var end = start
        var left: Range<UInt64>?
        var right: Range<UInt64>?
        while end < ranges.count, ranges[end].lowerBound < range.upperBound {
            let current = ranges[end]
            if current.lowerBound < range.lowerBound {
                left = current.lowerBound..<range.lowerBound
            }
            if current.upperBound > range.upperBound {
                right = range.upperBound..<current.upperBound
            }
            end += 1
        }
        guard end > start else { return }
        var rest: [Range<UInt64>] = []
        if let left { rest.append(left) }
        if let right { rest.append(right) }
        ranges.replaceSubrange(start..<end, with: rest)
    }

    /// Forgets the lowest range.
    mutating func removeFirst() { ranges.removeFirst() }

    /// Forgets every value below `bound`.
    mutating func removeBelow(_ bound: UInt64) {
        while let first = ranges.first, first.lowerBound < bound {
            if first.upperBound > bound {
                ranges[0] = bound..<first.upperBound
                return
            }
            ranges.removeFirst()
        }
    }

    mutating func removeAll() { ranges.removeAll(keepingCapacity: true) }
}
