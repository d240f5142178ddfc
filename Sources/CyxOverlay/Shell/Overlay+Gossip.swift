internal import CyxCore
internal import CyxCrypto
internal import CyxTransport

/// Membership on the wire: probes, gossip and comparisons, asked and answered.
extension Overlay {
    nonisolated func install() {
        messaging.handle(.overlayProbe) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerProbe(request, from: remote.peer)
        }
        messaging.handle(.overlayGossip) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerGossip(request, from: remote.peer)
        }
        messaging.handle(.overlaySync) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerSync(request, from: remote.peer)
        }
        messaging.handle(.overlayFindNode) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerFindNode(request, from: remote)
        }
        messaging.handle(.overlayStoreRecord) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerStoreRecord(request, from: remote)
        }
    }

    private static var closing: RPCFailure { RPCFailure(code: 0, message: "closing") }

    // MARK: Asking

    func perform(_ action: MembershipMachine.Action) async {
        switch action {
        case .probe(let id, let target, let timeout):
            await probe(id, target, timeout: timeout)
        case .probeThrough(let id, let target, let helpers, let timeout):
            await withDiscardingTaskGroup { group in
                for helper in helpers {
                    group.addTask {
                        await self.probe(id, target, through: helper, timeout: timeout)
                    }
                }
            }
        case .gossip(let peer): await sendGossip(to: peer)
        case .sync(let peer): _ = await synchronize(with: peer)
        case .restate, .accuse, .note: break
        }
    }

    private func probe(_ id: UInt64, _ target: PeerID, timeout: Duration) async {
        let request = ProbeRequest(gossip: GossipBatch(machine.takeGossip(for: target)))
            .protobufBytes()
        do throws(RPCError) {
            let response = try await messaging.call(
                target, .overlayProbe, request, timeout: timeout)
            machine.handleProbeAnswer(id: id, now: environment.now())
            answered(target)
            take(response, from: target)
        } catch {
            machine.handleProbeFailure(id: id, now: environment.now())
        }
        pump()
    }

    private func probe(
        _ id: UInt64, _ target: PeerID, through helper: PeerID, timeout: Duration
    ) async {
        let request = ProbeRequest(
            target: target.bytes,
            timeoutMilliseconds: UInt32(clamping: timeout.nanoseconds / 1_000_000),
            gossip: GossipBatch(machine.takeGossip(for: helper))
        ).protobufBytes()
        do throws(RPCError) {
            let response = try await messaging.call(
                helper, .overlayProbe, request, timeout: timeout)
            if take(response, from: helper) {
                machine.handleProbeAnswer(id: id, now: environment.now())
            } else {
                machine.handleHelperMiss(id: id)
            }
        } catch {
            // A helper that is silent counts against this peer's own health.
            logger.debug("helper silent", [("peer", helper.description), ("why", "\(error)")])
        }
        pump()
    }

    /// Takes in a probe's response; returns whether its target was reached.
    @discardableResult
    private func take(_ bytes: [UInt8], from sender: PeerID) -> Bool {
        do {
            let response = try ProbeResponse(protobuf: bytes)
            try absorb(response.gossip ?? GossipBatch(), from: sender, isSync: false)
            return response.reached
        } catch {
            report(error, from: sender)
            return false
        }
    }

    func sendGossip(to peer: PeerID) async {
        let content = machine.takeGossip(for: peer)
        guard !content.statements.isEmpty || !content.accusations.isEmpty else { return }
        let batch = GossipBatch(content).protobufBytes()
        do throws(RPCError) {
            _ = try await messaging.call(
                peer, .overlayGossip, batch, timeout: options.timings.probeTimeout)
        } catch {
            // Others will tell it, and probing finds out why it does not answer.
            logger.debug("gossip lost", [("peer", peer.description), ("why", "\(error)")])
        }
    }

    /// Compares views with `peer`; returns whether it answered.
    func synchronize(with peer: PeerID) async -> Bool {
        let request = SyncRequest(
            versions: machine.versions(), sender: machine.own, isPartial: machine.isPartial)
        do {
            let bytes = try await messaging.call(
                peer, .overlaySync, request.protobufBytes(), timeout: options.timings.callTimeout)
            let response = try SyncResponse(protobuf: bytes)
            answered(peer)
            if response.partial { machine.becomePartial() }
            try absorb(response.gossip ?? GossipBatch(), from: peer, isSync: true)
            pump()
            try await deliver(response.wanted.prefix(MembershipLimits.wanted), to: peer)
            return true
        } catch let error as RPCError {
            logger.debug("no comparison", [("peer", peer.description), ("why", "\(error)")])
            machine.handleSyncFailure(with: peer)
            pump()
        } catch {
            report(error, from: peer)
        }
        return false
    }

    /// Sends the records that `peer` asked for.
    private func deliver(_ wanted: ArraySlice<[UInt8]>, to peer: PeerID) async throws(RPCError) {
        var content = GossipContent()
        for bytes in wanted {
            guard let id = PeerID(bytes: bytes), let statement = machine.statement(of: id)
            else { continue }
            content.statements.append(statement)
        }
        guard !content.statements.isEmpty else { return }
        let batch = GossipBatch(content).protobufBytes()
        _ = try await messaging.call(
            peer, .overlayGossip, batch, timeout: options.timings.callTimeout)
    }

    // MARK: Answering

    private func answerProbe(_ bytes: [UInt8], from remote: PeerID) async throws -> [UInt8] {
        let request = try decode(ProbeRequest.self, bytes)
        try admit(request.gossip ?? GossipBatch(), from: remote)
        var reached = true
        if !request.target.isEmpty {
            guard let target = PeerID(bytes: request.target) else {
                throw RPCFailure(code: OverlayRefusal.malformed, message: "target")
            }
            reached = await reach(target, milliseconds: request.timeoutMilliseconds)
        }
        let response = ProbeResponse(
            reached: reached, gossip: GossipBatch(machine.takeGossip(for: remote)))
        return response.protobufBytes()
    }

    /// Probes `target` for another peer, within four fifths of its time so that "no" arrives too.
    private func reach(_ target: PeerID, milliseconds: UInt32) async -> Bool {
        guard target != machine.localPeer else { return true }
        guard machine.isReachable(target) else { return false }
        let asked = Duration.milliseconds(Int64(milliseconds)) * 4 / 5
        let timeout = min(asked, options.timings.probeTimeout * (MembershipLimits.health + 1))
        let request = ProbeRequest(gossip: GossipBatch(machine.takeGossip(for: target)))
            .protobufBytes()
        do throws(RPCError) {
            let response = try await messaging.call(
                target, .overlayProbe, request, timeout: timeout)
            take(response, from: target)
            pump()
            return true
        } catch {
            return false
        }
    }

    private func answerGossip(_ bytes: [UInt8], from remote: PeerID) throws -> [UInt8] {
        try admit(try decode(GossipBatch.self, bytes), from: remote)
        return []
    }

    private func answerSync(_ bytes: [UInt8], from remote: PeerID) throws -> [UInt8] {
        let request = try decode(SyncRequest.self, bytes)
        guard let versions = request.versions, let sender = request.sender else {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "versions")
        }
        try admit(GossipBatch(members: [sender]), from: remote)
        var (news, wanted) = machine.compare(
            versions, of: remote, isPartial: request.partial, now: environment.now())
        // Refutations that the comparison has just caused go along.
        pump()
        let fresh = machine.takeGossip(for: remote)
        news.statements += fresh.statements
        news.accusations += fresh.accusations
        let response = SyncResponse(
            gossip: GossipBatch(news), wanted: wanted.map(\.bytes), partial: machine.isPartial)
        return response.protobufBytes()
    }

    // MARK: Taking in

    /// Reads a request, or refuses it.
    func decode<Message: ProtobufMessage>(
        _ type: Message.Type, _ bytes: [UInt8]
    ) throws(RPCFailure) -> Message {
        do {
            return try Message(protobuf: bytes)
        } catch {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "\(error)")
        }
    }

    /// Takes in what a request brought, or refuses the request.
    private func admit(_ batch: GossipBatch, from sender: PeerID) throws {
        do {
            try absorb(batch, from: sender, isSync: false)
        } catch {
            report(error, from: sender)
            throw RPCFailure(code: OverlayRefusal.malformed, message: "\(error)")
        }
        pump()
    }

    private func absorb(
        _ batch: GossipBatch, from sender: PeerID, isSync: Bool
    ) throws(MemberStatementError) {
        var content = GossipContent()
        content.statements = try batch.statements(network: options.network) { peer, incarnation in
            (machine.incarnation(of: peer) ?? 0) < incarnation
                || peer == machine.localPeer && machine.mayShowStore(incarnation)
        }
        let accusations = try batch.unverifiedAccusations()
        let now = environment.now()
        machine.setWallClock(milliseconds: wallMilliseconds, now: now)
        if isSync {
            // The sender is who it says, so it needs to prove nothing of its own view.
            content.accusations = accusations.filter { $0.isHint && $0.accuser == sender }
            machine.handleSync(content, from: sender, now: now)
        } else {
            for statement in content.statements { machine.handle(statement, now: now) }
        }
        for accusation in accusations { try absorb(accusation, now: now) }
        // An address or role may have changed without a change of state.
        for statement in content.statements where statement.peer != machine.localPeer {
            learn(statement.info)
        }
    }

    /// Takes an accusation in after checking its signature, if it would change anything.
    private func absorb(
        _ accusation: Accusation, now: Instant
    ) throws(MemberStatementError) {
        if accusation.peer != machine.localPeer {
            guard !accusation.isHint, machine.counts(accusation, now: now),
                accusation.isRecent(wallMilliseconds: wallMilliseconds),
                let key = machine.statement(of: accusation.accuser)?.key
            else { return }
            guard accusation.isSigned(by: key, network: options.network) else {
                throw .forged(accusation.accuser)
            }
        }
        machine.handle(accusation, now: now)
    }

    /// A member answered a probe or a comparison: others may be told of it.
    private func answered(_ peer: PeerID) {
        guard let info = machine.statement(of: peer)?.info, isContact(info) else { return }
        table.insert(info.contact, zone: info.zone, answered: true, now: environment.now())
    }

    private func report(_ error: any Error, from peer: PeerID) {
        environment.metrics.counter("cyxcloud_overlay_malformed_total").add()
        logger.warning("malformed gossip", [("peer", peer.description), ("why", "\(error)")])
    }
}
