package import CyxCore

/// Probing in random round-robin order (SWIM §4.3), through others when the direct way is silent.
extension MembershipMachine {
    package var nextTimeout: Instant {
        var next = syncDue
        if !hasTurn { next = min(next, probeDue) }
        for probe in probes { next = min(next, probe.deadline, probe.indirectAt) }
        for check in checks { next = min(next, check.due) }
        for peer in absent { next = min(next, entries[peer]?.awayUntil ?? next) }
        if !gossip.isEmpty, reachableCount > 0 { next = min(next, gossipDue) }
        for peer in suspects {
            if let deadline = deadline(of: peer) { next = min(next, deadline) }
        }
        return next
    }

    package mutating func handleTimeout(now: Instant) {
        observe(now)
        guard nextTimeout <= now else { return }
        missAbsent(now: now)
        advanceProbes(now: now)
        for peer in suspects {
            if let deadline = deadline(of: peer), deadline <= now { judge(peer, now: now) }
        }
        beginChecks(now: now)
        beginProbe(now: now)
        if gossipDue <= now {
            gossipDue = now + timings.gossipInterval
            if !gossip.isEmpty {
                for peer in pick(MembershipLimits.gossipTargets, excluding: nil) {
                    actions.append(.gossip(to: peer))
                }
            }
        }
        if syncDue <= now {
            syncDue = now + timings.syncInterval
            lastSync = now
            forget(now: now)
            reviewView()
            chooseSync()
        }
    }

    /// Notes that this process runs. If what was due since the last input is long over, it did not
    /// run meanwhile: what it waits for may have been said and lie unread, so every deadline moves by
    /// as much.
    mutating func observe(_ now: Instant) {
        // What an input makes due in its own past is due at once, so nothing is later than that.
        let since = lastInput
        lastInput = max(since, now)
        guard now - since > timings.stallThreshold, defences.contains(.stallNotice) else { return }
        let lateness = now - max(nextTimeout, since)
        guard lateness > timings.stallThreshold else { return }
        stalls += 1
        weaken(by: 1)
        for peer in suspects { entries[peer]?.suspicion?.postpone(by: lateness) }
        for index in probes.indices {
            probes[index].deadline = probes[index].deadline + lateness
            probes[index].indirectAt = probes[index].indirectAt + lateness
        }
    }

    // MARK: Probes

    private var hasTurn: Bool { probes.contains { !$0.isCheck } }

    private mutating func advanceProbes(now: Instant) {
        for probe in probes {
            if probe.deadline <= now {
                fail(probe, now: now)
            } else if probe.indirectAt <= now {
                goIndirect(probe.id, now: now)
            }
        }
    }

    private mutating func beginProbe(now: Instant) {
        guard !hasTurn, probeDue <= now else { return }
        probeDue = now + timings.probeInterval * (health + 1)
        if let target = nextTarget() { begin(target, now: now) }
    }

    private mutating func begin(
        _ target: PeerID, isCheck: Bool = false, hintedBy: PeerID? = nil, now: Instant
    ) {
        probeSequence += 1
        // A suspect's silence only adds to what others have found, so that this peer's own health
        // matters less; without their word it would come to nothing.
        let patience = isCheck && hintedBy == nil ? 1 : health + 1
        let timeout = timings.probeTimeout * patience
        probes.append(
            Probe(
                id: probeSequence, target: target,
                indirectAt: now + timings.indirectAfter * patience, deadline: now + timeout,
                isCheck: isCheck, hintedBy: hintedBy))
        actions.append(.probe(id: probeSequence, target: target, timeout: timeout))
    }

    private mutating func nextTarget() -> PeerID? {
        probeTurn += 1
        if isPartial, probeTurn.isMultiple(of: MembershipLimits.sampleTurns),
            let target = nextOfSample()
        {
            return target
        }
        for _ in 0..<2 {
            while let target = probeOrder.popLast() {
                if isReachable(target), isWatched(target) { return target }
            }
            probeOrder = watchedPeers
            probeOrder.shuffle(using: &generator)
        }
        return nil
    }

