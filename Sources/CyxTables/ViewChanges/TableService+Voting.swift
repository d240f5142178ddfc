internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// Answering what concerns views: votes, decisions, and who holds what.
extension TableService {
    /// Answers a batch; votes and installed views are durable before any answer leaves.
    func answerViews(_ request: [UInt8], from remote: PeerID) async throws -> [UInt8] {
        try checkServing(remote)
        let items = try TablesBatch(protobuf: request).items
        guard items.count <= TableMessageLimits.batchItems else {
            throw RPCFailure(code: 2, message: "too many items")
        }
        var replies: [ViewReply] = []
        let failures = rows.failures
        do {
            var needsSettling = false
            for item in items {
                let request = try ViewRequest(protobuf: item)
                if request.operation == .pull {
                    replies.append(try await answerPull(request))
                } else {
                    replies.append(answer(request, from: remote, needsSettling: &needsSettling))
                }
            }
            if needsSettling { try await rows.settle() }
            if rows.failures != failures {
                throw StoreError.failed(operation: "write", detail: "rolled back")
            }
        } catch let error as StoreError {
            logger.warning("row store failed", [("error", "\(error)")])
            let failed = ViewReply(status: .busy, detail: "\(error)")
            replies = items.map { _ in failed }
        }
        return TablesBatch(items: replies.map { $0.protobufBytes() }).protobufBytes()
    }

    private func answer(
        _ request: ViewRequest, from remote: PeerID, needsSettling: inout Bool
    ) -> ViewReply {
        guard let id = request.view?.id else {
            return ViewReply(status: .refused, detail: "no view")
        }
        switch request.operation {
        case .find:
            let position = StorageKey.position(ofBound: request.key) ?? id.partition.lowerBound
            let first = ViewID(partition: id.partition, generation: 0, epoch: 0)
            guard
                let known = successor(of: first, around: position)
                    ?? knownCertificate(id.partition)
            else { return ViewReply(status: .refused, detail: "unknown") }
            return ViewReply(status: .done, certificate: known.bytes)
        case .ready:
            return answerReady(request, id.partition, from: remote)
        case .propose, .precommit:
            return answerVote(request, id, from: remote, needsSettling: &needsSettling)
        case .holdings:
            return answerHoldings(from: id.partition)
        case .install:
            return answerInstall(request, id, from: remote, needsSettling: &needsSettling)
        default:
            return ViewReply(status: .refused, detail: "unknown operation")
        }
    }

    private func answerVote(
        _ request: ViewRequest, _ id: ViewID, from remote: PeerID, needsSettling: inout Bool
    ) -> ViewReply {
        if let known = successor(of: id, around: nil) {
            return ViewReply(status: .decided, certificate: known.bytes)
        }
        guard var replica = replicas[id.partition], replica.view.id == id else {
            return ViewReply(status: .refused, detail: "not a member")
        }
        // A member without the state has no say: its vote would count toward a seal that
        // nobody can pull from.
        guard replica.isSynced, isListed(in: replica.view)
        else { return ViewReply(status: .busy, detail: "not synced") }
        let view = replica.view
        guard request.round > 0,
            view.rank(of: remote) == ViewVote.proposer(of: request.round, in: view)
        else { return ViewReply(status: .refused, detail: "not the round's proposer") }
        let successor: View
        do {
            successor = try View(bytes: request.successor)
        } catch {
            return ViewReply(status: .refused, detail: "\(error)")
        }
        let answer: ViewVote.Answer
        if request.operation == .propose {
            let planner = currentPlanner()
            let objection = planner.objection(
                to: successor, after: view, bytes: comparisons.byteCount(view.partition))
            if planner.snapshot.isPartial {
                changes.noteStrangers(
                    successor.peers.filter { planner.snapshot.members[$0] == nil })
                watchCustodians()
            }
            answer = replica.vote.prevote(
                successor, round: request.round,
                validRound: request.validRound == 0 ? nil : request.validRound,
                objection: objection, honoursLock: configuration.keeps(.locksVotes))
        } else {
            answer = replica.vote.precommit(successor, round: request.round)
        }
        switch answer {
        case .refused(let detail): return ViewReply(status: .refused, detail: detail)
        case .outvoted(let round, let lock):
            return ViewReply(
                status: .outvoted, round: round, lockedRound: lock?.round ?? 0,
                locked: lock?.successor.bytes ?? [])
        case .agreed:
            // From here on a sealed member answers no operation, whether or not the disk agrees.
            if configuration.keeps(.votesDurably) {
                stage(replica)
                needsSettling = true
            } else {
                replicas[id.partition] = replica
            }
            if replica.vote.isSealed { changes.causeSince[id.partition] = environment.now() }
            var reply = ViewReply(status: .done)
            if request.operation == .precommit {
                let statement = ViewCertificate.statement(
                    view: successor, previous: view, round: request.round)
                reply.signingKey = key.verifyingKey.bytes
                reply.signature = key.sign(statement)
            }
            return reply
        }
    }

    /// Changes a replica in memory and queues its write.
    func stage(_ replica: Replica) {
        replicas[replica.partition] = replica
        keepLooking()
        hasNetwork = true
        rows.stage([
            .put(key: StorageKey.replica(replica.partition), value: replica.bytes)
        ])
    }

