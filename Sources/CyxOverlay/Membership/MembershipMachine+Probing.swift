package import CyxCore

/// Probing in random round-robin order (SWIM §4.3), through others when the direct way is silent.
extension MembershipMachine {
    package var nextTimeout: Instant {
        var next = min(syncDue, probe.map { min($0.deadline, $0.indirectAt) } ?? probeDue)
        if !gossip.isEmpty, reachableCount > 0 { next = min(next, gossipDue) }
        for peer in suspects {
            if let deadline = entries[peer]?.suspicion?.deadline { next = min(next, deadline) }
        }
        return next
    }

    package mutating func handleTimeout(now: Instant) {
        let due = nextTimeout
        guard due <= now else { return }
        notice(lateness: now - due)
        for peer in suspects {
            if let deadline = entries[peer]?.suspicion?.deadline, deadline <= now {
                bury(peer, accuser: localPeer, now: now)
            }
        }
        advanceProbe(now: now)
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
            forget(now: now)
            chooseSync()
        }
    }

    /// A late timer means that this process did not run: what it waits for may have been said
    /// meanwhile and lie unread, so every deadline moves by as much.
    private mutating func notice(lateness: Duration) {
        guard lateness > timings.stallThreshold else { return }
        stalls += 1
        health = min(MembershipLimits.health, health + 1)
        for peer in suspects { entries[peer]?.suspicion?.postpone(by: lateness) }
        if var current = probe {
            current.deadline = current.deadline + lateness
            current.indirectAt = current.indirectAt + lateness
            probe = current
        }
    }

    private mutating func advanceProbe(now: Instant) {
        if var current = probe {
            if current.deadline <= now {
                fail(current, now: now)
            } else if current.indirectAt <= now, !current.isIndirect {
                goIndirect(&current, now: now)
                probe = current
            } else if current.indirectAt <= now {
                current.indirectAt = current.deadline
                probe = current
            }
        }
        guard probe == nil, probeDue <= now else { return }
        probeDue = now + timings.probeInterval * (health + 1)
        guard let target = nextTarget() else { return }
        probeSequence += 1
        let timeout = timings.probeTimeout * (health + 1)
        probe = Probe(
            id: probeSequence, target: target,
            indirectAt: now + timings.indirectAfter * (health + 1), deadline: now + timeout)
        actions.append(.probe(id: probeSequence, target: target, timeout: timeout))
    }

    private mutating func nextTarget() -> PeerID? {
        for _ in 0..<2 {
            while let target = probeOrder.popLast() {
                if isReachable(target) { return target }
            }
            probeOrder = order.filter { isReachable($0) }
            probeOrder.shuffle(using: &generator)
        }
        return nil
    }

    private mutating func goIndirect(_ current: inout Probe, now: Instant) {
        current.isIndirect = true
        current.indirectAt = current.deadline
        let helpers = pick(MembershipLimits.helpers, excluding: current.target)
        current.helpers = helpers.count
        guard !helpers.isEmpty, current.deadline > now else { return }
        actions.append(
            .probeThrough(
                id: current.id, target: current.target, helpers: helpers,
                timeout: current.deadline - now))
    }

    /// The target answered probe `id`, directly or through a helper.
    package mutating func handleProbeAnswer(id: UInt64) {
        guard probe?.id == id else { return }
        probe = nil
        health = max(0, health - 1)
    }

    /// The direct call of probe `id` failed before its time.
    package mutating func handleProbeFailure(id: UInt64, now: Instant) {
        guard var current = probe, current.id == id, !current.isIndirect else { return }
        goIndirect(&current, now: now)
        probe = current
    }

    /// A helper answered that it did not reach the target: Lifeguard's nack. It shows that this
    /// peer is not the one that is cut off.
    package mutating func handleHelperMiss(id: UInt64) {
        guard probe?.id == id else { return }
        probe?.helpersHeard += 1
    }

    private mutating func fail(_ current: Probe, now: Instant) {
        probe = nil
        let missed =
            current.helpers == 0 ? 1 : max(0, current.helpers - current.helpersHeard)
        health = min(MembershipLimits.health, health + missed)
        suspect(current.target, accuser: localPeer, now: now)
    }

    /// Up to `count` random reachable members.
    mutating func pick(_ count: Int, excluding excluded: PeerID?) -> [PeerID] {
        var candidates = order.filter { isReachable($0) && $0 != excluded }
        var picked: [PeerID] = []
        while picked.count < count, !candidates.isEmpty {
            let index = Int.random(in: 0..<candidates.count, using: &generator)
            picked.append(candidates.remove(at: index))
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
        } else if let peer = pick(1, excluding: nil).first {
            actions.append(.sync(with: peer))
        }
    }
}
