internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// Changing views: seal, merge, activate (A3). Here: seeing cause, and whose turn it is.
extension TableService {
    /// Looks for what should happen next. Sends nothing unless something should.
    func tick() {
        if configuration.isFounder, !hasNetwork {
            guard !changes.isFounding else { return }
            changes.isFounding = true
            start { [weak self] in await self?.found() }
            return
        }
        let now = environment.now()
        changes.watchingSince = changes.watchingSince ?? now
        let tick = configuration.timings.tick
        guard now < changes.lookUntil else { return }
        watchCustodians()
        let planner = currentPlanner()
        refreshAfterReturns(planner.snapshot)
        changes.waiting = []
        dropLessons(now: now)
        for partition in replicas.keys.sorted() {
            guard let replica = replicas[partition] else { continue }
            if replica.seeksView {
                seekView(ofPart: replica, now: now)
                continue
            }
            if !replica.isAtRest { changes.lookUntil = max(changes.lookUntil, now + tick * 2) }
            if replica.successor != nil || replica.frozen != nil { remind(replica, now: now) }
            seekNews(replica, planner, now: now)
            if replica.successor != nil { continue }
            if replica.isSynced {
                consider(replica, planner, now: now)
            } else {
                startSync(partition)
            }
        }
    }

    /// In a network too large to know everybody this peer must still know of those with whom it
    /// shares partitions, and of those whom others want to ask in.
    func watchCustodians() {
        guard membership.snapshot.isPartial else { return }
        var peers = Set(changes.strangers)
        for replica in replicas.values { peers.formUnion(replica.newest.view.peers) }
        peers.remove(localPeer)
        membership.watch(peers, for: .custodians)
    }

    /// Membership or a view changed: what follows from that shows within the delays of A4.
    func keepLooking() {
        let timings = configuration.timings
        let delays = timings.deathDelay + timings.settleDelay * 5 + timings.rankStagger * 10
        changes.lookUntil = max(changes.lookUntil, environment.now() + delays)
    }

    private func found() async {
        defer { changes.isFounding = false }
        do {
            // Whoever lost its store must not found the network again.
            if let partition = Partition(depth: configuration.genesisDepth, index: 0) {
                await lookUp(partition)
            }
            if catalog.isEmpty, replicas.isEmpty {
                try await makeGenesis()
            } else {
                hasNetwork = true
                rows.stage([.put(key: StorageKey.networkMark, value: [])])
                try await rows.settle()
            }
        } catch {
            logger.error("cannot found the network", [("error", "\(error)")])
        }
    }

    /// What this peer sees and makes of it; a little old at most, since votes come in batches.
    func currentPlanner() -> ViewPlanner {
        let now = environment.now()
        if let planner = changes.planner, now - planner.now < configuration.timings.tick / 4 {
            return planner
        }
        var custodians: Set<PeerID> = []
        for replica in replicas.values { custodians.formUnion(replica.view.peers) }
        let snapshot = membership.snapshot
        changes.observe(snapshot, custodians: custodians, now: now)
        let planner = ViewPlanner(
            deathDelay: configuration.timings.deathDelay, snapshot: snapshot,
            absentSince: changes.absentSince,
            isSettled: changes.isSettled(now: now, delay: configuration.timings.settleDelay),
            now: now, salts: salts.recent,
            splits: SplitLimits(
                ratio: configuration.splitRatio, bytesMax: configuration.partitionBytesMax,
                depthMax: configuration.depthMax),
            brokenRules: configuration.brokenRules)
        changes.planner = planner
        return planner
    }

