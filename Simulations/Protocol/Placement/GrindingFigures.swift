import CyxCore
import CyxObjects
import CyxOverlay
import CyxTables
import CyxTransport

/// What an attacker that makes IDs for one victim's partition and segment gets of both: places
/// among its custodians and among the holders of its shards.
package struct GrindingFigures: Sendable, Equatable {
    /// The attacker's share of all peers.
    package var share: Double
    /// How many of each kind of place it has in the end, one entry a trial.
    package var seats: [Int] = []
    package var shards: [Int] = []

    package static let viewSize = 9
    package static let quorum = 5
    package static let shardCount = 14
    package static let parityShards = 4
    /// Vacancies of each kind per trial.
    package static let vacancies = 42

    /// Each trial is a network with a victim of its own, whose custodians and holders are honest at
    /// first. Every hour one of each fails, whoever's it is, and comes back when its place is taken;
    /// the machines that run on peers say who takes it.
    ///
    /// `liesAsCustodian`: once it has a seat, the attacker proposes its own peers for every further
    /// one, as many as honest members let it; `isProposalChecked`: whether these look at ranks.
    package static func measure(
        _ attack: GrindingAttack, against defence: GrindingDefence, peers: Int, identities: Int,
        trials: Int, liesAsCustodian: Bool = false, isProposalChecked: Bool = true, seed: UInt64
    ) -> GrindingFigures {
        var figures = GrindingFigures(share: Double(identities) / Double(peers))
        for trial in 0..<trials {
            var run = GrindingRun(
                world: GrindingWorld(
                    peers: peers, identities: identities, defence: defence, attack: attack,
                    seed: seed &* 7919 &+ UInt64(trial)),
                liesAsCustodian: liesAsCustodian, isProposalChecked: isProposalChecked)
            for _ in 0..<vacancies { run.step() }
            figures.seats.append(run.view.peers.count { run.world.own.contains($0) })
            figures.shards.append(run.holders.count { run.world.own.contains($0) })
        }
        return figures
    }

    package var trials: Int { seats.count }
    /// Share of the places that are its own.
    package var seatShare: Double { GrindingFigures.mean(seats, of: GrindingFigures.viewSize) }
    package var shardShare: Double { GrindingFigures.mean(shards, of: GrindingFigures.shardCount) }
    /// Trials in which it has a quorum of the custodians.
    package var capturedViews: Int { seats.count { $0 >= GrindingFigures.quorum } }
    /// Trials in which it holds more shards than may be lost.
    package var capturedSegments: Int {
        shards.count { $0 > GrindingFigures.parityShards }
    }

    private static func mean(_ counts: [Int], of places: Int) -> Double {
        Double(counts.reduce(0, +)) / Double(max(1, counts.count) * places)
    }

    /// Chance that at least `least` of `places` are its own if each is with chance `share`.
    package static func binomial(atLeast least: Int, of places: Int, share: Double) -> Double {
        var term = 1.0
        for _ in 0..<places { term *= 1 - share }
        var sum = least == 0 ? term : 0
        for count in 1...places {
            term *= Double(places - count + 1) / Double(count) * share / (1 - share)
            if count >= least { sum += term }
        }
        return sum
    }
}

/// One victim's partition and segment through the hours.
private struct GrindingRun {
    var world: GrindingWorld
    var view: View
    var holders: [PeerID]
    private let liesAsCustodian: Bool
    private let isProposalChecked: Bool

    init(world: GrindingWorld, liesAsCustodian: Bool, isProposalChecked: Bool) {
        var world = world
        view = View(
            id: ViewID(partition: world.partition, generation: 0, epoch: 0),
            members: world.randomHonest(GrindingFigures.viewSize).map {
                ViewMember(peer: $0, store: StoreID($0.digest))
            }, quorum: GrindingFigures.quorum)
        holders = world.randomHonest(GrindingFigures.shardCount)
        self.world = world
        self.liesAsCustodian = liesAsCustodian
        self.isProposalChecked = isProposalChecked
    }

    mutating func step() {
        world.advance(seated: Set(view.peers + holders))
        let custodian = view.members[world.randomIndex(view.members.count)].peer
        let index = world.randomIndex(holders.count)
        let holder = holders[index]
        world.setState(.dead, of: custodian)
        world.setState(.dead, of: holder)
        let snapshot = world.snapshot
        refillView(snapshot)
        refill(index, snapshot)
        world.setState(.alive, of: custodian)
        world.setState(.alive, of: holder)
    }

    private func planner(
        _ snapshot: MembershipSnapshot, salts: [PlacementSalt]
    ) -> ViewPlanner {
        ViewPlanner(
            deathDelay: TableTimings.production.deathDelay, snapshot: snapshot, absentSince: [:],
            isSettled: false, now: world.now, salts: salts)
    }

    private mutating func refillView(_ snapshot: MembershipSnapshot) {
        let planner = planner(snapshot, salts: world.salts)
        guard let successor = planner.successor(of: view) else { return }
        let sitting = view.peers.contains { peer in
            world.own.contains(peer) && snapshot.members[peer]?.isReachable == true
        }
        let judge = isProposalChecked ? planner : self.planner(snapshot, salts: [])
        let own = liesAsCustodian && sitting ? proposal(successor, snapshot, judge) : nil
        view = own ?? successor
    }

    /// The attacker's own peer in place of who should come next, if honest members agree to one.
    private func proposal(
        _ successor: View, _ snapshot: MembershipSnapshot, _ judge: ViewPlanner
    ) -> View? {
        guard let place = successor.members.firstIndex(where: { !view.contains($0) }) else {
            return nil
        }
        for peer in world.own.sorted() where !view.contains(peer) {
            guard snapshot.members[peer]?.isReachable == true else { continue }
            var proposal = successor
            proposal.members[place] = ViewMember(peer: peer, store: StoreID(peer.digest))
            if judge.objection(to: proposal, after: view) == nil { return proposal }
        }
        return nil
    }

    private mutating func refill(_ index: Int, _ snapshot: MembershipSnapshot) {
        let order = PlacementOrder(world.salts.first, localSince: Instant(nanoseconds: 0))
        let code = Redundancy(
            dataShards: GrindingFigures.shardCount - GrindingFigures.parityShards,
            parityShards: GrindingFigures.parityShards)
        let candidates = Placement.candidates(snapshot, avoiding: Set(holders))
        let placement = Placement.choose(
            1, of: candidates, for: SegmentID(world.position), code: code,
            order: order)
        if let peer = placement?.holders.first { holders[index] = peer }
    }
}
