package import CyxCore

/// One range of the key space: the positions that start with the first `depth` bits of `bits`.
package struct Partition: Hashable, Sendable, Comparable {
    package static let depthLimit = 48

    /// How many leading bits are fixed, 0…`depthLimit`.
    package let depth: UInt8
    /// Those bits as a number.
    package let index: UInt64

    /// Nil when `index` needs more than `depth` bits or `depth` is over its limit.
    package init?(depth: UInt8, index: UInt64) {
        guard depth <= Partition.depthLimit, index >> UInt64(depth) == 0 else { return nil }
        self.depth = depth
        self.index = index
    }

    /// The partition of that depth in which `position` lies.
    package init(holding position: Digest, depth: UInt8) {
        precondition(depth <= Partition.depthLimit, "a partition has at most 48 bits")
        self.depth = depth
        self.index = position.prefix(bits: Int(depth))
    }

    package func contains(_ position: Digest) -> Bool {
        position.prefix(bits: Int(depth)) == index
    }

    /// The least position inside.
    package var lowerBound: Digest {
        Digest(depth == 0 ? 0 : index << UInt64(64 - depth), 0, 0, 0)
    }

    /// The least position after the partition; nil for the last one.
    package var upperBound: Digest? {
        let next = index + 1
        guard depth > 0, next >> UInt64(depth) == 0 else { return nil }
        return Digest(next << UInt64(64 - depth), 0, 0, 0)
    }

    // MARK: Splitting

    /// The two partitions that this one splits into, the lower first; nil at the depth limit.
    package var children: (lower: Partition, upper: Partition)? {
        guard let lower = Partition(depth: depth + 1, index: index << 1),
            let upper = Partition(depth: depth + 1, index: index << 1 | 1)
        else { return nil }
        return (lower, upper)
    }

    /// The partition that splits into this one and another; nil for the whole key space.
    package var parent: Partition? {
        depth == 0 ? nil : Partition(depth: depth - 1, index: index >> 1)
    }

    /// The other partition that `parent` splits into.
    package var sibling: Partition? {
        depth == 0 ? nil : Partition(depth: depth, index: index ^ 1)
    }

    /// Whether `other` lies in this partition, or is it.
    package func contains(_ other: Partition) -> Bool {
        other.depth >= depth && other.index >> UInt64(other.depth - depth) == index
    }

    /// Whether one of the two lies in the other.
    package func overlaps(_ other: Partition) -> Bool { contains(other) || other.contains(self) }

    /// In key order, a partition before those that it splits into.
    package static func < (left: Partition, right: Partition) -> Bool {
        (left.lowerBound, left.depth) < (right.lowerBound, right.depth)
    }
}

extension Partition: CustomStringConvertible {
    package var description: String { "\(index)/\(depth)" }
}

/// Names one view: operations carry it, and a member answers for exactly this one (A3).
package struct ViewID: Hashable, Sendable {
    package var partition: Partition
    package var generation: UInt32
    package var epoch: UInt32

    package init(partition: Partition, generation: UInt32, epoch: UInt32) {
        self.partition = partition
        self.generation = generation
        self.epoch = epoch
    }

    /// Whether this view comes after `other` in the history of one partition, before and after it
    /// split.
    package func isNewer(than other: ViewID) -> Bool {
        (generation, epoch) > (other.generation, other.epoch)
    }
}