    private mutating func goIndirect(_ id: UInt64, now: Instant) {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return }
        probes[index].indirectAt = probes[index].deadline
        // Neighbours hardly know whom this peer has in its sample, and little is lost with one.
        guard !probes[index].isIndirect, isWatched(probes[index].target) else { return }
        probes[index].isIndirect = true
        let (target, deadline) = (probes[index].target, probes[index].deadline)
        let helpers = pick(MembershipLimits.helpers, excluding: target)
        probes[index].helpers = helpers.count
        guard !helpers.isEmpty, deadline > now else { return }
        actions.append(
            .probeThrough(id: id, target: target, helpers: helpers, timeout: deadline - now))
    }

    /// The target answered probe `id`, directly or through a helper.
    package mutating func handleProbeAnswer(id: UInt64, now: Instant) {
        observe(now)
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return }
        let probe = probes.remove(at: index)
        health = max(0, health - 1)
        hear(probe.target, now: now)
        acquit(probe.target, now: now)
    }

    /// The direct call of probe `id` failed before its time.
    package mutating func handleProbeFailure(id: UInt64, now: Instant) {
        observe(now)
        goIndirect(id, now: now)
    }

    /// A helper answered that it did not reach the target: Lifeguard's nack. It shows that this
    /// peer is not the one that is cut off.
    package mutating func handleHelperMiss(id: UInt64) {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return }
        probes[index].helpersHeard += 1
    }

    private mutating func fail(_ probe: Probe, now: Instant) {
        probes.removeAll { $0.id == probe.id }
        if !isWatched(probe.target) {
            forgetOfSample(probe.target)
            return
        }
        let countsNacks = probe.helpers > 0 && defences.contains(.nacks)
        weaken(by: countsNacks ? max(0, probe.helpers - probe.helpersHeard) : 1)
        suspectMyself(probe.target, now: now)
    }

    // MARK: Checks

    /// Looks at `peer` out of turn, since others doubt it.
    mutating func check(_ peer: PeerID, hintedBy: PeerID?, due: Instant) {
        guard !probes.contains(where: { $0.target == peer && $0.isCheck }) else { return }
        if let index = checks.firstIndex(where: { $0.peer == peer }) {
            checks[index].due = min(checks[index].due, due)
        } else if checks.count < MembershipLimits.checks {
            checks.append(Check(peer: peer, due: due, hintedBy: hintedBy))
        }
    }

    private mutating func beginChecks(now: Instant) {
        let due = checks.filter { $0.due <= now }
        checks.removeAll { $0.due <= now }
        for check in due where isReachable(check.peer) {
            // Its turn may have come meanwhile, or it has refuted what there was to check.
            guard
                check.hintedBy != nil || entries[check.peer]?.suspicion?.isOwn == false
                    || entries[check.peer]?.suspicion?.pausedUntil != nil
            else { continue }
            begin(check.peer, isCheck: true, hintedBy: check.hintedBy, now: now)
        }
    }

    /// Up to `count` random members of those that this peer watches.
    mutating func pick(_ count: Int, excluding excluded: PeerID?) -> [PeerID] {
        pick(count, of: watchedPeers, excluding: excluded)
    }

    private mutating func pick(
        _ count: Int, of list: [PeerID], excluding excluded: PeerID?
    ) -> [PeerID] {
        let isExcludedThere = excluded.map { isReachable($0) && isWatched($0) } ?? false
        let available = list.count - (isExcludedThere ? 1 : 0)
        if available <= count { return list.filter { $0 != excluded } }
        var picked: [PeerID] = []
        while picked.count < count {
            let peer = list[Int.random(in: 0..<list.count, using: &generator)]
            if peer != excluded, !picked.contains(peer) { picked.append(peer) }
        }
        return picked
    }

    /// Every other comparison goes to a dead member, if there is one: the two sides of a healed
    /// partition find each other again that way.
    private mutating func chooseSync() {
        syncTurn += 1
        let dead = order.filter { entries[$0]?.state == .dead }
        if !dead.isEmpty, syncTurn.isMultiple(of: 2) || reachableCount == 0 {
            let index = Int.random(in: 0..<dead.count, using: &generator)
            actions.append(.sync(with: dead[index]))
        } else if let peer =
            (isPartial && syncTurn.isMultiple(of: 3)
            ? pick(1, of: reachablePeers, excluding: nil) : pick(1, excluding: nil)).first
        {
            actions.append(.sync(with: peer))
        }
    }
}
