internal import CyxCore
internal import CyxTransport

/// Circuits over relays: asked for, made, and carried.
extension Reachability {
    // MARK: At the ends

    /// Looks for another way to a peer whose path has stopped to answer, before the connection
    /// over it is given up: the first of its relays that gives a circuit.
    func rescue(_ peer: PeerID) async {
        guard let info = directory.snapshot.members[peer]?.info else { return }
        for helper in relays(of: info) {
            if await openCircuit(to: peer, through: helper) { return }
        }
    }

    /// Asks `helper` for a circuit to `peer`, and reaches it through that. False if it refused.
    @discardableResult
    func openCircuit(to peer: PeerID, through helper: PeerContact) async -> Bool {
        transport.learn(helper)
        do {
            let request = CircuitRequest(peer: peer.bytes)
            let bytes = try await transport.call(
                helper.peer, .reachCircuit, request.protobufBytes(), timeout: options.callTimeout)
            let response = try CircuitResponse(protobuf: bytes)
            let key = Circuits.Key(relay: helper.peer, number: response.circuit)
            transport.reach(peer, at: circuits.add(key, now: environment.now()))
            return true
        } catch {
            logger.debug("not relayed", [("peer", peer.description), ("why", "\(error)")])
            searches[peer]?.relayFailed(now: environment.now())
            settle(peer)
            arm()
            return false
        }
    }

    /// Another peer reaches this one through a relay at which it has a reservation.
    func answerIncoming(_ bytes: [UInt8], from remote: PeerContact) throws -> [UInt8] {
        let request = try overlayDecode(CircuitRequest.self, bytes)
        let now = environment.now()
        guard let reservation = reserved[remote.peer], reservation.expires > now else {
            throw refusal(.noReservation)
        }
        _ = circuits.add(Circuits.Key(relay: remote.peer, number: request.circuit), now: now)
        return []
    }

    /// A packet of a connection over a circuit goes to its relay.
    func carry(_ packet: [UInt8], to address: SocketAddress) {
        guard let key = circuits.circuit(at: address, now: environment.now()) else { return }
        transport.sendDatagram(to: key.relay, CircuitFrame.encode(key.number, packet))
    }

    /// A datagram came: of a circuit that ends here, or one that this peer carries.
    func arrived(_ bytes: [UInt8], from sender: PeerID) {
        guard let number = CircuitFrame.circuit(of: bytes) else { return }
        let now = environment.now()
        let key = Circuits.Key(relay: sender, number: number)
        if let address = circuits.address(of: key, now: now) {
            transport.receive(Array(bytes[CircuitFrame.headerSize...]), from: address)
        } else if relay.carries {
            let next = relay.forward(bytes, from: sender, now: now)
            counters.carried(bytes.count, isLost: next == nil)
            if let next { transport.sendDatagram(to: next, bytes) }
        }
    }

    // MARK: In the middle

    func answerReserve(from remote: PeerContact) throws -> [UInt8] {
        try admit(remote.peer)
        do throws(RelayRefusal) {
            try relay.reserve(remote.peer, now: environment.now())
        } catch {
            throw refusal(error)
        }
        counters.follow(relay)
        let lifetime = relay.limits.reservationLifetime.nanoseconds / 1_000_000_000
        var response = ReservationResponse(seconds: UInt32(clamping: lifetime))
        if !remote.address.isVirtual { response.address = AddressRecord(remote.address) }
        return response.protobufBytes()
    }

    func answerCircuit(_ bytes: [UInt8], from remote: PeerContact) async throws -> [UInt8] {
        let request = try overlayDecode(CircuitRequest.self, bytes)
        guard let target = PeerID(bytes: request.peer), target != localPeer else {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "circuit")
        }
        try admit(remote.peer)
        let number: UInt32
        do throws(RelayRefusal) {
            number = try relay.open(from: remote.peer, to: target, now: environment.now())
        } catch {
            throw refusal(error)
        }
        counters.follow(relay)
        let announcement = CircuitRequest(peer: remote.peer.bytes, circuit: number)
        do throws(RPCError) {
            _ = try await transport.call(
                target, .reachIncoming, announcement.protobufBytes(),
                timeout: options.callTimeout * 3 / 4)
        } catch {
            relay.close(number)
            counters.follow(relay)
            throw refusal(.noReservation)
        }
        return CircuitResponse(circuit: number).protobufBytes()
    }
}
