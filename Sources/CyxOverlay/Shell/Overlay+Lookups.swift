package import CyxCore
package import CyxTransport

/// Joining, lookups and the routing table's upkeep.
extension Overlay {
    /// Identification of one bootstrap address.
    private static let identifyTimeout = Duration.seconds(5)
    /// Unverified contacts pinged in one round of upkeep.
    private static let pingsPerRound = 16

    /// Asks every bootstrap address until one answers, and again whenever nobody is left.
    func join() async throws {
        guard !options.bootstrap.isEmpty else { return }
        var backoff = options.timings.joinBackoff.first
        var attempts = 0
        while true {
            if machine.reachableCount == 0 {
                attempts += 1
                if await joinOnce(isFirst: attempts == 1) {
                    backoff = options.timings.joinBackoff.first
                    attempts = 0
                }
            }
            let spread = Int64.random(in: 0...backoff.nanoseconds / 2, using: &generator)
            try await environment.sleep(for: backoff + .nanoseconds(spread))
            if machine.reachableCount == 0 {
                backoff = min(backoff * 2, options.timings.joinBackoff.longest)
            } else {
                backoff = options.timings.joinBackoff.longest
            }
        }
    }

    private func joinOnce(isFirst: Bool) async -> Bool {
        var isOnlyOwn = true
        for address in options.bootstrap where address != machine.own.info.contact.address {
            isOnlyOwn = false
            do throws(RPCError) {
                let contact = try await messaging.identify(address, timeout: Self.identifyTimeout)
                guard contact.peer != machine.localPeer else { continue }
                messaging.learn(contact)
                if await synchronize(with: contact.peer) {
                    logger.info(
                        "joined",
                        [
                            ("through", address.description),
                            ("members", "\(machine.reachableCount + 1)"),
                        ])
                    return true
                }
            } catch {
                let advice =
                    "no answer from \(address). A wrong key, a firewall and a stopped peer "
                    + "look alike by design. Compare `cyxcloud network fingerprint` on both"
                logger.log(isFirst ? .warning : .info, advice, [("why", "\(error)")])
            }
        }
        return isOnlyOwn
    }

    // MARK: Lookups

    /// The k live peers closest to `target` that this peer can find, closest first.
    package func lookup(_ target: Digest) async -> [PeerContact] {
        await explore(target).lookup.result
    }

    /// What a lookup brought, besides contacts.
    struct Exploration {
        var lookup: Lookup
        /// What lets this peer store at those that answered.
        var tokens: [PeerID: [UInt8]] = [:]
        /// The newest record of the peer whose ID is the target.
        var record: MemberStatement?
    }

    private enum LookupEvent {
        case answer(PeerContact, FindNodeAnswer?)
        case stall(PeerContact)
    }

    /// Carries a lookup out. Before a write it goes over disjoint paths and asks the whole
    /// neighbourhood; with `endsAtRecord` it ends as soon as a record has proved itself.
    func explore(
        _ target: Digest, isForWriting: Bool = false, wantsRecord: Bool = false,
        endsAtRecord: Bool = false
    ) async -> Exploration {
        let parameters = options.kademlia
        let asksRegion = isForWriting || wantsRecord
        var result = Exploration(
            lookup: Lookup(
                target: target, local: machine.localPeer, seeds: seeds(for: target),
                parameters: parameters,
                paths: isForWriting ? parameters.paths : 1,
                region: asksRegion ? table.neighbourhood : nil))
        await withTaskGroup(of: LookupEvent.self) { group in
            while true {
                for contact in result.lookup.next() {
                    group.addTask {
                        .answer(
                            contact,
                            await self.findNode(target, at: contact, wantsRecord: wantsRecord))
                    }
                    let patience = answerTimes.patience
                    group.addTask { await self.wait(patience, for: contact) }
                }
                guard !result.lookup.isFinished, let event = await group.next() else { break }
                take(event, into: &result)
                if endsAtRecord, result.record != nil { break }
            }
            group.cancelAll()
        }
        environment.metrics.counter("cyxcloud_lookups_total").add()
        environment.metrics.counter("cyxcloud_lookup_hops_total").add(UInt64(result.lookup.hops))
        environment.metrics.counter("cyxcloud_lookup_requests_total").add(
            UInt64(result.lookup.requests))
        return result
    }

    /// Where a lookup begins: at the closest of the routing table and of the membership view. Of a
    /// large network that is a thousand members at random, the closest of whom is closer to most keys
    /// than what a table has there: that spares a hop, each of which opens a connection.
    private func seeds(for target: Digest) -> [PeerContact] {
        let count = options.kademlia.answerSize
        let members = machine.closest(to: target, count: count).compactMap { peer in
            machine.statement(of: peer)?.info
        }
        return table.closest(to: target, count: count, verifiedOnly: false)
            + members.filter { isContact($0) }.map(\.contact)
    }

