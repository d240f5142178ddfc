internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Sending: requests to one peer that are made at about the same time travel as one, and a quorum
/// is as far as anyone waits.
extension TableService {
    func send(
        _ request: [UInt8], _ method: RPCMethod, to peer: PeerID,
        urgency: CallUrgency = .foreground, permit: [UInt8]? = nil,
        completion: @escaping (Result<[UInt8], RPCError>) -> Void
    ) {
        guard !isStopped else { return completion(.failure(.cancelled)) }
        let destination = PeerOutbox.Destination(peer: peer, method: method, urgency: urgency)
        guard outboxes[destination]?.isFull != true else {
            return completion(.failure(.timedOut))
        }
        let item = PeerOutbox.Item(request: request, permit: permit, completion: completion)
        if outboxes[destination, default: PeerOutbox()].add(item) { startFlush(destination) }
    }

    /// Fails whatever waits to be sent, for good.
    func stopSending() {
        isStopped = true
        let waiting = outboxes.values.flatMap(\.items)
        outboxes = [:]
        for item in waiting { item.completion(.failure(.cancelled)) }
    }

    private func startFlush(_ destination: PeerOutbox.Destination) {
        start { [weak self] in await self?.flush(destination) }
    }

    private func flush(_ destination: PeerOutbox.Destination) async {
        guard let batch = outboxes[destination]?.takeBatch(), !batch.isEmpty else { return }
        if outboxes[destination]?.continueFlush() == true { startFlush(destination) }
        var permits: [[UInt8]] = []
        for case let permit? in batch.map(\.permit) where !permits.contains(permit) {
            permits.append(permit)
        }
        let request = TablesBatch(items: batch.map(\.request), permits: permits).protobufBytes()
        let sent = environment.now()
        let result = await exchange(request, destination)
        let took = environment.now() - sent
        if outboxes[destination]?.finishBatch() == true { startFlush(destination) }
        if outboxes[destination]?.isIdle == true { outboxes[destination] = nil }
        switch result {
        case .success(let replies) where replies.count == batch.count:
            note(took, destination)
            for (item, reply) in zip(batch, replies) { item.completion(.success(reply)) }
        case .success:
            // An answer that does not fit its question is as good as none.
            for item in batch { item.completion(.failure(.connectionLost)) }
        case .failure(let error):
            // However soon it failed, it is no quick answer.
            note(max(took, configuration.timings.callTimeout), destination)
            for item in batch { item.completion(.failure(error)) }
        }
    }

    /// What goes in the background waits behind the rest: its time says nothing of the peer's.
    private func note(_ time: Duration, _ destination: PeerOutbox.Destination) {
        guard destination.urgency == .foreground else { return }
        answerTimes.record(time, of: destination.peer)
    }

    /// One request, a batch, and the answers to its items.
    func exchange(
        _ request: [UInt8], _ destination: PeerOutbox.Destination
    ) async -> Result<[[UInt8]], RPCError> {
        do {
            let response: [UInt8]
            if destination.peer == localPeer {
                response = try await answerLocally(request, destination.method)
            } else {
                response = try await messaging.call(
                    destination.peer, destination.method, request,
                    urgency: destination.urgency, timeout: configuration.timings.callTimeout)
            }
            return .success(try TablesBatch(protobuf: response).items)
        } catch let error as RPCError {
            return .failure(error)
        } catch let failure as RPCFailure {
            return .failure(.refused(failure))
        } catch {
            return .failure(.connectionLost)
        }
    }

    private func answerLocally(_ request: [UInt8], _ method: RPCMethod) async throws -> [UInt8] {
        switch method {
        case .tableRows: try await answerRows(request, from: localPeer)
        case .tableErrands: try await answerErrands(request, from: localPeer)
        default: try await answerViews(request, from: localPeer)
        }
    }

