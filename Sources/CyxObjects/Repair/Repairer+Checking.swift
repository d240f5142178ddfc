internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Looking at shards that somebody said are bad.
extension Repairer {
    /// Whether the rows name `peer` for `shard`; readers also report whom they remember of before.
    func isHolder(_ peer: PeerID, of shard: ShardID) async -> Bool {
        if machine.isHolder(peer, of: shard) { return true }
        await load(shard.segment)
        return machine.isHolder(peer, of: shard)
    }

    func isDraining(_ peer: PeerID) -> Bool {
        context.membership.snapshot.members[peer]?.info.isDraining ?? false
    }

    /// Reads a shard file at its holder and checks it; nil if the holder does not answer, which is
    /// left to membership.
    func isGood(_ shard: ShardID, _ shape: SegmentShape, at peer: PeerID) async -> Bool? {
        var offset = 0
        while offset < shape.fileBytes {
            let range = offset..<min(offset + SegmentRebuilder.windowBytes, shape.fileBytes)
            do throws(ShardClient.Failure) {
                let answer = try await context.with(.background).client
                    .read(shard, range, from: peer)
                let root = shape.roots[shard.index]
                let isValid = await context.environment.blocking.run {
                    ShardSlice.isValid(answer, for: range, root: root, fileBytes: shape.fileBytes)
                }
                guard isValid else { return false }
            } catch {
                switch error {
                case .garbage: return false
                case .call(let error): return ShardRefusal(error) == .notFound ? false : nil
                }
            }
            offset = range.upperBound
        }
        return true
    }
}