    private func answerInstall(
        _ request: ViewRequest, _ id: ViewID, from remote: PeerID, needsSettling: inout Bool
    ) -> ViewReply {
        guard let certificate = decision(request, id) else {
            return ViewReply(status: .refused, detail: "no valid certificate")
        }
        if request.isSynced { note(remote, holds: certificate.view) }
        if installLocally(certificate) { needsSettling = true }
        if let known = successor(of: certificate.view.id, around: nil) {
            return ViewReply(status: .decided, certificate: known.bytes)
        }
        let held = replicas[id.partition]
        let isSynced = held?.view.id == certificate.view.id && held?.isSynced == true
        return ViewReply(status: .done, isSynced: isSynced)
    }

    /// The decision that an install is about: a mere notice leaves the certificate out.
    private func decision(_ request: ViewRequest, _ id: ViewID) -> ViewCertificate? {
        guard request.certificate.isEmpty else {
            return adopt(request.certificate, for: id.partition)
        }
        let known = knownCertificate(id.partition)
        return known?.view.id == id ? known : nil
    }

    /// Enters a decided view, or leaves the one before, and of a split both; returns whether anything
    /// changed, which then must settle before it is answered.
    func installLocally(_ certificate: ViewCertificate) -> Bool {
        let isChanged = enter(certificate)
        guard let other = certificate.sibling, replicas[other.view.partition] != nil else {
            return isChanged
        }
        return enter(other) || isChanged
    }

    private func enter(_ certificate: ViewCertificate) -> Bool {
        let view = certificate.view
        let held = replicas[view.partition]
        let isMember = isListed(in: view)
        if isOver(view.id) { return false }
        if let held, !view.id.isNewer(than: held.view.id) { return false }
        guard isMember else {
            guard var held, held.successor.map({ view.id.isNewer(than: $0.view.id) }) ?? true
            else { return false }
            held.successor = certificate
            stage(held)
            return true
        }
        var replica = Replica(certificate: certificate, isSynced: false)
        if let held, held.view.id.generation == view.id.generation { replica.floor = held.floor }
        if let held, held.view.id.generation < view.id.generation {
            // What lies here of a lost generation, complete or not, may lie nowhere else: the view's
            // state is merged into it, and who is no survivor of a recovery that it missed gives the
            // others what they lack when they compare rows.
            replica.frozen = Replica.Frozen(view: held.view.id, isSource: true)
        } else if let held, held.view.id == certificate.previous?.id {
            replica.frozen = Replica.Frozen(view: held.view.id, isSource: held.isSynced)
            // Whoever had all of the whole has all of its parts (`TableService+Splitting`).
            replica.isSynced = certificate.isSplit && held.isSynced
        }
        // Whoever goes on from all rows of the view before has logged whatever changes.
        let goesOn =
            held.map {
                $0.isSynced && $0.view.id == certificate.previous?.id
                    && $0.view.id.generation == view.id.generation
            } ?? false
        replica.changesFloor = goesOn ? held?.changesFloor ?? 0 : rows.nextChange()
        if let held { changes.synced[held.view.id] = nil }
        changes.forget(view.partition)
        stage(replica)
        if let old = held?.frozen?.view {
            start { [weak self] in await self?.dropFrozen(old, in: view.partition) }
        }
        if replica.isSynced {
            start { [weak self] in await self?.finishSplit(certificate) }
        } else {
            startSync(view.partition)
        }
        return true
    }

    /// Sends a decision to one peer, and learns whether that peer holds the view. A notice goes
    /// to peers that know the decision, to say that this peer holds the view.
    func install(_ certificate: ViewCertificate, at peer: PeerID, isNotice: Bool = false) {
        let view = certificate.view
        let held = replicas[view.partition]
        let request = ViewRequest(
            operation: .install, view: ViewReference(view.id),
            certificate: isNotice ? [] : certificate.bytes,
            isSynced: held?.view.id == view.id && held?.isSynced == true)
        send(request.protobufBytes(), .tableViews, to: peer) { result in
            guard case .success(let bytes) = result else { return }
            do {
                let reply = try ViewReply(protobuf: bytes)
                if reply.status == .decided {
                    self.adopt(reply.certificate, for: view.partition)
                    self.enterKnownView(view.partition)
                } else if reply.isSynced {
                    self.note(peer, holds: view)
                }
            } catch {
                self.logger.debug("unreadable answer", [("peer", "\(peer)")])
            }
        }
    }

    /// Acts on later views that were learnt by the way: members enter them, others step back.
    func enterKnownView(_ partition: Partition) {
        var isChanged = false
        let around = catalog.ancestors(of: partition).filter { replicas[$0] != nil }
        for part in heldParts(of: partition) + around {
            guard let known = catalog[part], let held = replicas[part],
                known.view.id.isNewer(than: held.view.id), installLocally(known)
            else { continue }
            isChanged = true
        }
        guard isChanged else { return }
        start { [weak self] in await self?.settleQuietly() }
    }

    func settleQuietly() async {
        do {
            try await rows.settle()
        } catch {
            logger.warning("row store failed", [("error", "\(error)")])
        }
    }
}
