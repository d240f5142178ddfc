package import CyxCore
package import CyxOverlay

/// When a view should change and to what (A1, A4): pure judgement on what one peer sees. The same
/// rules propose a successor and object to another's proposal.
package struct ViewPlanner: Sendable {
    package let deathDelay: Duration
    /// Whom this peer sees, itself included.
    package let snapshot: MembershipSnapshot
    /// Members of views that membership does not know (any more), and since when.
    package let absentSince: [PeerID: Instant]
    /// Whether the network's size has been stable for long enough to grow.
    package let isSettled: Bool
    package let now: Instant
    /// What candidates are ranked under, the newest first.
    package let salts: [PlacementSalt]
    /// When partitions split; nil: never.
    let splits: SplitLimits?
    /// Rules that are not kept, in simulations.
    private let brokenRules: Set<TableRule>
    /// Peers that store, can be reached and take something new.
    private let storers: [Member]
    private let order: PlacementOrder

    /// Better candidates that a proposal may pass over: the proposer may have found them silent.
    static let passedOverLimit = 2

    package init(
        deathDelay: Duration, snapshot: MembershipSnapshot, absentSince: [PeerID: Instant],
        isSettled: Bool, now: Instant, salts: [PlacementSalt] = [], splits: SplitLimits? = nil,
        brokenRules: Set<TableRule> = []
    ) {
        self.brokenRules = brokenRules
        self.deathDelay = deathDelay
        self.snapshot = snapshot
        self.absentSince = absentSince
        self.isSettled = isSettled
        self.now = now
        self.salts = salts
        self.splits = splits
        order = PlacementOrder(salts.first, localSince: ViewPlanner.start(snapshot))
        storers = snapshot.stayingStorers.filter { $0.info.store != nil }
    }

    private static func start(_ snapshot: MembershipSnapshot) -> Instant {
        snapshot.members[snapshot.localPeer]?.joined ?? Instant(nanoseconds: 0)
    }

    package var target: ViewSize { .target(forPeers: storers.count) }
    var storerCount: Int { storers.count }

    /// Whether `member` is gone for good: dead or absent for `delay`, left, or with another store.
    package func isGone(_ member: ViewMember, for delay: Duration) -> Bool {
        guard let seen = snapshot.members[member.peer] else {
            return absentSince[member.peer].map { now - $0 >= delay } ?? false
        }
        switch seen.state {
        case .left: return true
        case .dead: return now - seen.since >= delay
        case .alive, .suspect, .away:
            return hasLostStore(member, seen)
        }
    }

    /// Whether a member's store was replaced since it got its seat.
    private func hasLostStore(_ member: ViewMember, _ seen: Member) -> Bool {
        seen.info.store != member.store && !brokenRules.contains(.tellsStoresApart)
    }

    /// Whether `member` never comes back as it was: it left, or lost its store.
    func isGoneForGood(_ member: ViewMember) -> Bool {
        guard let seen = snapshot.members[member.peer] else { return false }
        return seen.state == .left || hasLostStore(member, seen)
    }

    /// Whether `member` gives its seats away: it is there, with all that it has, until nobody needs
    /// it any more.
    package func isDraining(_ member: ViewMember) -> Bool {
        guard let seen = snapshot.members[member.peer] else { return false }
        return seen.isReachable && seen.info.isDraining && seen.info.store == member.store
    }

    /// Whether another should have `member`'s seat (A4).
    private func shouldGo(_ member: ViewMember) -> Bool {
        isGone(member, for: deathDelay) || isDraining(member)
    }

    /// Whether `member` can be reached with what it has.
    func isThere(_ member: ViewMember) -> Bool {
        !isGone(member, for: .zero)
            && snapshot.members[member.peer].map(\.isReachable) ?? false
    }

    /// How many members of `view` are there to give their state to the next one.
    private func sources(_ view: View) -> Int { view.members.count { isThere($0) } }

    /// The view that should follow `view`; nil when there is no cause to change it.
    /// `excluded`: candidates that did not answer. `silent`: members that did not, who go before
    /// others that only said that they would: those can still give their state to the next view.
    package func successor(
        of view: View, excluding excluded: Set<PeerID> = [], silent: Set<PeerID> = []
    ) -> View? {
        let all = view.members.filter { shouldGo($0) }
        let gone =
            all.filter { silent.contains($0.peer) }
            + all.filter { !silent.contains($0.peer) && !isDraining($0) }
            + all.filter { !silent.contains($0.peer) && isDraining($0) }
        let canGrow = isSettled && target.members > view.members.count
        guard !gone.isEmpty || canGrow else { return nil }
        let removed = Set(gone.prefix(changesMax(view, gone)).map(\.peer))
        let kept = view.members.filter { !removed.contains($0.peer) }
        let candidates = candidates(for: view, beside: kept, excluding: excluded)
        let wanted = canGrow ? target.members : view.members.count
        let available = kept.count + candidates.count
        if available >= wanted { return assemble(view, kept, candidates, count: wanted) }
        // Too few for the size wanted: grow as far as a size of A1 allows, …
        if let size = ViewPlanner.sizes.last(where: { $0 <= available }),
            size > view.members.count
        {
            return assemble(view, kept, candidates, count: size)
        }
        // … or shrink if the smaller view then survives more losses, …
        if let shrunk = shrunk(view, gone: gone) { return shrunk }
        // … or replace as many as can be, and keep the others' seats.
        guard !candidates.isEmpty, !removed.isEmpty else { return nil }
        let taking = Set(candidates.map(\.peer))
        let lost = view.members.filter { removed.contains($0.peer) }
        // Nobody has two seats.
        let seats =
            lost.filter { taking.contains($0.peer) } + lost.filter { !taking.contains($0.peer) }
        let still = seats.suffix(max(0, seats.count - candidates.count))
        return assemble(view, kept + still, candidates, count: view.members.count)
    }

    /// How many of `gone` may go at once (A3). One that drains may go even from a view that can do
    /// without none: it stays until others have what it has.
    private func changesMax(_ view: View, _ gone: [ViewMember]) -> Int {
        if brokenRules.contains(.boundsChanges) { return view.members.count - 1 }
        let canDrain = gone.contains { isDraining($0) } && sources(view) >= view.quorum
        return canDrain ? max(1, view.tolerance) : view.tolerance
    }

    /// The sizes that views have.
    private static let sizes = [1, 3, 5, 9]

    /// A smaller view of those who stay, where it survives more losses or lets go who drains.
    private func shrunk(_ view: View, gone: [ViewMember]) -> View? {
        let live = view.members.filter { !gone.contains($0) }
        let size = ViewSize(members: ViewPlanner.sizes.last { $0 <= live.count } ?? 1)
        guard size.members < view.members.count,
            size.tolerance > live.count - view.quorum,
            view.members.count - size.members <= view.tolerance
        else { return drained(view, live: live, gone: gone) }
        return assemble(view, Array(live.prefix(size.members)), [], count: size.members)
    }

    /// The next smaller view, where nobody can take the seat of one that drains. Not while a member
    /// is down that may be back with what it has. From three to one more go at once than may be lost:
    /// a quorum of those who stay, or stay until they are not needed, gives the one its state.
    private func drained(_ view: View, live: [ViewMember], gone: [ViewMember]) -> View? {
        let draining = gone.filter { isDraining($0) }
        guard !draining.isEmpty, !live.isEmpty,
            gone.allSatisfy({ isDraining($0) || isGoneForGood($0) }),
            let size = ViewPlanner.sizes.last(where: { $0 < view.members.count }),
            size == 1 || view.members.count - size <= view.tolerance,
            sources(view) >= view.quorum
        else { return nil }
        return assemble(view, Array((live + draining).prefix(size)), [], count: size)
    }

    /// The view `id` of a partition that lost its quorum: with `survivors` as far as there is room,
    /// and otherwise as the network's present size would have it; nil if no peer stores anything.
    package func recovered(_ id: ViewID, survivors: [ViewMember]) -> View? {
        let seats = survivors.filter { survivor in
            storers.contains { $0.peer == survivor.peer && $0.info.store == survivor.store }
        }
        let kept = Array(seats.prefix(target.members))
        let start = View(id: id, members: kept, quorum: target.quorum)
        var view = assemble(
            start, kept, candidates(for: start, beside: kept, excluding: []),
            count: target.members)
        view.id = id
        return view.members.count == target.members ? view : nil
    }

    /// Reachable storing peers that have no seat and would not keep one, best rank first. One whose
    /// store was replaced may take the seat that it had before.
    private func candidates(
        for view: View, beside kept: [ViewMember], excluding excluded: Set<PeerID>
    ) -> [Member] {
        let outside = storers.filter { member in
            !excluded.contains(member.peer) && !view.contains(seat(member))
                && !kept.contains { $0.peer == member.peer }
        }
        return order.rank(position: view.partition.lowerBound, members: outside)
    }

    /// Fills `kept` up with candidates of the zones that have room: no zone should have more than
    /// n − q members (A4).
    private func assemble(
        _ view: View, _ kept: [ViewMember], _ candidates: [Member], count: Int
    ) -> View {
        let size = ViewSize(members: count)
        var perZone: [String: Int] = [:]
        for member in kept {
            if let zone = snapshot.members[member.peer]?.info.zone {
                perZone[zone, default: 0] += 1
            }
        }
        var members = kept
        var left: [Member] = []
        for candidate in candidates where members.count < count {
            let zone = candidate.info.zone
            guard zone.isEmpty || perZone[zone, default: 0] < size.tolerance else {
                left.append(candidate)
                continue
            }
            perZone[zone, default: 0] += 1
            members.append(seat(candidate))
        }
        members += left.prefix(max(0, count - members.count)).map { seat($0) }
        // Salted too: rank 0 is the first to propose, and nobody should choose to be it.
        let ranked = members.map { member in
            let position = view.partition.lowerBound
            return (score: order.score(position: position, peer: member.peer), member: member)
        }.sorted { left, right in
            left.score != right.score
                ? left.score > right.score : left.member.peer < right.member.peer
        }
        let id = ViewID(
            partition: view.partition, generation: view.id.generation, epoch: view.id.epoch + 1)
        return View(id: id, members: ranked.map(\.member), quorum: size.quorum)
    }

    private func seat(_ member: Member) -> ViewMember {
        // Candidates have stores.
        ViewMember(peer: member.peer, store: member.info.store ?? StoreID(.zero))
    }

    /// Why this peer does not agree that `successor` follows `view`; nil: it sees the cause too.
    /// `bytes`: of the partition's rows; nil while that is not known.
    package func objection(
        to successor: View, after view: View, bytes: Int? = nil
    ) -> String? {
        if successor.partition != view.partition {
            return objection(toSplit: successor, of: view, bytes: bytes)
        }
        guard successor.id.partition == view.partition,
            successor.id.generation == view.id.generation,
            successor.id.epoch == view.id.epoch + 1,
            successor.quorum == ViewSize(members: successor.members.count).quorum
        else { return "not a successor" }
        let removed = view.members.filter { !successor.contains($0) }
        let added = successor.members.filter { !view.contains($0) }
        let isShrinking = successor.members.count < view.members.count
        guard isShrinking || removed.count <= changesMax(view, removed) else {
            return "too many members at once"
        }
        for member in added {
            guard let seen = snapshot.members[member.peer], seen.isReachable,
                seen.info.roles.contains(.storage), seen.info.store == member.store
            else { return "cannot see \(member.peer)" }
        }
        // In a network too large to know everybody each member ranks a random sample of its own, and
        // cannot judge another's choice: there only honest members keep liars' friends out.
        if !snapshot.isPartial, !salts.isEmpty,
            !salts.contains(where: { isFair(successor, after: view, under: $0) })
        {
            return "passes over better candidates"
        }
        let gone = removed.filter { shouldGo($0) }
        if isShrinking {
            guard added.isEmpty else { return "a smaller view with new members" }
            guard let mine = shrunk(view, gone: view.members.filter { shouldGo($0) })
            else { return "no cause to shrink" }
            return mine.members.count == successor.members.count ? nil : "another size"
        }
        guard gone.count == removed.count else { return "a member is not gone" }
        if successor.members.count > view.members.count {
            return target.members >= successor.members.count ? nil : "too large for the network"
        }
        return removed.isEmpty ? "nothing changes" : nil
    }

    /// Whether the members that `successor` adds come about first among those who could be added. A
    /// member that lies could otherwise give every further seat to its friends.
    private func isFair(
        _ successor: View, after view: View, under salt: PlacementSalt
    ) -> Bool {
        let order = PlacementOrder(salt, localSince: ViewPlanner.start(snapshot))
        let size = ViewSize(members: successor.members.count)
        var perZone: [String: Int] = [:]
        for member in successor.members {
            guard let zone = snapshot.members[member.peer]?.info.zone else { continue }
            perZone[zone, default: 0] += 1
        }
        let passed = storers.filter { candidate in
            let zone = candidate.info.zone
            return !view.contains(candidate.peer) && !successor.contains(candidate.peer)
                && (zone.isEmpty || perZone[zone, default: 0] < size.tolerance)
        }
        return successor.members.allSatisfy { member in
            guard !view.contains(member), let seen = snapshot.members[member.peer] else {
                return true
            }
            let position = view.partition.lowerBound
            return order.passedOver(passed, by: seen, position: position)
                <= ViewPlanner.passedOverLimit
        }
    }
}
