internal import CyxCore
internal import CyxOverlay

/// Makes missing shard files of a segment from those that are there, window by window, and gives
/// them to new holders.
struct SegmentRebuilder: Sendable {
    /// Bytes of each shard file that are read, decoded and sent at a time.
    static let windowBytes = 1 << 20

    let context: ObjectContext
    /// Reports bad shards that are met on the way. One that nobody runs reports none, which is
    /// right for a segment without rows: nobody watches it yet.
    var runner = JobRunner()
    let shape: SegmentShape
    let signedCore: [UInt8]

    typealias Holder = (entry: HolderEntry, receipt: StoreReceipt)

    /// Rebuilds `missing` from `sources`, which hold other indices. `avoiding`: peers that get
    /// one only where there is nobody else; `spoilt`: those that have a bad one of the segment, which
    /// get theirs back only where there is nobody else at all. Returns the new holders, which may be
    /// fewer than were asked for when there are not enough other peers.
    func rebuild(
        _ missing: [Int], from sources: [(index: Int, peer: PeerID)],
        avoiding: Set<PeerID> = [], spoilt: Set<PeerID> = []
    ) async throws(ObjectError) -> [Holder] {
        var targets = try targets(
            for: missing, sources: sources, avoiding: avoiding, spoilt: spoilt)
        var holders: [PeerID?] = Array(repeating: nil, count: shape.code.shards)
        for source in sources { holders[source.index] = source.peer }
        var rebuilt: [Holder] = []
        let fetcher = SegmentFetcher(context: context, runner: runner)
        var offset = 0
        while offset < shape.fileBytes, !targets.isEmpty {
            let end = min(offset + SegmentRebuilder.windowBytes, shape.fileBytes)
            let shards = try await fetcher.fetch(
                shape, offset..<end, holders: holders, excluding: Set(missing))
            let indices = targets.map(\.index)
            let pieces = await context.environment.blocking.run {
                WindowDecoder.rebuild(indices, from: shards)
            }
            guard let pieces else { throw .dataLost("segment \(shape.id) cannot be decoded") }
            let isLast = end == shape.fileBytes
            let results = await push(pieces, to: targets, at: offset, isLast: isLast)
            var remaining: [Target] = []
            for (target, result) in zip(targets, results) {
                switch result {
                case .success(let holder):
                    if let holder { rebuilt.append(holder) }
                    remaining.append(target)
                case .failure(let failure):
                    let shard = ShardID(segment: shape.id, index: target.index)
                    if let holder = await context.client.existing(
                        shard, shape, signedCore, at: target.peer, after: failure)
                    {
                        rebuilt.append(holder)
                    }
                }
            }
            targets = remaining
            offset = end
        }
        return rebuilt
    }

    private struct Target: Sendable {
        var index: Int
        var peer: PeerID
    }

    private func targets(
        for missing: [Int], sources: [(index: Int, peer: PeerID)], avoiding: Set<PeerID>,
        spoilt: Set<PeerID>
    ) throws(ObjectError) -> [Target] {
        let snapshot = context.membership.snapshot
        let taken = Set(sources.map(\.peer))
        var zones: [String: Int] = [:]
        for peer in taken {
            if let zone = snapshot.members[peer]?.info.zone { zones[zone, default: 0] += 1 }
        }
        let doubtful = avoiding.union(
            context.standings.distrusted(now: context.environment.now()))
        // In a small network spares may lie at everyone: who has nothing else of the segment takes a
        // missing shard, too.
        let needed = SegmentRebuilder.firstHolders(sources)
        var candidates: [Member] = []
        for avoided in [doubtful, spoilt, []] {
            for holders in [taken, needed] where candidates.isEmpty {
                candidates = context.candidates(in: snapshot, avoiding: holders.union(avoided))
            }
        }
        let count = min(missing.count, candidates.count)
        guard count > 0,
            let placement = Placement.choose(
                count, of: candidates, for: shape.id, code: shape.code, used: zones,
                order: context.placementOrder(in: snapshot))
        else { throw .unavailable("no further storage peer for segment \(shape.id)") }
        return zip(missing, placement.holders).map { Target(index: $0, peer: $1) }
    }

    /// One holder of each index.
    private static func firstHolders(_ sources: [(index: Int, peer: PeerID)]) -> Set<PeerID> {
        var first: [Int: PeerID] = [:]
        for source in sources {
            first[source.index] = min(first[source.index] ?? source.peer, source.peer)
        }
        return Set(first.values)
    }

    private func push(
        _ pieces: [[UInt8]], to targets: [Target], at offset: Int, isLast: Bool
    ) async -> [Result<Holder?, ShardClient.Failure>] {
        await withTaskGroup(of: (Int, Result<Holder?, ShardClient.Failure>).self) { group in
            for (number, target) in targets.enumerated() {
                group.addTask {
                    do throws(ShardClient.Failure) {
                        let holder = try await context.client.append(
                            pieces[number], to: ShardID(segment: shape.id, index: target.index),
                            at: offset, core: isLast ? signedCore : [],
                            root: isLast ? shape.roots[target.index] : nil, peer: target.peer)
                        return (number, .success(holder.map { ($0.entry, $0.receipt) }))
                    } catch { return (number, .failure(error)) }
                }
            }
            var results = Array(
                repeating: Result<Holder?, ShardClient.Failure>.success(nil),
                count: targets.count)
            for await (number, result) in group { results[number] = result }
            return results
        }
    }
}
