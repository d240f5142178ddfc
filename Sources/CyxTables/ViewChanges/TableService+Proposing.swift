internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// Changing views: driving the consensus of the old view's members on the only successor (A3).
extension TableService {
    /// Brings about a successor of the partition's view, from finding candidates to the decision.
    func drive(_ partition: Partition) async {
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
        if let lock = replica.vote.lock, configuration.keeps(.locksVotes) {
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
            let answered = Set(votes.answers.map(\.peer))
            changes.silent[partition] = Set(view.peers).subtracting(answered)
            let agreed = agreeing(
                votes.answers.filter { $0.reply.status == .done }.map(\.peer), to: candidate,
                validRound)
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

    /// The planned successor, its new members having answered that they are there and know most of
    /// the state; nil also while they still learn it.
    private func readySuccessor(of view: View) async -> View? {
        let lesson = await lesson(view)
        var silent: Set<PeerID> = []
        // Each pass finds someone silent or ends.
        for _ in 0..<View.memberLimit {
            guard let replica = replicas[view.partition], replica.view == view,
                let plan = nextView(after: replica, currentPlanner(), excluding: silent)
            else { return nil }
            let added = plan.members.filter { !view.contains($0) }.map(\.peer)
            guard !added.isEmpty else { return plan }
            let request = ViewRequest(
                operation: .ready, view: ViewReference(plan.id), certificate: lesson)
            let call = await ask(
                added, .tableViews, request.protobufBytes(), as: ViewReply.self
            ) { _ in .goOn }
            let present = call.answers.filter { [.done, .busy].contains($0.reply.status) }
            if present.count == added.count {
                let areReady = present.allSatisfy { $0.reply.status == .done }
                return areReady || isTiredOfWaiting(view) ? plan : nil
            }
            silent.formUnion(
                added.filter { peer in !present.contains { $0.peer == peer } })
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
        let broken = configuration.brokenRules
        let needed =
            operation == .precommit
            ? view.precommitsNeeded(for: successor, without: broken) : view.quorum
        return await ask(
            reachable(view), .tableViews, request.protobufBytes(), as: ViewReply.self
        ) { answers in
            if answers.contains(where: { $0.reply.status == .decided }) { return .finish }
            let done = answers.filter { $0.reply.status == .done }.map(\.peer)
            let counting =
                operation == .propose ? self.agreeing(done, to: successor, validRound) : done.count
            if counting >= needed { return .finish }
            return answers.count - done.count > view.tolerance ? .finish : .goOn
        }
    }

    /// How many prevotes count. Who goes may vanish at once, and what new members pull must then
    /// still be had from a quorum (A3): a change begins only when a quorum of those who stay agrees,
    /// or leave once they are not needed, who all have the view's state. Once members may be sealed
    /// on it, any quorum ends it.
    private func agreeing(_ peers: [PeerID], to successor: View, _ validRound: UInt32) -> Int {
        guard validRound == 0, configuration.keeps(.boundsChanges) else { return peers.count }
        let members = membership.snapshot.members
        return peers.count { successor.contains($0) || members[$0]?.isReachable == true }
    }

    /// Collects precommits; with a quorum of them the successor is decided.
    private func commit(_ successor: View, _ view: View, _ round: UInt32) async -> Bool {
        let votes = await vote(.precommit, successor, view, round)
        if adoptDecision(votes, view.partition) { return true }
        let statement = ViewCertificate.statement(view: successor, previous: view, round: round)
        let needed = view.precommitsNeeded(
            for: successor, without: configuration.brokenRules)
        var signatures: [ViewSignature] = []
        for answer in votes.answers where answer.reply.status == .done {
            guard signatures.count < needed,
                let key = VerifyingKey(bytes: answer.reply.signingKey), key.peerID == answer.peer,
                key.isValid(signature: answer.reply.signature, for: statement)
            else { continue }
            signatures.append(
                ViewSignature(key: key.bytes, signature: answer.reply.signature))
        }
        guard signatures.count >= needed else { return false }
        let certificate = ViewCertificate(
            view: successor, previous: view, round: round, signatures: signatures)
        logger.info(
            "decided a view",
            [
                ("partition", "\(view.partition)"), ("epoch", "\(successor.id.epoch)"),
                ("members", "\(successor.members.count)"),
            ])
        record(certificate)
        announce(certificate)
        start { [weak self] in await self?.teach(certificate) }
        return true
    }

    /// Sends a decision to everyone it concerns, this peer included.
    func announce(_ certificate: ViewCertificate) {
        for peer in certificate.concerned { install(certificate, at: peer) }
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
