package import CyxCore

/// Large networks (architecture §7). Above `ViewLimits.full` members a peer keeps its neighbours in
/// key space, which it watches, and a random sample. News of a member is passed on among its
/// neighbours only, so that what a peer sends and keeps no longer grows with the network. Of others
/// the neighbours are asked: their records are where lookups of their IDs lead.
extension MembershipMachine {
    /// Whether this peer no longer knows everybody.
    package var isPartial: Bool { partial != nil }

    /// About how many members the network has, this peer included.
    package var estimatedMembers: Int {
        max(partial?.estimate ?? 0, reachableCount + 1)
    }

    /// Those whose state this peer finds out for itself.
    package var watchedPeers: [PeerID] {
        guard let partial else { return reachablePeers }
        return partial.neighbours.filter { isReachable($0) }
    }

    func isWatched(_ peer: PeerID) -> Bool { partial?.isNeighbour(peer) ?? true }

    /// The reachable members closest to `target`, closest first.
    package func closest(to target: Digest, count: Int) -> [PeerID] {
        var near = reachablePeers.map { (distance: $0.digest ^ target, peer: $0) }
        near.sort { $0.distance < $1.distance }
        return near.prefix(count).map(\.peer)
    }

    /// Passes news on, if it is this peer's to pass on.
    mutating func spread(_ subject: PeerID, _ update: GossipQueue.Update) {
        if subject == localPeer || isWatched(subject) { gossip.add(subject, update) }
    }

    /// Whether there is room for a member to be kept in `state`; somebody may have to go for it.
    mutating func makeRoom(for peer: PeerID, as state: MemberState) -> Bool {
        if isReachable(peer) { return true }
        guard state == .alive else { return entries[peer] != nil || entries.count < limits.full }
        if partial == nil {
            if entries[peer] != nil || entries.count < limits.full { return true }
            becomePartial()
        }
        switch partial?.admit(peer) {
        case .refused:
            drop(peer)
            return false
        case .admitted(let evicted?): drop(evicted)
        case .admitted, nil: break
        }
        return true
    }

    func wouldAdmit(_ peer: PeerID) -> Bool {
        partial?.wouldAdmit(peer) ?? true
    }

    /// Another says that the network is too large to know everybody.
    package mutating func becomePartial() {
        guard partial == nil else { return }
        var view = PartialView(local: localPeer, limits: limits, secret: generator.next())
        var evicted: [PeerID] = []
        for peer in reachablePeers {
            switch view.admit(peer) {
            case .refused: evicted.append(peer)
            case .admitted(let instead): if let instead { evicted.append(instead) }
            }
        }
        partial = view
        for peer in evicted { drop(peer) }
        probeOrder = []
        // A dictionary does not give back the room that it once needed.
        entries = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value) })
    }

    /// Knows everybody again once the network has shrunk well below the threshold.
    mutating func reviewView() {
        guard let partial, partial.estimate < limits.full / 2 else { return }
        self.partial = nil
    }

    /// Forgets a member that is nobody's loss: others watch it.
    private mutating func drop(_ peer: PeerID) {
        guard entries.removeValue(forKey: peer) != nil else { return }
        changed = true
        remove(peer, from: &order)
        remove(peer, from: &reachablePeers)
        suspects.removeAll { $0 == peer }
        absent.removeAll { $0 == peer }
        checks.removeAll { $0.peer == peer }
    }

    private func remove(_ peer: PeerID, from list: inout [PeerID]) {
        let index = place(of: peer, in: list)
        if index < list.count, list[index] == peer { list.remove(at: index) }
    }

    /// A comparison with `peer` failed. Of the sample nobody here finds out more.
    package mutating func handleSyncFailure(with peer: PeerID) {
        forgetOfSample(peer)
    }

    mutating func forgetOfSample(_ peer: PeerID) {
        guard partial != nil, !isWatched(peer), isReachable(peer) else { return }
        partial?.remove(peer)
        drop(peer)
    }

    /// The sample in random round-robin order, like all in a small network, only slower: else it
    /// would fill with members that left long ago.
    mutating func nextOfSample() -> PeerID? {
        for _ in 0..<2 {
            while let target = sampleOrder.popLast() {
                if isReachable(target), !isWatched(target) { return target }
            }
            sampleOrder = reachablePeers.filter { !isWatched($0) }
            sampleOrder.shuffle(using: &generator)
        }
        return nil
    }

    /// A member gave a sign of life to this peer itself.
    mutating func hear(_ peer: PeerID, now: Instant) { entries[peer]?.heard = now }

    /// Whether others may be told of a member that nobody around here probes often. Whoever has not
    /// been heard of by the one who tells is not passed on: the dead of a large network would
    /// otherwise live on in hearsay, sent back to those who have just found out.
    private func isVouchedFor(_ peer: PeerID, now: Instant) -> Bool {
        if isWatched(peer) { return true }
        return entries[peer]?.heard.map { now - $0 < MembershipLimits.hearsay } ?? false
    }

    /// Whom to show a peer that does not know everybody: those close to it, and some at random.
    mutating func shown(to peer: PeerID, except seen: Set<PeerID>, now: Instant) -> [PeerID] {
        let others = reachablePeers.filter {
            !seen.contains($0) && $0 != peer && isVouchedFor($0, now: now)
        }
        let close = others.map { (distance: $0.digest ^ peer.digest, peer: $0) }
            .sorted { $0.distance < $1.distance }.prefix(limits.neighbours).map(\.peer)
        let known = Set(close)
        let rest = others.filter { !known.contains($0) }
        return close + rest.shuffled(using: &generator).prefix(limits.shown)
    }
}