    /// Peers that come back, this one included when it starts, may have missed decisions or know
    /// of some: asks those just seen for newer views of the partitions shared with them.
    private func refreshAfterReturns(_ snapshot: MembershipSnapshot) {
        let reachable = Set(snapshot.reachable.map(\.peer))
        let returned = reachable.subtracting(changes.reachableBefore).subtracting([localPeer])
        changes.reachableBefore = reachable
        guard !returned.isEmpty else { return }
        for partition in replicas.keys.sorted() {
            guard let view = replicas[partition]?.newest.view else { continue }
            let request = ViewRequest(
                operation: .find, view: ViewReference(view.id),
                key: StorageKey.rowBound(partition.lowerBound))
            for peer in view.peers where returned.contains(peer) {
                send(request.protobufBytes(), .tableViews, to: peer) { result in
                    guard case .success(let bytes) = result else { return }
                    self.learnView(bytes, of: partition)
                }
            }
        }
    }

    private func learnView(_ reply: [UInt8], of partition: Partition) {
        do {
            let reply = try ViewReply(protobuf: reply)
            guard reply.status == .done else { return }
            adopt(reply.certificate, for: partition)
            enterKnownView(partition)
        } catch {
            logger.debug("unreadable answer", [("error", "\(error)")])
        }
    }

    /// The view that should follow a replica's; nil without cause to change it. A partition splits when
    /// nothing else is to be done, and all members have what there is.
    func nextView(
        after replica: Replica, _ planner: ViewPlanner, excluding silent: Set<PeerID> = []
    ) -> View? {
        let view = replica.view
        let unheard = changes.silent[view.partition] ?? []
        if let next = planner.successor(of: view, excluding: silent, silent: unheard) {
            return next
        }
        guard replica.isAtRest else { return nil }
        return planner.split(of: view, bytes: comparisons.byteCount(view.partition))
    }

    /// Starts a proposal if this member sees cause, or is sealed in a change that does not end, and
    /// it is its rank's turn.
    private func consider(_ replica: Replica, _ planner: ViewPlanner, now: Instant) {
        let partition = replica.partition
        let hasCause = replica.vote.isSealed || nextView(after: replica, planner) != nil
        guard hasCause, let rank = replica.view.rank(of: localPeer) else {
            changes.causeSince[partition] = nil
            return
        }
        let since = changes.causeSince[partition] ?? now
        changes.causeSince[partition] = since
        changes.lookUntil = max(changes.lookUntil, now + configuration.timings.tick * 2)
        // Who is replaced before it has the state leaves one source fewer: a quorum of members that
        // have it must outlive the change (A3).
        if !replica.vote.isSealed, isCatchingUp(replica, planner),
            now < since + configuration.timings.reminder * ViewChanges.catchUpReminders
        {
            return
        }
        // Members that cannot propose do not keep the others waiting.
        let ahead = replica.view.members.prefix(rank).count { member in
            planner.snapshot.members[member.peer]?.isReachable ?? false
        }
        // Whoever sealed this member is given time to finish.
        let patience = ahead + (replica.vote.isSealed ? 2 : 0)
        guard now >= since + configuration.timings.rankStagger * patience,
            now >= changes.retryAt[partition] ?? now,
            !changes.proposing.contains(partition)
        else { return }
        guard changes.proposing.count < ViewChanges.proposalLimit else {
            changes.waiting.append(partition)
            return
        }
        changes.proposing.insert(partition)
        start { [weak self] in await self?.drive(partition) }
    }

    /// Starts the next change that found no room at the last look.
    func considerNext() {
        while changes.proposing.count < ViewChanges.proposalLimit,
            let partition = changes.waiting.popLast()
        {
            guard let replica = replicas[partition], replica.isSynced, replica.successor == nil,
                !replica.isReshaped
            else { continue }
            consider(replica, currentPlanner(), now: environment.now())
        }
    }

    /// Whether a member that can be reached has not said yet that it holds the view.
    private func isCatchingUp(_ replica: Replica, _ planner: ViewPlanner) -> Bool {
        guard replica.frozen != nil else { return false }
        let synced = changes.synced[replica.view.id] ?? []
        return replica.view.members.contains { member in
            member.peer != localPeer && !synced.contains(member.peer)
                && !planner.isGone(member, for: .zero)
                && planner.snapshot.members[member.peer]?.isReachable == true
        }
    }
}
