internal import CyxCore

/// A Reed–Solomon code: any `dataShards` of `shards` pieces give the data back.
package struct Redundancy: Hashable, Sendable, CustomStringConvertible {
    package let dataShards: Int
    package let parityShards: Int

    package init(dataShards: Int, parityShards: Int) {
        precondition(dataShards > 0 && parityShards >= 0, "a code has at least one data shard")
        self.dataShards = dataShards
        self.parityShards = parityShards
    }

    package var shards: Int { dataShards + parityShards }

    /// Shards that must be durable before a write is acknowledged: n − ⌊m/2⌋ (B2).
    package var acknowledged: Int { shards - parityShards / 2 }

    /// Bytes of each shard of a chunk of `length` bytes: ceil(length / k), zero padded (B2).
    package func shardBytes(_ length: Int) -> Int { (length + dataShards - 1) / dataShards }

    /// How many losses of peers are always borne when `storers` peers share the shards evenly.
    package func losses(on storers: Int) -> Int {
        precondition(storers > 0, "somebody has the shards")
        return parityShards / ((shards + storers - 1) / storers)
    }

    package var description: String { "rs(\(dataShards),\(parityShards))" }

    /// The codes that a network may use, widest first (architecture §9). One copy survives nothing
    /// and is used with a warning.
    package static let ladder = [
        Redundancy(dataShards: 10, parityShards: 4), Redundancy(dataShards: 4, parityShards: 2),
        Redundancy(dataShards: 1, parityShards: 2), oneCopy,
    ]

    package static let oneCopy = Redundancy(dataShards: 1, parityShards: 0)

    /// The widest code of the ladder that `storers` distinct peers can hold; nil for none at all.
    package static func widest(for storers: Int) -> Redundancy? {
        ladder.first { $0.shards <= storers }
    }
}
