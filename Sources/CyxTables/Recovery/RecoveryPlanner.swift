package import CyxCore
internal import CyxOverlay

/// What one peer knows and has of a partition.
package struct PartitionHolding: Hashable, Sendable {
    /// Proof of the newest view that it knows.
    package var certificate: ViewCertificate
    /// The view whose rows lie there.
    package var held: ViewID?
    /// Whether these are all of that view's.
    package var isSynced: Bool
    /// The view before, whose frozen rows it can give.
    package var frozen: ViewID?

    package init(
        certificate: ViewCertificate, held: ViewID?, isSynced: Bool, frozen: ViewID? = nil
    ) {
        self.certificate = certificate
        self.held = held
        self.isSynced = isSynced
        self.frozen = frozen
    }

    /// Whether this tells more of a partition than what the same peer says of another around it.
    func isMore(than other: PartitionHolding) -> Bool {
        guard let held else { return false }
        return other.held.map { held.isNewer(than: $0) } ?? true
    }
}

/// A member that its view misses.
package struct MissingMember: Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Not reached for so long.
        case gone(Duration)
        /// Off for maintenance that it announced.
        case away
        /// There again with another store, or gone by its own word.
        case wiped
        case left
    }

    package var peer: PeerID
    package var reason: Reason

    package init(peer: PeerID, reason: Reason) {
        self.peer = peer
        self.reason = reason
    }
}

/// How a partition is, and what would bring it back.
package enum PartitionOutlook: Hashable, Sendable {
    /// A quorum of its view has its rows.
    case whole
    /// A quorum will, once the view's members have heard of it and pulled.
    case underWay(ViewCertificate)
    /// Too few are there, and some that are missing may come back.
    case waiting([MissingMember])
    /// Too few are there and nobody else is expected.
    case lost(RecoveryPlan, [MissingMember])
}

/// Which partitions are lost for good, and which view should follow (A5): pure judgement on what the
/// reachable peers say they hold. The operator has the last word.
package struct RecoveryPlanner: Sendable {
    package let planner: ViewPlanner
    /// Since when this peer looks: whom it has not seen since has been gone for that long at least.
    package let watchingSince: Instant
    /// The number of the generation that begins, where the lost one's is lower.
    package let generation: UInt32

    package init(planner: ViewPlanner, watchingSince: Instant, generation: UInt32) {
        self.planner = planner
        self.watchingSince = watchingSince
        self.generation = generation
    }

    /// Nil if no peer stores anything. `holdings`: of the partition or, from who knows no more, of one
    /// that has split into it and others.
    package func outlook(
        of partition: Partition, _ holdings: [PeerID: PartitionHolding]
    ) -> PartitionOutlook? {
        let certificates = holdings.values.map(\.certificate)
        guard let newest = certificates.max(by: { $1.view.id.isNewer(than: $0.view.id) }) else {
            return unknown(partition)
        }
        let view = newest.view
        guard view.partition == partition else {
            return plan(partition, after: newest, synced: 0, holdings)
        }
        let synced = view.members.count { member in
            isPresent(member)
                && holdings[member.peer].map { $0.held == view.id && $0.isSynced } ?? false
        }
        if synced >= view.quorum { return .whole }
        let present = view.members.count { isPresent($0) && holdings[$0.peer] != nil }
        if present >= view.quorum, hasSources(newest, holdings) { return .underWay(newest) }
        return plan(partition, after: newest, synced: synced, holdings)
    }

    /// What brings a partition back without a quorum of `newest`.
    private func plan(
        _ partition: Partition, after newest: ViewCertificate, synced: Int,
        _ holdings: [PeerID: PartitionHolding]
    ) -> PartitionOutlook? {
        let view = newest.view
        var seats = view.members
        if synced == 0 {
            // Its rows are still with those of the view before, and with whom that was to bring back.
            seats += newest.previous?.members ?? []
            seats += newest.recovery?.survivors ?? []
        }
        let missing = missing(seats)
        if missing.contains(where: mayReturn) { return .waiting(missing) }
        let id = ViewID(
            partition: partition,
            generation: max(generation, view.id.generation + 1), epoch: 0)
        let survivors = survivors(of: view, holdings)
        return planner.recovered(id, survivors: survivors).map { next in
            .lost(RecoveryPlan(view: next, previous: view, survivors: survivors), missing)
        }
    }

    /// Whether the members of a view can pull all that it has to begin with.
    private func hasSources(
        _ certificate: ViewCertificate, _ holdings: [PeerID: PartitionHolding]
    ) -> Bool {
        if let recovery = certificate.recovery {
            return recovery.survivors.allSatisfy {
                isPresent($0) && holdings[$0.peer]?.held != nil
            }
        }
        guard let previous = certificate.previous else { return false }
        let sources = previous.members.count { member in
            guard isPresent(member), let holding = holdings[member.peer] else { return false }
            return holding.held == previous.id && holding.isSynced || holding.frozen == previous.id
        }
        return sources >= previous.quorum
    }

    /// Everyone who has any of the rows, the lost view's members first. Late returners of earlier
    /// views too: rows that are old lose against newer ones when they merge.
    private func survivors(
        of view: View, _ holdings: [PeerID: PartitionHolding]
    ) -> [ViewMember] {
        let holders = holdings.filter { $0.value.held != nil }.keys.sorted()
        let members = view.peers.filter { holders.contains($0) }
        let others = holders.filter { !view.contains($0) }
        let found = (members + others).compactMap { peer in
            planner.snapshot.members[peer]?.info.store.map { ViewMember(peer: peer, store: $0) }
        }
        return Array(found.prefix(Recovery.survivorLimit))
    }

    /// Nobody knows a view of the partition: who did is gone.
    private func unknown(_ partition: Partition) -> PartitionOutlook? {
        let missing = planner.snapshot.members.values.compactMap { member -> MissingMember? in
            switch member.state {
            case .alive, .suspect, .left: nil
            case .away: MissingMember(peer: member.peer, reason: .away)
            case .dead: MissingMember(peer: member.peer, reason: .gone(planner.now - member.since))
            }
        }.sorted { $0.peer < $1.peer }
        guard planner.now - watchingSince >= planner.deathDelay, !missing.contains(where: mayReturn)
        else { return .waiting(missing) }
        let id = ViewID(partition: partition, generation: max(1, generation), epoch: 0)
        return planner.recovered(id, survivors: []).map { view in
            .lost(RecoveryPlan(view: view, previous: nil, survivors: []), missing)
        }
    }

    private func isPresent(_ member: ViewMember) -> Bool {
        planner.snapshot.members[member.peer].map {
            $0.isReachable && $0.info.store == member.store
        } ?? false
    }

    private func missing(_ members: [ViewMember]) -> [MissingMember] {
        var found: [MissingMember] = []
        for member in members where !isPresent(member) {
            guard !found.contains(where: { $0.peer == member.peer }) else { continue }
            found.append(MissingMember(peer: member.peer, reason: reason(of: member)))
        }
        return found
    }

    private func reason(of member: ViewMember) -> MissingMember.Reason {
        guard let seen = planner.snapshot.members[member.peer] else {
            return .gone(planner.now - watchingSince)
        }
        return switch seen.state {
        case .left: .left
        case .away: .away
        case .dead: .gone(planner.now - seen.since)
        case .alive, .suspect: .wiped
        }
    }

    /// Whether a peer may still come back with what it had: a change of views would not replace it
    /// either (A4).
    private func mayReturn(_ missing: MissingMember) -> Bool {
        switch missing.reason {
        case .gone(let duration): duration < planner.deathDelay
        case .away: true
        case .wiped, .left: false
        }
    }
}