    /// Asks several peers the same and waits until `judge` has enough or all have answered.
    /// `atFirst`: how many can be enough; only these, the quickest, are asked while all goes well.
    func ask<Reply: ProtobufMessage>(
        _ peers: [PeerID], _ method: RPCMethod, _ request: [UInt8], as type: Reply.Type,
        atFirst: Int? = nil, urgency: CallUrgency = .foreground, permit: [UInt8]? = nil,
        judge: @escaping ([QuorumCall<Reply>.Answer]) -> QuorumCall<Reply>.Verdict
    ) async -> QuorumCall<Reply> {
        nextTimedCall += 1
        let id = nextTimedCall
        let isHedged = atFirst.map { $0 < peers.count } ?? false
        let order = isHedged ? quickestFirst(peers) : peers
        let call = QuorumCall<Reply>(order) { call, peer in
            self.send(request, method, to: peer, urgency: urgency, permit: permit) { result in
                switch result {
                case .success(let bytes):
                    do {
                        call.receive(.success(try Reply(protobuf: bytes)), from: peer)
                    } catch {
                        call.receive(.failure(.connectionLost), from: peer)
                    }
                case .failure(let error): call.receive(.failure(error), from: peer)
                }
            }
        } startGrace: {
            self.startGrace(id)
        } judge: {
            judge($0)
        }
        timedCalls[id] = call
        var hedge: TimerID?
        if let atFirst, isHedged {
            call.ask(atFirst)
            let patience = order.prefix(atFirst).map { answerTimes[$0].patience }.max()
            let deadline = environment.now() + (patience ?? .zero)
            hedge = environment.executor.schedule(at: deadline) {
                [weak self] in
                self?.assumeIsolated { $0.timedCalls[id]?.widen() }
            }
        } else {
            call.widen()
        }
        await call.wait()
        if let hedge { environment.executor.cancel(hedge) }
        timedCalls[id] = nil
        return call
    }

    /// Asks the members of a view until a quorum has done it or cannot any more. A quorum is enough
    /// to read and to promise; what is written should reach every member.
    func askQuorum(
        _ request: RowRequest, _ certificate: ViewCertificate, permit: [UInt8]? = nil
    ) async -> QuorumCall<RowReply> {
        let view = certificate.view
        let isWrite = request.operation == .accept || request.operation == .merge
        let call = await ask(
            reachable(view), .tableRows, request.protobufBytes(), as: RowReply.self,
            atFirst: isWrite ? nil : view.quorum, permit: permit
        ) { answers in
            let done = answers.count { $0.reply.status == .done }
            if done >= view.quorum { return .finish }
            // Enough have refused that a quorum is out of reach.
            return answers.count - done > view.tolerance ? .finish : .goOn
        }
        await learn(from: call, view: certificate, around: request.key)
        return call
    }

    private func startGrace(_ id: UInt64) {
        let deadline = environment.now() + configuration.timings.graceDelay
        _ = environment.executor.schedule(at: deadline) { [weak self] in
            self?.assumeIsolated { $0.timedCalls[id]?.finish() }
        }
    }

    /// Peers by how quickly they have answered; whose speed is not known comes first and is known
    /// then. Who is busy falls behind, so the work spreads by itself.
    func quickestFirst(_ peers: [PeerID]) -> [PeerID] {
        let ranked = peers.enumerated().map {
            (time: answerTimes[$0.element].mean, rank: $0.offset, peer: $0.element)
        }
        return ranked.sorted { ($0.time, $0.rank) < ($1.time, $1.rank) }.map(\.peer)
    }

    /// Whom of a view to ask: not those that membership holds for dead, unless that leaves too few.
    func reachable(_ view: View) -> [PeerID] {
        let members = membership.snapshot.members
        let peers = view.peers.filter { peer in
            guard peer != localPeer, let member = members[peer] else { return true }
            return member.isReachable
        }
        return peers.count >= view.quorum ? peers : view.peers
    }
}
