package import CyxCore
internal import CyxCrypto

/// Rendezvous hashing (Thaler and Ravishankar 1998): every peer that knows the same members ranks
/// them the same way for a position, and a member that comes or goes moves only what is its own.
package enum Rendezvous {
    /// The score of a peer for a position: BLAKE3(position ‖ peer ID), keyed with `salt` if there is
    /// one. Higher ranks first. Allocates nothing: thousands are computed at a time.
    package static func score(position: Digest, peer: PeerID, salt: Digest? = nil) -> Digest {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 8) { words in
            let (first, second) = (position, peer.digest)
            words[0] = first.word0.bigEndian
            words[1] = first.word1.bigEndian
            words[2] = first.word2.bigEndian
            words[3] = first.word3.bigEndian
            words[4] = second.word0.bigEndian
            words[5] = second.word1.bigEndian
            words[6] = second.word2.bigEndian
            words[7] = second.word3.bigEndian
            let bytes = UnsafeRawBufferPointer(words)
            return salt.map { BLAKE3.keyedHash(key: $0, bytes) } ?? BLAKE3.hash(bytes)
        }
    }

    /// `members` by descending score; ties, which need a hash collision, by peer ID.
    package static func rank(position: Digest, members: [Member]) -> [Member] {
        rank(position: position, members, peer: \.peer)
    }

    package static func rank(position: Digest, peers: [PeerID]) -> [PeerID] {
        rank(position: position, peers, peer: \.self)
    }

    private static func rank<Item>(
        position: Digest, _ items: [Item], peer: (Item) -> PeerID
    ) -> [Item] {
        let scored = items.map { (score(position: position, peer: peer($0)), $0) }
        return scored.sorted { left, right in
            left.0 != right.0 ? left.0 > right.0 : peer(left.1) < peer(right.1)
        }.map(\.1)
    }

    /// `members` by descending weighted score −weight / ln(u), u being the score as a number in
    /// (0, 1) (Mosharaf et al., weighted rendezvous): a member of twice the weight comes first
    /// twice as often. A weight of 0 or less ranks last.
    package static func rank(
        position: Digest, members: [Member], weight: (Member) -> Double
    ) -> [Member] {
        let scored = members.map { member in
            let word = score(position: position, peer: member.peer).word0
            // 53 bits, moved off 0 and 1, so that the logarithm is finite and not 0.
            let unit = (Double(word >> 11) + 0.5) / 9_007_199_254_740_992
            let weight = weight(member)
            return (weight > 0 ? -weight / NaturalLogarithm.of(unit) : 0, member)
        }
        return scored.sorted { left, right in
            left.0 != right.0 ? left.0 > right.0 : left.1.peer < right.1.peer
        }.map(\.1)
    }

    /// Takes up to `count` of `ranked`, in order, with at most `maximumPerZone` of one zone. When
    /// zones do not suffice, the cap rises by one until `count` are found or none are left.
    package static func spread(
        _ ranked: [Member], count: Int, maximumPerZone: Int
    ) -> [Member] {
        precondition(maximumPerZone > 0, "a zone may hold something")
        var taken: [Int] = []
        var perZone: [String: Int] = [:]
        var isTaken = [Bool](repeating: false, count: ranked.count)
        var cap = maximumPerZone
        while taken.count < min(count, ranked.count) {
            for index in ranked.indices where !isTaken[index] && taken.count < count {
                let zone = ranked[index].info.zone
                guard perZone[zone, default: 0] < cap else { continue }
                perZone[zone, default: 0] += 1
                isTaken[index] = true
                taken.append(index)
            }
            cap += 1
        }
        return taken.sorted().map { ranked[$0] }
    }
}

/// ln x for 0 < x < 1 by the series of artanh: the same bits on every machine, which a C library
/// does not promise, and placement must be the same everywhere.
enum NaturalLogarithm {
    private static let ln2 = 0.693_147_180_559_945_3

    static func of(_ x: Double) -> Double {
        // x = significand · 2^exponent with significand in [1, 2).
        let ratio = (x.significand - 1) / (x.significand + 1)
        let square = ratio * ratio
        var term = ratio
        var sum = 0.0
        // ratio ≤ 1/3: the 20th term is below 2^-60.
        for index in 0..<20 {
            sum += term / Double(2 * index + 1)
            term *= square
        }
        return Double(x.exponent) * ln2 + 2 * sum
    }
}
