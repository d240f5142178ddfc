package import CyxCore
internal import CyxCrypto
internal import CyxTransport

/// Records in the DHT: each peer's own, signed and numbered, kept by the peers around its ID for
/// those whose membership view does not hold it.
extension Overlay {
    // MARK: Storing

    /// Stores this peer's record around its ID; returns how many keep it now. The lookup before
    /// goes over disjoint paths, so that one liar cannot lead all of it astray.
    @discardableResult
    package func publish() async -> Int {
        guard isPublishable(machine.own.info) else {
            logger.debug("not published: no address that others may dial")
            return 0
        }
        let found = await explore(machine.localPeer.digest, isForWriting: true)
        let record = machine.own.record
        var kept = 0
        await withTaskGroup(of: Bool.self) { group in
            for contact in found.lookup.result {
                guard let token = found.tokens[contact.peer] else { continue }
                group.addTask {
                    await self.store(
                        StoreRecordRequest(token: token, record: record), at: contact.peer)
                }
            }
            for await isKept in group where isKept { kept += 1 }
        }
        environment.metrics.counter("cyxcloud_records_published_total").add()
        logger.debug("published", [("kept", "\(kept)")])
        return kept
    }

    private func store(_ request: StoreRecordRequest, at peer: PeerID) async -> Bool {
        do throws(RPCError) {
            _ = try await messaging.call(
                peer, .overlayStoreRecord, request.protobufBytes(),
                timeout: options.timings.callTimeout)
            return true
        } catch {
            logger.debug("not kept", [("peer", peer.description), ("why", "\(error)")])
            return false
        }
    }

    /// Publishes after joining, and again before what was published is forgotten.
    func publishIfDue() async throws {
        let now = environment.now()
        guard machine.reachableCount > 0 else { return }
        if let published = lastPublished, now - published < options.publishInterval { return }
        if await publish() > 0 { lastPublished = now }
    }

    // MARK: Finding

    /// What `peer` says of itself: from the membership view, else from the DHT. A record proves
    /// itself, so the first good one will do; `isThorough` waits for all, in case that one is old
    /// and the peer is no longer where it says.
    package func find(_ peer: PeerID, isThorough: Bool = false) async -> MemberStatement? {
        if !isThorough, machine.isReachable(peer), let known = machine.statement(of: peer) {
            return known
        }
        let found = await explore(peer.digest, wantsRecord: true, endsAtRecord: !isThorough)
        guard let record = found.record, !record.isLeaving else { return nil }
        learn(record.info)
        return record
    }

    // MARK: Answering

    /// This peer's own record, or one that was stored here.
    func keptRecord(of peer: PeerID) -> MemberStatement? {
        guard peer != machine.localPeer else { return machine.own }
        // Those around an ID watch its member: they know first when it is gone.
        if machine.state(of: peer) == .dead || machine.state(of: peer) == .left { return nil }
        let kept = records.record(of: peer, now: environment.now())
        // And they hear first what it says anew.
        guard let kept, let known = machine.statement(of: peer),
            known.incarnation > kept.incarnation, isPublishable(known.info)
        else { return kept }
        return known
    }

    func issueToken(to remote: PeerContact) -> [UInt8] {
        tokens.rotate(now: environment.now()) { environment.random.digest() }
        return tokens.issue(to: remote.peer, at: remote.address)
    }

    func answerStoreRecord(_ bytes: [UInt8], from remote: PeerContact) throws -> [UInt8] {
        let request = try decode(StoreRecordRequest.self, bytes)
        let now = environment.now()
        tokens.rotate(now: now) { environment.random.digest() }
        guard tokens.isValid(request.token, of: remote.peer, at: remote.address) else {
            throw RPCFailure(code: OverlayRefusal.token, message: "ask for contacts first")
        }
        guard let signed = request.record else {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "record expected")
        }
        let statement: MemberStatement?
        do {
            statement = try MemberStatement.verify(signed, network: options.network) {
                peer, incarnation in
                peer == remote.peer && incarnation >= (records.incarnation(of: peer) ?? 0)
            }
        } catch {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "\(error)")
        }
        guard let statement, isPublishable(statement.info) else {
            throw RPCFailure(code: OverlayRefusal.foreign, message: "not the sender's latest")
        }
        records.store(statement, now: now)
        return []
    }
}
