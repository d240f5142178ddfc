internal import CyxCore
internal import CyxTransport

/// Where others see this peer, and where they can meet it.
extension Reachability {
    func answerObserve(from remote: PeerContact) throws -> [UInt8] {
        guard !remote.address.isVirtual else {
            throw RPCFailure(code: OverlayRefusal.foreign, message: "seen through a relay only")
        }
        return ObservedResponse(address: AddressRecord(remote.address)).protobufBytes()
    }

    /// Asks a few members in different networks now and then where they see this peer.
    func observe() async throws {
        try await environment.sleep(for: options.firstObservation)
        while true {
            for contact in observers() { await observe(through: contact) }
            let isCalm = observed.mapping(now: environment.now()) == .none
            let isAlone = directory.snapshot.reachable.count < 2
            let pause =
                isAlone
                ? options.firstObservation
                : isCalm ? options.calmInterval : options.observationInterval
            try await environment.sleep(for: pause)
        }
    }

    /// Members that can just be dialed, at most one of each network, in random order.
    private func observers() -> [PeerContact] {
        var networks: Set<UInt64> = []
        var result: [PeerContact] = []
        for member in openMembers().shuffled(using: &generator) {
            guard result.count < ReachabilityLimits.observers else { break }
            let contact = member.info.contact
            guard options.trustsPeers || networks.insert(contact.address.narrowNetwork).inserted
            else { continue }
            result.append(contact)
        }
        return result
    }

    /// Other members that anyone can dial.
    private func openMembers() -> [Member] {
        directory.snapshot.reachable.filter {
            $0.peer != localPeer && $0.info.relays.isEmpty
                && options.addresses.allows($0.info.contact.address)
        }
    }

    private func observe(through contact: PeerContact) async {
        do {
            let bytes = try await transport.call(
                contact.peer, .reachObserve, [], timeout: options.callTimeout)
            note(try ObservedResponse(protobuf: bytes).address, by: contact)
        } catch {
            logger.debug("not observed", [("by", contact.peer.description), ("why", "\(error)")])
        }
    }

    private func note(_ record: AddressRecord?, by reporter: PeerContact) {
        guard let record, let address = SocketAddress(record) else { return }
        observed.record(address, by: reporter, now: environment.now())
    }

    // MARK: Reservations

    /// While this peer is behind a NAT: holds reservations at members that anyone can dial, says so in
    /// its record, and keeps the NAT's mappings for them alive.
    func keepReservations() async throws {
        var isNews = true
        while true {
            // Soon after something has changed, then as often as NATs need it.
            try await environment.sleep(
                for: isNews ? options.firstObservation : options.renewInterval)
            relay.expire(now: environment.now())
            counters.follow(relay)
            let before = reserved.count
            if observed.isBehindNAT(now: environment.now()) {
                await renew()
            } else {
                reserved = [:]
            }
            isNews =
                reserved.count != before || observed.mapping(now: environment.now()) == .unknown
            state()
        }
    }

    private func carries(_ member: Member?) -> Bool {
        member?.info.roles.contains(.relay) == true
    }

    private func renew() async {
        for contact in reserved.values.map(\.contact).sorted(by: { $0.peer < $1.peer }) {
            await reserve(at: contact)
        }
        reserved = reserved.filter { $0.value.expires > environment.now() }
        // Relays first; among them those that are nearest by ID, so that many peers spread out.
        let others = openMembers().filter { reserved[$0.peer] == nil }.sorted { left, right in
            let (a, b) = (carries(left), carries(right))
            return a != b
                ? a : left.peer.digest ^ localPeer.digest < right.peer.digest ^ localPeer.digest
        }
        for member in others {
            guard reserved.count < ReachabilityLimits.reservations else { return }
            await reserve(at: member.info.contact)
        }
    }

    private func reserve(at contact: PeerContact) async {
        do {
            let bytes = try await transport.call(
                contact.peer, .reachReserve, [], timeout: options.callTimeout)
            let response = try ReservationResponse(protobuf: bytes)
            note(response.address, by: contact)
            reserved[contact.peer] = (
                contact, environment.now() + .seconds(Int64(response.seconds))
            )
        } catch {
            logger.debug("no reservation", [("at", contact.peer.description), ("why", "\(error)")])
            reserved[contact.peer] = nil
        }
    }

    /// Says in this peer's record where it is and who brings others to it.
    private func state() {
        let now = environment.now()
        let members = directory.snapshot.members
        // Those that carry packets too come first.
        let relays = reserved.values.map(\.contact).sorted { left, right in
            let (a, b) = (carries(members[left.peer]), carries(members[right.peer]))
            return a != b ? a : left.peer < right.peer
        }
        let isHidden = observed.isBehindNAT(now: now)
        let isKnown = !isHidden && !observed.local.isUnspecified
        let address = isKnown ? observed.local : observed.publicAddress(now: now)
        let nowhere = SocketAddress(ip: 0, port: observed.local.port)
        let own = directory.snapshot.members[localPeer]?.info
        let contact = PeerContact(
            peer: localPeer, address: options.addresses.published(address ?? nowhere))
        guard own?.relays != relays || own?.contact != contact else { return }
        logger.info(
            "reachable",
            [
                ("address", contact.address.description), ("relays", "\(relays.count)"),
                ("mapping", "\(observed.mapping(now: now))"),
            ])
        directory.announce {
            $0.relays = relays
            $0.contact = contact
        }
    }
}
