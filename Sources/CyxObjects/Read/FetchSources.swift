internal import CyxCore
internal import CyxOverlay

/// Who may be asked for which shard, in which order. A machine.
struct FetchSources: Sendable {
    private let code: Redundancy
    private let excluding: Set<Int>
    /// By index; each peer once.
    private var peers: [[PeerID]]
    private var members: MembershipSnapshot?
    private var tried: Set<ShardAsk> = []
    /// Whom each index was asked of last.
    private(set) var asked: [Int: PeerID] = [:]
    /// The holders' row was read for this fetch.
    var isRefreshed = false
    /// Asks that brought nothing usable lately: the last to be tried again.
    private let rejected: Set<ShardAsk>

    struct ShardAsk: Hashable, Sendable {
        var index: Int
        var peer: PeerID
    }

    init(
        shape: SegmentShape, holders: [PeerID?], excluding: Set<Int>, rejected: Set<ShardAsk> = []
    ) {
        code = shape.code
        self.excluding = excluding
        self.rejected = rejected
        peers = (0..<shape.code.shards).map { index in
            index < holders.count ? holders[index].map { [$0] } ?? [] : []
        }
    }

    mutating func setMembers(_ members: MembershipSnapshot) { self.members = members }

    mutating func add(_ entries: [HolderEntry]) {
        for entry in entries where entry.index < peers.count {
            if !peers[entry.index].contains(entry.peer) {
                peers[entry.index].insert(entry.peer, at: 0)
            }
        }
    }

    private func isReachable(_ peer: PeerID) -> Bool { members?.mayBeThere(peer) ?? true }

    private func isRejected(_ index: Int, _ peer: PeerID) -> Bool {
        rejected.contains(ShardAsk(index: index, peer: peer))
    }

    /// Whether each data shard has a holder that can be reached and that was not found to have a
    /// bad one: then nothing needs decoding.
    var hasAllDataShards: Bool {
        (0..<code.dataShards).allSatisfy { index in
            excluding.contains(index)
                || peers[index].contains { isReachable($0) && !isRejected(index, $0) }
        }
    }

    /// Indices for which any holder is known.
    var knownIndices: Int { peers.count { !$0.isEmpty } }

    private func candidate(_ answered: Set<Int>) -> (index: Int, peer: PeerID)? {
        for standing in Standing.allCases {
            for index in peers.indices
            where !excluding.contains(index) && !answered.contains(index) {
                for peer in peers[index]
                where !tried.contains(ShardAsk(index: index, peer: peer))
                    && self.standing(index, peer) == standing
                    && !isPending(index)
                {
                    return (index, peer)
                }
            }
        }
        return nil
    }

    /// In the order of asking.
    private enum Standing: CaseIterable {
        case reachable, unreachable, rejected
    }

    private func standing(_ index: Int, _ peer: PeerID) -> Standing {
        if isRejected(index, peer) { return .rejected }
        return isReachable(peer) ? .reachable : .unreachable
    }

    /// An index that is being asked for, or has an answer, is not asked of a second peer before
    /// every other index was tried.
    private func isPending(_ index: Int) -> Bool {
        asked[index] != nil && untriedIndexExists
    }

    private var untriedIndexExists: Bool {
        peers.indices.contains { index in
            asked[index] == nil && !excluding.contains(index)
                && !peers[index].allSatisfy { isRejected(index, $0) }
        }
    }

    func hasNext(_ answered: Set<Int>) -> Bool { candidate(answered) != nil }

    /// Whom to ask next: data shards before parity, reachable peers before others and those of bad
    /// shards last, every index once before any index twice.
    mutating func next(_ answered: Set<Int>) -> (index: Int, peer: PeerID)? {
        guard let candidate = candidate(answered) else { return nil }
        tried.insert(ShardAsk(index: candidate.index, peer: candidate.peer))
        asked[candidate.index] = candidate.peer
        return candidate
    }
}
