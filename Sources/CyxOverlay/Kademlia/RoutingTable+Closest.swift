package import CyxCore
package import CyxTransport

/// What the table knows of the surroundings of a key.
extension RoutingTable {
    /// The `count` contacts closest to `target`, closest first; to others only `verified` ones.
    package func closest(to target: Digest, count: Int, verifiedOnly: Bool) -> [PeerContact] {
        var found: [PeerContact] = []
        found.reserveCapacity(count)
        closest(to: target, count: count, verifiedOnly: verifiedOnly) { found.append($0.contact) }
        return found
    }

    /// Visits buckets in the order of their distance, so that only what may be among the closest
    /// is sorted. A contact of bucket j differs from this peer first in bit j: where the target
    /// does too, the contact is closer to it than every contact of a deeper bucket, elsewhere
    /// farther.
    private func closest(
        to target: Digest, count: Int, verifiedOnly: Bool, visit: (Slot) -> Void
    ) {
        let difference = local.digest ^ target
        var left = count
        var order: [(distance: Digest, place: Int)] = []
        order.reserveCapacity(parameters.bucketSize)
        func take(_ bucket: Bucket) {
            order.removeAll(keepingCapacity: true)
            for (place, slot) in bucket.slots.enumerated() where slot.isVerified || !verifiedOnly {
                order.append((slot.contact.peer.digest ^ target, place))
            }
            order.sort { $0.distance < $1.distance }
            for entry in order.prefix(left) { visit(bucket.slots[entry.place]) }
            left -= min(left, order.count)
        }
        for index in buckets.indices where left > 0 && difference.bit(index) {
            take(buckets[index])
        }
        for index in buckets.indices.reversed() where left > 0 && !difference.bit(index) {
            take(buckets[index])
        }
    }

    /// The distance within which k peers are to be expected around any key, from how far this
    /// peer's own k closest contacts are; nil for a network of fewer. Peers around a key that are
    /// closer than that are all part of its neighbourhood, however many somebody has put there
    /// (the region of Netto, Cholez and Ignat 2025, arXiv 2505.01139).
    package var neighbourhood: Digest? {
        var last: Digest?
        var number = 0
        closest(to: local.digest, count: parameters.bucketSize, verifiedOnly: false) { slot in
            last = slot.contact.peer.digest ^ local.digest
            number += 1
        }
        return number == parameters.bucketSize ? last : nil
    }
}

extension Digest {
    /// Bit `index`, counted from the highest.
    fileprivate func bit(_ index: Int) -> Bool {
        let word =
            switch index >> 6 {
            case 0: word0
            case 1: word1
            case 2: word2
            default: word3
            }
        return word >> UInt64(63 - index & 63) & 1 == 1
    }
}
