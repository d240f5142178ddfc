package import CyxCore
internal import CyxTransport

/// What members say of each other, and when a member is held dead for it.
///
/// SWIM and Lifeguard believe one accuser. Here a member is dead once its suspicion has lasted, this
/// peer's own probe of it has failed since, and several members from several networks say the same
/// (decisions B4): whoever acts on a death, by repairing or by changing views, acts on what it has
/// seen, and a peer that is cut off alone finds nobody to agree with. Both numbers shrink with those
/// who could testify, so that two of three peers still notice the death of the third.
extension MembershipMachine {
    /// Takes in what is said of a peer: an accusation whose signature was checked, or a hint.
    package mutating func handle(_ accusation: Accusation, now: Instant) {
        observe(now)
        let peer = accusation.peer
        if peer == localPeer {
            // Only what this peer has said itself can be doubted; anything else is made up.
            guard accusation.incarnation == own.incarnation, !own.isLeaving else { return }
            weaken(by: 1)
            refute(above: accusation.incarnation)
            return
        }
        guard let entry = entries[peer], isReachable(peer),
            entry.statement.incarnation == accusation.incarnation
        else { return }
        guard defences.contains(.witnesses) else {
            believe(accusation, now: now)
            return
        }
        if accusation.isHint, entry.state == .alive {
            check(peer, hintedBy: accusation.accuser, due: now)
        } else if counts(accusation, now: now) {
            suspect(accusation, now: now)
        }
    }

    /// Whether an accusation of another would change what this peer thinks: if not, its signature
    /// need not be checked.
    package func counts(_ accusation: Accusation, now: Instant) -> Bool {
        guard let entry = entries[accusation.peer], isReachable(accusation.peer),
            entry.statement.incarnation == accusation.incarnation,
            let accuser = entries[accusation.accuser], isReachable(accusation.accuser)
        else { return false }
        if let disproved = entry.disproved,
            let before = disproved.accusations.first(where: { $0.accuser == accusation.accuser }),
            now < disproved.until || accusation.statedMilliseconds <= before.statedMilliseconds
        {
            return false
        }
        return entry.suspicion?.counts(accusation, network: accuser.network) ?? true
    }

    /// As SWIM does: one accuser is enough.
    private mutating func believe(_ accusation: Accusation, now: Instant) {
        switch accusation.kind {
        case .suspect: suspect(accusation, now: now)
        case .dead:
            bury(accusation.peer, now: now)
            spread(accusation.peer, .accusation(accusation))
        }
    }

    /// This peer's own probe of `peer` failed.
    mutating func suspectMyself(_ peer: PeerID, now: Instant) {
        guard let entry = entries[peer], isReachable(peer) else { return }
        let accusation = Accusation(
            peer: peer, incarnation: entry.statement.incarnation, kind: .suspect,
            accuser: localPeer)
        suspect(accusation, now: now)
        entries[peer]?.suspicion?.isOwn = true
    }

    /// Tells the others what this peer was asked to sign.
    package mutating func publish(_ accusation: Accusation) {
        precondition(accusation.accuser == localPeer, "a peer accuses in its own name")
        guard incarnation(of: accusation.peer) == accusation.incarnation else { return }
        if entries[accusation.peer]?.state == .dead {
            entries[accusation.peer]?.evidence.append(accusation)
        }
        gossip.add(accusation.peer, .accusation(accusation))
    }

    private mutating func suspect(_ accusation: Accusation, now: Instant) {
        let peer = accusation.peer
        guard var entry = entries[peer] else { return }
        let isMine = accusation.accuser == localPeer
        let network =
            isMine ? network(of: own.info) : entries[accusation.accuser]?.network ?? 0
        let accuser = Suspicion.Accuser(accusation: accusation, network: network)
        if var suspicion = entry.suspicion {
            let isUseful = defences.contains(.dynamicSuspicion) || defences.contains(.witnesses)
            guard isUseful, suspicion.counts(accusation, network: network) else { return }
            suspicion.confirm(accuser)
            entry.suspicion = suspicion
            entries[peer] = entry
        } else {
            entry.suspicion = Suspicion(
                accuser, started: now, timings: timings,
                isDynamic: defences.contains(.dynamicSuspicion))
            entry.state = .suspect
            entry.since = now
            entries[peer] = entry
            changed = true
            moved(peer, from: .alive, to: .suspect)
            if !isMine { lookBeforeTheEnd(of: peer, now: now) }
        }
        if isMine {
            actions.append(
                .accuse(peer: peer, incarnation: accusation.incarnation, kind: accusation.kind))
        } else {
            // A hint proves nothing to others.
            if !accusation.isHint || !defences.contains(.witnesses) {
                spread(peer, .accusation(accusation))
            }
            shareIfDead(peer, now: now)
        }
    }

