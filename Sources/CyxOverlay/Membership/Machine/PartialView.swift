internal import CyxCore

/// How much of a large network one peer keeps.
package struct ViewLimits: Sendable, Equatable {
    /// Members up to which everybody knows everybody.
    package var full = 4096
    /// Beyond that, the members closest to a peer's own ID, which it watches and which watch it.
    package var neighbours = 40
    /// Others that it keeps besides, at random.
    package var sample = 1024
    /// Random members that a comparison shows the other besides those close to it.
    package var shown = 16
    package init() {}
}

/// Whom a peer keeps of a network that is too large to know everybody: neighbours in key space, and
/// a sample. The sample is those whose rank under a secret of this peer is lowest: uniform over all
/// that it ever heard of, whoever told it how often, and nobody can make IDs that get in.
struct PartialView: Sendable {
    private let local: PeerID
    private let limits: ViewLimits
    private let secret: UInt64
    /// The closest first.
    private(set) var neighbours: [PeerID] = []
    /// By rank.
    private var sample: [(rank: UInt64, peer: PeerID)] = []

    enum Admission: Equatable {
        case refused
        case admitted(instead: PeerID?)
    }

    init(local: PeerID, limits: ViewLimits, secret: UInt64) {
        self.local = local
        self.limits = limits
        self.secret = secret
    }

    func isNeighbour(_ peer: PeerID) -> Bool {
        let place = neighbourPlace(peer)
        return place < neighbours.count && neighbours[place] == peer
    }

    /// What `admit` would do.
    func wouldAdmit(_ peer: PeerID) -> Bool {
        guard neighbourPlace(peer) >= limits.neighbours, sample.count >= limits.sample else {
            return true
        }
        return sample.last.map { rank(peer) < $0.rank } ?? false
    }

    /// Takes a member in, and says who has to go for it.
    mutating func admit(_ peer: PeerID) -> Admission {
        let place = neighbourPlace(peer)
        if place < neighbours.count, neighbours[place] == peer { return .admitted(instead: nil) }
        guard place < limits.neighbours else { return admitToSample(peer) }
        remove(peer)
        neighbours.insert(peer, at: place)
        guard neighbours.count > limits.neighbours, let farthest = neighbours.popLast() else {
            return .admitted(instead: nil)
        }
        switch admitToSample(farthest) {
        case .refused: return .admitted(instead: farthest)
        case .admitted(let evicted): return .admitted(instead: evicted)
        }
    }

    private mutating func admitToSample(_ peer: PeerID) -> Admission {
        let rank = rank(peer)
        let place = samplePlace(rank)
        if place < sample.count, sample[place].peer == peer { return .admitted(instead: nil) }
        guard place < limits.sample else { return .refused }
        sample.insert((rank, peer), at: place)
        guard sample.count > limits.sample else { return .admitted(instead: nil) }
        return .admitted(instead: sample.popLast()?.peer)
    }

    /// Somebody is gone; the closest of the sample takes a neighbour's place.
    mutating func remove(_ peer: PeerID) {
        let place = neighbourPlace(peer)
        if place < neighbours.count, neighbours[place] == peer {
            neighbours.remove(at: place)
            let next = sample.min { distance($0.peer) < distance($1.peer) }
            if let next {
                sample.remove(at: samplePlace(next.rank))
                neighbours.insert(next.peer, at: neighbourPlace(next.peer))
            }
        } else {
            let place = samplePlace(rank(peer))
            if place < sample.count, sample[place].peer == peer { sample.remove(at: place) }
        }
    }

    /// How many members the network has, judging by how close the neighbours are.
    var estimate: Int {
        guard let last = neighbours.last else { return 0 }
        let share = Double(distance(last).word0) / Double(sign: .plus, exponent: 64, significand: 1)
        return Int(min(1e12, Double(neighbours.count) / max(share, 1e-15)))
    }

    private func distance(_ peer: PeerID) -> Digest { peer.digest ^ local.digest }

    private func neighbourPlace(_ peer: PeerID) -> Int {
        let own = distance(peer)
        return Self.place(in: neighbours.count) { distance(neighbours[$0]) < own }
    }

    private func samplePlace(_ rank: UInt64) -> Int {
        Self.place(in: sample.count) { sample[$0].rank < rank }
    }

    /// The first index that `precedes` does not hold for.
    private static func place(in count: Int, _ precedes: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if precedes(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A mixture of the secret and the ID (the finaliser of SplitMix64, twice).
    private func rank(_ peer: PeerID) -> UInt64 {
        func mix(_ value: UInt64) -> UInt64 {
            var z = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        return mix(mix(peer.digest.word1 ^ secret) &+ peer.digest.word2)
    }
}
