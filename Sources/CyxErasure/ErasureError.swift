/// Why shards could not be made or data not be recovered.
package enum ErasureError: Error, Equatable {
    /// Only 1…32 data shards and 0…16 parity shards are coded.
    case unsupportedShape(dataShards: Int, parityShards: Int)
    /// The list must name every shard of the code, missing ones as nil.
    case wrongShardCount(expected: Int, actual: Int)
    /// Fewer shards are left than the code needs; more must be fetched.
    case tooFewShards(available: Int, needed: Int)
    /// Shard `index` differs in size from the others, so one of them is not of this data.
    case wrongShardSize(index: Int, expected: Int, actual: Int)
    /// There is no shard `index`.
    case noSuchShard(index: Int)
    /// The shards hold less than the `length` asked for.
    case tooShort(length: Int, capacity: Int)
}