    /// Some time before a shared suspicion ends this peer looks for itself, not all at once.
    private mutating func lookBeforeTheEnd(of peer: PeerID, now: Instant) {
        guard defences.contains(.witnesses) else { return }
        let room = timings.suspicionMinimum - timings.probeTimeout
        let wait = Int64.random(in: 0...max(0, room.nanoseconds), using: &generator)
        check(peer, hintedBy: nil, due: now + .nanoseconds(wait))
    }

    /// Once enough others hold a suspect dead, only this peer's own look is missing.
    private mutating func shareIfDead(_ peer: PeerID, now: Instant) {
        guard defences.contains(.witnesses), let suspicion = entries[peer]?.suspicion,
            !suspicion.isShared,
            hasEnough(suspicion.accusers.filter { $0.accusation.kind == .dead })
        else { return }
        entries[peer]?.suspicion?.share()
        if !suspicion.isOwn { check(peer, hintedBy: nil, due: now) }
    }

    // MARK: Judging

    func deadline(of peer: PeerID) -> Instant? {
        let wanted = min(MembershipLimits.suspicionConfirmations, witnessCount - 1)
        return entries[peer]?.suspicion?.deadline(wanted: wanted)
    }

    /// A suspicion has lasted long enough.
    mutating func judge(_ peer: PeerID, now: Instant) {
        guard let suspicion = entries[peer]?.suspicion else { return }
        guard defences.contains(.witnesses) else {
            bury(peer, now: now)
            accuseOfDeath(peer)
            return
        }
        if suspicion.isOwn, hasEnough(suspicion.accusers) {
            let said = suspicion.accusers.count { $0.accusation.kind == .dead }
            bury(peer, now: now)
            if said <= MembershipLimits.suspicionConfirmations { accuseOfDeath(peer) }
            return
        }
        // Nobody agrees (yet), or this peer has not looked: it looks, and asks itself again later.
        let pause = suspicion.isOwn ? timings.suspicionMinimum : timings.probeTimeout
        entries[peer]?.suspicion?.pausedUntil = now + pause
        check(peer, hintedBy: nil, due: now)
        // Perhaps others settled this while this peer did not listen.
        if suspicion.isOwn { syncDue = min(syncDue, max(now, lastSync + timings.suspicionMinimum)) }
    }

    private mutating func accuseOfDeath(_ peer: PeerID) {
        guard let incarnation = incarnation(of: peer) else { return }
        actions.append(.accuse(peer: peer, incarnation: incarnation, kind: .dead))
    }

    private mutating func bury(_ peer: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        let before = entry.state
        entry.state = .dead
        entry.since = now
        entry.evidence = entry.suspicion?.accusers.map(\.accusation).filter { !$0.isHint } ?? []
        entry.suspicion = nil
        entries[peer] = entry
        changed = true
        moved(peer, from: before, to: .dead)
    }

    /// A suspect answered this peer. Whoever accused it needs better evidence from now on.
    mutating func acquit(_ peer: PeerID, now: Instant) {
        guard defences.contains(.witnesses), var entry = entries[peer],
            let suspicion = entry.suspicion
        else { return }
        entry.suspicion = nil
        entry.state = .alive
        entry.since = now
        entry.disproved = (
            suspicion.accusers.map(\.accusation).filter { !$0.isHint },
            now + timings.suspicionMinimum
        )
        entries[peer] = entry
        changed = true
        moved(peer, from: .suspect, to: .alive)
    }

    // MARK: Witnesses

    /// Those who could testify: members that nobody doubts, and this peer.
    private var witnessCount: Int { max(1, reachableCount - suspects.count + 1) }

    private func hasEnough(_ accusers: [Suspicion.Accuser]) -> Bool {
        let present = accusers.filter { $0.peer == localPeer || isReachable($0.peer) }
        guard present.count >= min(MembershipLimits.deathAccusers, witnessCount) else {
            return false
        }
        let networks = Set(present.map(\.network)).count
        return networks >= witnessNetworks(atMost: MembershipLimits.deathNetworks)
    }

    /// Of how many networks witnesses are, counted up to `limit`.
    private func witnessNetworks(atMost limit: Int) -> Int {
        var networks: Set<UInt64> = [network(of: own.info)]
        for peer in reachablePeers where networks.count < limit {
            guard let entry = entries[peer], entry.state == .alive else { continue }
            networks.insert(entry.network)
        }
        return networks.count
    }

    /// What stands for the operator of a member: in an open network its address's network, in a
    /// private one its zone.
    func network(of info: MemberInfo) -> UInt64 {
        switch diversity {
        case .networks: info.contact.address.narrowNetwork
        // FNV-1a; zones are declared by members that one operator trusts.
        case .zones:
            info.zone.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        case .none: info.peer.digest.word0
        }
    }
}
