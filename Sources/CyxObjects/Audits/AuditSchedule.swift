package import CyxCore

/// Which shard of which peer is audited when, and by whom: a function of the beacon alone and of
/// rows that every custodian has, so that nobody picks it and anybody can tell whether it was due.
///
/// Once per period and peer the beacon names a point of the key space. The custodians of its
/// partition audit one of the peer's shards there, the one whose hash with the beacon is least. A
/// peer whose shards cover only a share of the partitions gets as many more points, so that each
/// peer is audited about 24 times a day. Nobody needs a list of all of a peer's shards, and the load
/// is one request per peer and hour, however large the network.
package enum AuditSchedule {
    /// Most points of one peer in one period.
    package static let points = 1024
    /// A peer that was found to have answered wrongly is looked at more closely.
    static let warnedFactor = 8
    /// From so many partitions on, the share that a custodian sees covered says something.
    static let sample = 8
    /// Custodians of a partition that audit it, in turns.
    package static let auditors = 2

    /// What an auditor knows of a peer's spread.
    package struct Spread: Hashable, Sendable {
        /// How many partitions there are: 2^bits.
        package var bits: Int
        /// Shards that the peer has by its own word: what it says that it uses, over the size of
        /// a shard.
        package var claimed: Int
        /// Partitions that the auditor watches, and those in which the peer has shards.
        package var watched: Int
        package var covered: Int

        package init(bits: Int, claimed: Int, watched: Int, covered: Int) {
            self.bits = bits
            self.claimed = claimed
            self.watched = watched
            self.covered = covered
        }
    }

    /// How many points a period has for a peer.
    ///
    /// C shards cover 1 − e^(−C/P) of P partitions, which needs about 1 + P/C points. A peer that
    /// claims too many would get too few: what the auditor sees itself bounds that.
    package static func points(_ spread: Spread, isWarned: Bool = false) -> Int {
        guard spread.covered > 0 else { return 0 }
        let claimed = 1 + (1 << min(spread.bits, 24)) / max(1, spread.claimed)
        let seen = spread.watched < sample ? 1 : spread.watched / spread.covered
        return min(points, max(claimed, seen) * (isWarned ? warnedFactor : 1))
    }

    /// Where the point `slot` of a peer lies, and, in its other words, when and whose turn it is.
    package static func point(_ peer: PeerID, _ beacon: Digest, slot: Int) -> Digest {
        AuditHash.hash(.point) { writer in
            writer.write(beacon)
            writer.write(peer.digest)
            writer.write(UInt32(slot))
        }
    }

    /// How far into the period the audit of a point begins, evenly spread over its first three
    /// quarters, so that retries end with it.
    package static func delay(_ point: Digest, period: Duration) -> Duration {
        let span = UInt64(period.nanoseconds / 4 * 3)
        return .nanoseconds(Int64(point.word1 % max(1, span)))
    }

    /// Whose turn it is among `count` custodians that can be reached, by rank.
    package static func turn(_ point: Digest, among count: Int) -> Int {
        Int(point.word2 % UInt64(max(1, min(count, auditors))))
    }

    /// The shard to audit among those of one peer in the point's partition.
    package static func pick(_ shards: [ShardID], _ beacon: Digest, slot: Int) -> ShardID? {
        shards.map { (shard: $0, weight: weight($0, beacon, slot)) }.min { left, right in
            left.weight != right.weight ? left.weight < right.weight : left.shard < right.shard
        }?.shard
    }

    private static func weight(_ shard: ShardID, _ beacon: Digest, _ slot: Int) -> Digest {
        AuditHash.hash(.pick) { writer in
            writer.write(beacon)
            writer.write(shard.segment.digest)
            writer.write(UInt16(shard.index))
            writer.write(UInt32(slot))
        }
    }
}
