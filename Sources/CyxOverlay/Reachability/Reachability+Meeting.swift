internal import CyxCore
internal import CyxTransport

/// Bringing two peers together: asked for, passed on, and answered.
extension Reachability {
    nonisolated func installHandlers() {
        transport.handle(.reachObserve) { [weak self] remote, _ in
            guard let self else { throw Self.closing }
            return try await self.answerObserve(from: remote)
        }
        transport.handle(.reachMeet) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerMeet(request, from: remote)
        }
        transport.handle(.reachVisit) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerVisit(request, from: remote)
        }
        transport.handle(.reachReserve) { [weak self] remote, _ in
            guard let self else { throw Self.closing }
            return try await self.answerReserve(from: remote)
        }
        transport.handle(.reachCircuit) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerCircuit(request, from: remote)
        }
        transport.handle(.reachIncoming) { [weak self] remote, request in
            guard let self else { throw Self.closing }
            return try await self.answerIncoming(request, from: remote)
        }
    }

    private static var closing: RPCFailure { RPCFailure(code: 0, message: "closing") }

    // MARK: Asking

    /// Asks `helper` to bring this peer and `peer` together, and begins to open NATs.
    func meet(_ peer: PeerID, through helper: PeerContact) async {
        let now = environment.now()
        guard punches.count < ReachabilityLimits.punches else {
            return meetingFailed(peer, nil)
        }
        let token = Opener.Token(random: environment.random)
        punches[token] = Punch(peer: peer, machine: HolePunch(dials: true, now: now))
        arm()
        let mapping = observed.mapping(now: now)
        let request = MeetRequest(
            peer: peer.bytes, token: token.bytes,
            candidates: observed.candidates(now: now).map { AddressRecord($0) },
            mapping: mapping.rawValue)
        transport.learn(helper)
        do {
            let bytes = try await transport.call(
                helper.peer, .reachMeet, request.protobufBytes(), timeout: options.callTimeout)
            let response = try MeetResponse(protobuf: bytes)
            guard let theirs = Opener.Token(bytes: response.token) else {
                throw RPCFailure(code: OverlayRefusal.malformed, message: "token")
            }
            let theirMapping = AddressMapping(rawValue: response.mapping) ?? .unknown
            if mapping == .addressDependent, theirMapping == .addressDependent {
                // Neither knows which port the other will use; there are 65,536 of each.
                punches[token]?.machine.fail()
            } else {
                punches[token]?.theirs = theirs
                punches[token]?.machine.begin(
                    usable(response.candidates), now: environment.now())
            }
            settle(token)
            arm()
        } catch {
            logger.debug(
                "not brought together", [("peer", peer.description), ("why", "\(error)")])
            meetingFailed(peer, token)
        }
    }

    private func meetingFailed(_ peer: PeerID, _ token: Opener.Token?) {
        if let token { punches[token] = nil }
        searches[peer]?.meetingFailed(now: environment.now())
        settle(peer)
        arm()
    }

    /// Addresses of the other side that may be sent to; what is private is nobody's business.
    private func usable(_ records: [AddressRecord]) -> [SocketAddress] {
        records.prefix(HolePunch.candidatesMax).compactMap { SocketAddress($0) }
            .filter { options.addresses.allows($0) }
    }

    // MARK: Passing on

    /// Somebody wants to meet a peer that has a reservation here.
    private func answerMeet(_ bytes: [UInt8], from remote: PeerContact) async throws -> [UInt8] {
        var request = try overlayDecode(MeetRequest.self, bytes)
        guard let target = PeerID(bytes: request.peer), target != localPeer,
            request.candidates.count <= HolePunch.candidatesMax
        else { throw RPCFailure(code: OverlayRefusal.malformed, message: "meeting") }
        try admit(remote.peer)
        guard relay.hasReservation(target, now: environment.now()) else {
            throw refusal(.noReservation)
        }
        request.peer = remote.peer.bytes
        if options.addresses.allows(remote.address) {
            let seen = AddressRecord(remote.address)
            let others = request.candidates.filter { $0 != seen }
            request.candidates = Array(([seen] + others).prefix(HolePunch.candidatesMax))
        }
        do throws(RPCError) {
            return try await transport.call(
                target, .reachVisit, request.protobufBytes(), timeout: options.callTimeout * 3 / 4)
        } catch {
            throw refusal(.noReservation)
        }
    }

    func admit(_ peer: PeerID) throws(RPCFailure) {
        guard requests.allows(peer, now: environment.now()) else { throw refusal(.tooFast) }
    }

    func refusal(_ reason: RelayRefusal) -> RPCFailure {
        counters.refuse(reason)
        return RPCFailure(code: reason.rawValue, message: reason.description)
    }

    // MARK: Answering

    /// Another peer wants to meet this one: says where it is, and sends openers from now on. Only
    /// those whom this peer has asked to bring it together with others may do so.
    private func answerVisit(_ bytes: [UInt8], from remote: PeerContact) throws -> [UInt8] {
        let request = try overlayDecode(MeetRequest.self, bytes)
        guard let peer = PeerID(bytes: request.peer), peer != localPeer,
            let theirs = Opener.Token(bytes: request.token)
        else { throw RPCFailure(code: OverlayRefusal.malformed, message: "visit") }
        let now = environment.now()
        guard let reservation = reserved[remote.peer], reservation.expires > now else {
            throw refusal(.noReservation)
        }
        guard punches.count < ReachabilityLimits.punches else { throw refusal(.full) }
        try admit(peer)
        let token = Opener.Token(random: environment.random)
        let mapping = observed.mapping(now: now)
        let theirMapping = AddressMapping(rawValue: request.mapping) ?? .unknown
        if mapping != .addressDependent || theirMapping != .addressDependent {
            var machine = HolePunch(dials: false, now: now)
            machine.begin(usable(request.candidates), now: now)
            punches[token] = Punch(peer: peer, machine: machine, theirs: theirs)
            settle(token)
            arm()
        }
        return MeetResponse(
            token: token.bytes, candidates: observed.candidates(now: now).map { AddressRecord($0) },
            mapping: mapping.rawValue
        ).protobufBytes()
    }

    func overlayDecode<Message: ProtobufMessage>(
        _ type: Message.Type, _ bytes: [UInt8]
    ) throws(RPCFailure) -> Message {
        do {
            return try Message(protobuf: bytes)
        } catch {
            throw RPCFailure(code: OverlayRefusal.malformed, message: "\(error)")
        }
    }
}

extension AddressRecord {
    init(_ address: SocketAddress) {
        self.init(
            ipHigh: UInt64(truncatingIfNeeded: address.ip >> 64),
            ipLow: UInt64(truncatingIfNeeded: address.ip), port: UInt32(address.port))
    }
}

extension SocketAddress {
    init?(_ record: AddressRecord) {
        guard let port = UInt16(exactly: record.port), port > 0 else { return nil }
        self.init(ip: UInt128(record.ipHigh) << 64 | UInt128(record.ipLow), port: port)
    }
}
