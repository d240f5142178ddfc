internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// Changing views: seal, merge, activate (A3). Here: seeing cause, and driving the consensus among
/// the members of the old view.
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
        let tick = configuration.timings.tick
        guard now < changes.lookUntil else { return }
        let planner = currentPlanner()
        refreshAfterReturns(planner.snapshot)
        changes.waiting = []
        for partition in replicas.keys.sorted() {
            guard let replica = replicas[partition] else { continue }
            if !replica.isAtRest { changes.lookUntil = max(changes.lookUntil, now + tick * 2) }
            if replica.successor != nil || replica.frozen != nil { remind(replica, now: now) }
            if replica.successor != nil { continue }
            if replica.isSynced {
                consider(replica, planner, now: now)
            } else {
                startSync(partition)
            }
        }
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
            now: now)
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
            let request = ViewRequest(operation: .find, view: ViewReference(view.id))
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

    /// Starts a proposal if this member sees cause, or is sealed in a change that does not end, and
    /// it is its rank's turn.
    private func consider(_ replica: Replica, _ planner: ViewPlanner, now: Instant) {
        let partition = replica.partition
        let hasCause = replica.vote.isSealed || planner.successor(of: replica.view) != nil
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
    private func considerNext() {
        while changes.proposing.count < ViewChanges.proposalLimit,
            let partition = changes.waiting.popLast()
        {
            guard let replica = replicas[partition], replica.isSynced, replica.successor == nil
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

    /// Brings about a successor of the partition's view, from finding candidates to the decision.
    private func drive(_ partition: Partition) async {
        let isDecided = await propose(partition)
        if !isDecided, let replica = replicas[partition] {
            logger.debug(
                "no successor yet",
                [
                    ("partition", "\(partition)"), ("epoch", "\(replica.view.id.epoch)"),
                    ("round", "\(replica.vote.round)"), ("sealed", "\(replica.vote.isSealed)"),
                ])
        }
        if isDecided { await waitUntilServed(partition) }
        changes.proposing.remove(partition)
        if isDecided {
            changes.retryAt[partition] = nil
            changes.causeSince[partition] = nil
        } else {
            let pause = configuration.timings.rankStagger
            let spread = Int64.random(in: 0...pause.nanoseconds, using: &random)
            changes.retryAt[partition] = environment.now() + pause + .nanoseconds(spread)
        }
        considerNext()
    }

    /// Waits for a while until a decided view is served here, if it is to be: the next change then
    /// does not compete with the sync of this one.
    private func waitUntilServed(_ partition: Partition) async {
        let step = configuration.timings.tick / ViewChanges.servedChecks
        for _ in 0..<ViewChanges.servedChecks {
            guard let replica = replicas[partition], replica.successor == nil,
                !replica.isSynced
            else { return }
            do {
                try await environment.sleep(for: step)
            } catch {
                return
            }
        }
    }

    private func propose(_ partition: Partition) async -> Bool {
        guard let replica = replicas[partition], replica.isSynced, replica.successor == nil,
            let rank = replica.view.rank(of: localPeer)
        else { return false }
        let view = replica.view
        var candidate: View
        var validRound: UInt32 = 0
        if let lock = replica.vote.lock {
            (candidate, validRound) = (lock.successor, lock.round)
        } else {
            guard let plan = await readySuccessor(of: view) else { return false }
            candidate = plan
        }
        var seen = replica.vote.seenRound
        for _ in 0..<ViewChanges.roundLimit {
            guard replicas[partition]?.view == view, replicas[partition]?.successor == nil else {
                return true
            }
            let round = ViewVote.nextRound(after: seen, rank: rank, in: view)
            seen = round
            let votes = await vote(.propose, candidate, view, round, validRound)
            if adoptDecision(votes, partition) { return true }
            let agreed = votes.answers.count { $0.reply.status == .done }
            if agreed >= view.quorum {
                if await commit(candidate, view, round) { return true }
                validRound = round
            } else {
                let refused = votes.answers.first { $0.reply.status == .refused }
                if let refused, validRound == 0 {
                    logger.debug("no cause", [("detail", refused.reply.detail)])
                }
                guard
                    let next = outvoted(
                        votes, seen: &seen, validRound: &validRound, candidate: candidate)
                else { return false }
                candidate = next
            }
            guard await rest() else { return false }
        }
        return false
    }

    /// The planned successor, its new members having answered that they are there.
    private func readySuccessor(of view: View) async -> View? {
        var silent: Set<PeerID> = []
        // Each pass finds someone silent or ends.
        for _ in 0..<View.memberLimit {
            guard let plan = currentPlanner().successor(of: view, excluding: silent) else {
                return nil
            }
            let added = plan.members.filter { !view.contains($0) }.map(\.peer)
            guard !added.isEmpty else { return plan }
            let request = ViewRequest(operation: .ready, view: ViewReference(plan.id))
            let call = await ask(
                added, .tableViews, request.protobufBytes(), as: ViewReply.self
            ) { _ in .goOn }
            let ready = call.answers.filter { $0.reply.status == .done }.map(\.peer)
            if ready.count == added.count { return plan }
            silent.formUnion(added.filter { !ready.contains($0) })
        }
        return nil
    }

    private func vote(
        _ operation: ViewOperation, _ successor: View, _ view: View, _ round: UInt32,
        _ validRound: UInt32 = 0
    ) async -> QuorumCall<ViewReply> {
        let request = ViewRequest(
            operation: operation, view: ViewReference(view.id), round: round,
            successor: successor.bytes, validRound: validRound)
        return await ask(
            reachable(view), .tableViews, request.protobufBytes(), as: ViewReply.self
        ) { answers in
            if answers.contains(where: { $0.reply.status == .decided }) { return .finish }
            let done = answers.count { $0.reply.status == .done }
            if done >= view.quorum { return .finish }
            return answers.count - done > view.tolerance ? .finish : .goOn
        }
    }

    /// Collects precommits; with a quorum of them the successor is decided.
    private func commit(_ successor: View, _ view: View, _ round: UInt32) async -> Bool {
        let votes = await vote(.precommit, successor, view, round)
        if adoptDecision(votes, view.partition) { return true }
        let statement = ViewCertificate.statement(view: successor, previous: view, round: round)
        var signatures: [ViewSignature] = []
        for answer in votes.answers where answer.reply.status == .done {
            guard signatures.count < view.quorum,
                let key = VerifyingKey(bytes: answer.reply.signingKey), key.peerID == answer.peer,
                key.isValid(signature: answer.reply.signature, for: statement)
            else { continue }
            signatures.append(
                ViewSignature(key: key.bytes, signature: answer.reply.signature))
        }
        guard signatures.count >= view.quorum else { return false }
        let certificate = ViewCertificate(
            view: successor, previous: view, round: round, signatures: signatures)
        logger.info(
            "decided a view",
            [
                ("partition", "\(view.partition)"), ("epoch", "\(successor.id.epoch)"),
                ("members", "\(successor.members.count)"),
            ])
        catalog[view.partition] = certificate
        announce(certificate)
        return true
    }

    /// Sends a decision to everyone it concerns, this peer included.
    func announce(_ certificate: ViewCertificate) {
        var peers = certificate.view.peers
        peers += (certificate.previous?.peers ?? []).filter { !peers.contains($0) }
        for peer in peers { install(certificate, at: peer) }
    }

    /// Whether someone answered that the change is decided already.
    private func adoptDecision(
        _ votes: QuorumCall<ViewReply>, _ partition: Partition
    ) -> Bool {
        for answer in votes.answers where answer.reply.status == .decided {
            if let certificate = adopt(answer.reply.certificate, for: partition) {
                announce(certificate)
                return true
            }
        }
        return false
    }

    /// What to propose after having been outvoted; nil: give up, nobody else wants a change.
    private func outvoted(
        _ votes: QuorumCall<ViewReply>, seen: inout UInt32, validRound: inout UInt32,
        candidate: View
    ) -> View? {
        var candidate = candidate
        var found = false
        for answer in votes.answers where answer.reply.status == .outvoted {
            found = true
            seen = max(seen, answer.reply.round)
            guard answer.reply.lockedRound > validRound else { continue }
            do {
                candidate = try View(bytes: answer.reply.locked)
                validRound = answer.reply.lockedRound
            } catch {
                logger.debug("unreadable lock", [("peer", "\(answer.peer)")])
            }
        }
        return found || validRound > 0 ? candidate : nil
    }

    /// A short random pause, so that rival proposers do not keep outvoting each other.
    private func rest() async -> Bool {
        let pause = configuration.timings.backoff.first.nanoseconds
        let wait = Int64.random(in: pause...pause * 16, using: &random)
        do {
            try await environment.sleep(for: .nanoseconds(wait))
            return true
        } catch {
            return false
        }
    }
}
