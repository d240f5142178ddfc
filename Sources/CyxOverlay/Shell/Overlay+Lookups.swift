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
        let seeds = table.closest(
            to: target, count: options.kademlia.answerSize, verifiedOnly: false)
        var lookup = Lookup(
            target: target, local: machine.localPeer, seeds: seeds, parameters: options.kademlia)
        await withTaskGroup(of: (PeerContact, [PeerContact]?).self) { group in
            while true {
                for contact in lookup.next() {
                    group.addTask { (contact, await self.findNode(target, at: contact)) }
                }
                guard !lookup.isFinished, let (contact, answer) = await group.next() else { break }
                if let answer {
                    table.insert(contact, answered: true, now: environment.now())
                    lookup.handleAnswer(from: contact.peer, contacts: answer)
                } else {
                    table.failed(contact.peer)
                    lookup.handleFailure(of: contact.peer)
                }
            }
        }
        environment.metrics.counter("cyxcloud_lookups_total").add()
        environment.metrics.counter("cyxcloud_lookup_hops_total").add(UInt64(lookup.hops))
        return lookup.result
    }

    /// The contacts that `contact` knows closest to `target`; nil if it does not answer properly.
    private func findNode(_ target: Digest, at contact: PeerContact) async -> [PeerContact]? {
        messaging.learn(contact)
        let request = FindNodeRequest(target: target.bytes).protobufBytes()
        do {
            let bytes = try await messaging.call(
                contact.peer, .overlayFindNode, request, timeout: options.timings.probeTimeout)
            let response = try FindNodeResponse(protobuf: bytes)
            return try response.contacts.prefix(options.kademlia.answerSize)
                .map { try PeerContact($0) }
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
        table.insert(remote, answered: false, now: environment.now())
        let closest = table.closest(
            to: target, count: options.kademlia.answerSize, verifiedOnly: true)
        let response = FindNodeResponse(contacts: closest.map { ContactRecord($0) })
        return response.protobufBytes()
    }

    /// Refreshes old buckets and pings contacts that nobody is told of before they answer.
    func upkeep() async throws {
        while true {
            let spread = options.upkeepInterval.nanoseconds / 4
            let delay = Int64.random(in: -spread...spread, using: &generator)
            try await environment.sleep(for: options.upkeepInterval + .nanoseconds(delay))
            for contact in table.unverified(limit: Self.pingsPerRound) {
                if await findNode(machine.localPeer.digest, at: contact) != nil {
                    table.insert(contact, answered: true, now: environment.now())
                } else {
                    table.failed(contact.peer)
                }
            }
            let now = environment.now()
            if let target = table.refreshTarget(
                before: now - options.refreshAge, now: now, using: &generator)
            {
                _ = await lookup(target)
            }
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