    private nonisolated func wait(
        _ patience: Duration, for contact: PeerContact
    ) async -> LookupEvent {
        do {
            try await environment.sleep(for: patience)
        } catch {
            // The lookup has ended; nobody reads this.
        }
        return .stall(contact)
    }

    private func take(_ event: LookupEvent, into result: inout Exploration) {
        switch event {
        case .stall(let contact):
            result.lookup.handleStall(of: contact.peer)
        case .answer(let contact, nil):
            table.failed(contact.peer)
            result.lookup.handleFailure(of: contact.peer)
        case .answer(let contact, let answer?):
            table.insert(contact, answered: true, now: environment.now())
            result.lookup.handleAnswer(from: contact.peer, contacts: answer.contacts)
            result.tokens[contact.peer] = answer.token
            guard let record = answer.record else { return }
            if record.incarnation > result.record?.incarnation ?? 0 { result.record = record }
        }
    }

    struct FindNodeAnswer {
        var contacts: [PeerContact]
        var token: [UInt8]
        var record: MemberStatement?
    }

    /// The contacts that `contact` knows closest to `target`; nil if it does not answer properly.
    func findNode(
        _ target: Digest, at contact: PeerContact, wantsRecord: Bool
    ) async -> FindNodeAnswer? {
        messaging.learn(contact)
        let request = FindNodeRequest(
            target: target.bytes, wantsRecord: wantsRecord,
            isHidden: !machine.own.info.relays.isEmpty)
        let started = environment.now()
        do {
            let bytes = try await messaging.call(
                contact.peer, .overlayFindNode, request.protobufBytes(),
                timeout: options.timings.probeTimeout)
            answerTimes.record(environment.now() - started)
            let response = try FindNodeResponse(protobuf: bytes)
            let contacts = try response.contacts.prefix(options.kademlia.answerSize)
                .map { try PeerContact($0) }
            var answer = FindNodeAnswer(
                contacts: contacts.filter { options.addresses.allows($0.address) },
                token: response.token)
            if wantsRecord, let signed = response.record {
                answer.record = try MemberStatement.verify(signed, network: options.network) {
                    peer, _ in peer.digest == target
                }
            }
            return answer
        } catch {
            logger.debug("no contacts", [("peer", contact.peer.description), ("why", "\(error)")])
            return nil
        }
    }

    func answerFindNode(_ bytes: [UInt8], from remote: PeerContact) throws -> [UInt8] {
        let request = try decode(FindNodeRequest.self, bytes)
        guard let target = Digest(bytes: request.target) else {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "target of 32 bytes expected")
        }
        let now = environment.now()
        if !request.isHidden, options.addresses.allows(remote.address) {
            table.insert(remote, answered: false, now: now)
        }
        let closest = table.closest(
            to: target, count: options.kademlia.answerSize, verifiedOnly: true)
        let record = request.wantsRecord ? keptRecord(of: PeerID(target))?.record : nil
        let response = FindNodeResponse(
            contacts: closest.map { ContactRecord($0) }, token: issueToken(to: remote),
            record: record)
        return response.protobufBytes()
    }

    /// Refreshes old buckets, pings contacts that nobody is told of before they answer and those
    /// that have long been silent, and stores this peer's record where others look for it.
    func upkeep() async throws {
        while true {
            let spread = options.upkeepInterval.nanoseconds / 4
            let delay = Int64.random(in: -spread...spread, using: &generator)
            try await environment.sleep(for: options.upkeepInterval + .nanoseconds(delay))
            let contacts = table.contactsToCheck(
                silentSince: environment.now() - options.refreshAge, count: Self.pingsPerRound)
            for contact in contacts { await check(contact) }
            let now = environment.now()
            if let target = table.refreshTarget(
                before: now - options.refreshAge, now: now, using: &generator)
            {
                _ = await lookup(target)
            }
            try await publishIfDue()
        }
    }

    private func check(_ contact: PeerContact) async {
        let answer = await findNode(machine.localPeer.digest, at: contact, wantsRecord: false)
        if answer != nil {
            table.insert(contact, answered: true, now: environment.now())
        } else {
            table.failed(contact.peer)
        }
    }
}

extension ContactRecord {
    init(_ contact: PeerContact) {
        self.init(
            peer: contact.peer.bytes, ipHigh: UInt64(truncatingIfNeeded: contact.address.ip >> 64),
            ipLow: UInt64(truncatingIfNeeded: contact.address.ip),
            port: UInt32(contact.address.port))
    }
}

extension PeerContact {
    init(_ record: ContactRecord) throws(DecodingError) {
        guard let peer = PeerID(bytes: record.peer) else { throw .outOfRange(field: "peer") }
        guard let port = UInt16(exactly: record.port), port > 0 else {
            throw .outOfRange(field: "port")
        }
        let ip = UInt128(record.ipHigh) << 64 | UInt128(record.ipLow)
        self.init(peer: peer, address: SocketAddress(ip: ip, port: port))
    }
}
