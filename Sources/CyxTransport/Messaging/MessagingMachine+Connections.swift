internal import CyxCore

/// Which connection a call takes, and what becomes of calls when connections come and go.
extension MessagingMachine {
    /// Puts as many of a peer's waiting calls on streams as its connection takes; dials if there
    /// is none.
    mutating func dispatch(_ peer: PeerID, wall: WallTime, now: Int64) {
        guard let state = peers[peer], !state.waiting.isEmpty || !state.datagrams.isEmpty else {
            return
        }
        if let handle = usableConnection(state) {
            sendHeldDatagrams(to: peer, on: handle, now: now)
            return start(state.waiting, startedAhead: state.startedAhead, of: peer, on: handle, now)
        }
        guard state.dialing == nil, !state.isSearching else { return }
        if findsPaths, state.isHidden || state.address == nil { return search(peer) }
        guard let address = state.address,
            let handle = endpoint.dial(address, expecting: peer, wall: wall, now: now)
        else {
            failWaiting(peer, .unreachable)
            return forgetIfUseless(peer)
        }
        peers[peer]?.dialing = handle
        links[handle] = Link(peer: peer, address: address, isInitiator: true)
    }

    /// Starts the calls that `waiting` holds in order of urgency, as many as get a stream; now and
    /// then one of the least urgent, so that none of those waits for ever.
    private mutating func start(
        _ waiting: [CallID], startedAhead: Int, of peer: PeerID, on handle: ConnectionHandle,
        _ now: Int64
    ) {
        func level(_ id: CallID?) -> Int? { id.flatMap { calls[$0]?.header.urgency.level } }
        var waiting = waiting[...]
        var startedAhead = startedAhead
        while let first = waiting.first {
            let least = level(waiting.last)
            let isAhead = level(first) != least
            let isOverdue = isAhead && startedAhead >= SendQueue.guaranteedShare
            let index =
                isOverdue
                ? waiting.firstIndex { level($0) == least } ?? waiting.startIndex
                : waiting.startIndex
            let id = waiting[index]
            guard var call = calls[id],
                let stream = endpoint[handle]?.open(
                    header: call.header.word, body: call.body, now: now)
            else { break }
            call.stream = RequestID(connection: handle, stream: stream)
            call.body = []
            calls[id] = call
            links[handle]?.outgoing[stream] = id
            if isOverdue { waiting.remove(at: index) } else { waiting = waiting.dropFirst() }
            startedAhead = isAhead && !isOverdue ? startedAhead + 1 : 0
        }
        peers[peer]?.waiting = Array(waiting)
        peers[peer]?.startedAhead = startedAhead
    }

    mutating func usableConnection(_ state: PeerState) -> ConnectionHandle? {
        for handle in state.connections where endpoint.isEstablished(handle) { return handle }
        return nil
    }

    /// Opens a stream for a call where nothing has to be waited for, as is the rule.
    mutating func openAtOnce(
        _ peer: PeerID, _ header: RPCHeader, _ body: [UInt8], now: Int64
    ) -> RequestID? {
        guard let state = peers[peer], state.waiting.isEmpty, state.datagrams.isEmpty,
            let handle = usableConnection(state),
            let stream = endpoint[handle]?.open(header: header.word, body: body, now: now)
        else { return nil }
        return RequestID(connection: handle, stream: stream)
    }

    mutating func failWaiting(_ peer: PeerID, _ error: RPCError) {
        let waiting = peers[peer]?.waiting ?? []
        peers[peer]?.waiting = []
        for id in waiting { complete(id, .failure(error)) }
        datagramsDropped += UInt64(peers[peer]?.datagrams.count ?? 0)
        peers[peer]?.datagrams = []
    }

    mutating func established(
        _ handle: ConnectionHandle, _ peer: PeerID, wall: WallTime, now: Int64
    ) {
        guard let (address, role) = endpoint.origin(handle) else { return }
        let isInitiator = role == .initiator
        var link = links[handle] ?? Link(address: address, isInitiator: isInitiator)
        link.peer = peer
        let identifies = link.identifies
        link.identifies = []
        links[handle] = link
        var state = peers[peer] ?? PeerState()
        if state.dialing == handle { state.dialing = nil }
        state.isSearching = false
        if !address.isVirtual { state.address = address }
        // When both sides dialled at once, both settle on the connection that the smaller peer ID
        // opened; among equals the newest, as its peer is surely alive. The other one idles out.
        let rank = rank(handle, peer)
        let index = state.connections.firstIndex { self.rank($0, peer) >= rank }
        state.connections.insert(handle, at: index ?? state.connections.count)
        peers[peer] = state
        if state.connections.count > MessagingMachine.connectionsPerPeerMax,
            let surplus = state.connections.last
        {
            endpoint.statistics.surplusConnections += 1
            endpoint[surplus]?.close(.local(.none), telling: TransportError.none.rawValue)
        }
        if findsPaths { outputs.append(.path(.opened(peer, address))) }
        for id in identifies where calls.removeValue(forKey: id) != nil {
            outputs.append(
                .identified(id, .success(PeerContact(peer: peer, address: address))))
        }
        dispatch(peer, wall: wall, now: now)
    }

    func isCanonical(_ handle: ConnectionHandle, _ peer: PeerID) -> Bool {
        (links[handle]?.isInitiator == true) == (endpoint.localPeer < peer)
    }

    mutating func closed(
        _ handle: ConnectionHandle, _ reason: CloseReason, wall: WallTime, now: Int64
    ) {
        guard let link = links.removeValue(forKey: handle) else { return }
        if reason == .statelessReset { endpoint.statistics.resetsReceived += 1 }
        outputs.append(.closed(link.peer, link.address, reason))
        for stream in link.outgoing.keys.sorted() {
            if let id = link.outgoing[stream] { complete(id, .failure(.connectionLost)) }
        }
        reservedBytes -= link.reserved.values.reduce(0, +)
        reservationQueue.removeAll { $0.connection == handle }
        for id in link.identifies where calls.removeValue(forKey: id) != nil {
            outputs.append(.identified(id, .failure(.unreachable)))
        }
        if let peer = link.peer {
            let wasDialing = peers[peer]?.dialing == handle
            if wasDialing { peers[peer]?.dialing = nil }
            let before = peers[peer]?.connections.count ?? 0
            peers[peer]?.connections.removeAll { $0 == handle }
            if findsPaths, peers[peer]?.connections.count ?? 0 < before {
                outputs.append(.path(.closed(peer, link.address)))
            }
            if wasDialing, peers[peer]?.connections.isEmpty == true,
                peers[peer]?.address == link.address
            {
                if findsPaths, isAwaited(peer) {
                    search(peer)
                } else {
                    failWaiting(peer, .unreachable)
                }
            } else {
                // Not sent yet, or learned of another address meanwhile: try again.
                dispatch(peer, wall: wall, now: now)
            }
        }
        if let peer = link.peer { forgetIfUseless(peer) }
        grantReservations(now: now)
    }

    /// Keeps the table of peers bounded: addresses are remembered only up to a limit.
    mutating func forgetIfUseless(_ peer: PeerID) {
        guard let state = peers[peer], state.connections.isEmpty, state.dialing == nil,
            state.waiting.isEmpty, state.datagrams.isEmpty
        else { return }
        if state.address == nil || peers.count > MessagingMachine.addressesMax {
            peers[peer] = nil
        }
    }
}
