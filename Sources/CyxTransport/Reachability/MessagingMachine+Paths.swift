internal import CyxCore

/// Peers that cannot just be dialed, and connections over relays beside direct ones.
extension MessagingMachine {
    /// Asks the finder for a way to `peer`, whose calls wait meanwhile.
    mutating func search(_ peer: PeerID) {
        peers[peer]?.isSearching = true
        outputs.append(.path(.wanted(peer)))
    }

    func isAwaited(_ peer: PeerID) -> Bool {
        peers[peer].map { !$0.waiting.isEmpty || !$0.datagrams.isEmpty } ?? false
    }

    mutating func hide(_ peer: PeerID, _ isHidden: Bool) {
        guard peers[peer] != nil || peers.count < MessagingMachine.addressesMax else { return }
        peers[peer, default: PeerState()].isHidden = isHidden
    }

    /// Uses a way that the finder has found, for the connection that there is or a new one.
    mutating func reach(_ peer: PeerID, at address: SocketAddress, wall: WallTime, now: Int64) {
        guard let state = peers[peer], let handle = usableConnection(state) else {
            return dial(peer, at: address, wall: wall, now: now)
        }
        let standing = endpoint.pathStanding(handle)
        // A relay is no improvement on what works.
        if address.isVirtual, standing == .direct { return }
        if endpoint[handle]?.migrate(to: address, now: now) == true {
            finishTurn(wall: wall, now: now)
        } else if standing != .direct {
            // The peer has not given out the connection IDs that a move takes.
            dial(peer, at: address, wall: wall, now: now)
        }
    }

    /// The path in use does not answer: the finder may know another.
    mutating func doubted(_ handle: ConnectionHandle) {
        guard findsPaths, let link = links[handle], let peer = link.peer,
            peers[peer]?.connections.first == handle
        else { return }
        outputs.append(.path(.doubted(peer, link.address)))
    }

    /// Opens a connection that the finder has found a way for.
    mutating func dial(_ peer: PeerID, at address: SocketAddress, wall: WallTime, now: Int64) {
        guard !isShutDown,
            let handle = endpoint.dial(address, expecting: peer, wall: wall, now: now)
        else { return }
        links[handle] = Link(peer: peer, address: address, isInitiator: true)
        finishTurn(wall: wall, now: now)
    }

    /// The finder knows no way: calls that wait fail, unless a connection is there after all.
    mutating func giveUp(_ peer: PeerID, wall: WallTime, now: Int64) {
        guard peers[peer]?.isSearching == true else { return }
        peers[peer]?.isSearching = false
        if peers[peer]?.connections.isEmpty == true {
            failWaiting(peer, .unreachable)
            forgetIfUseless(peer)
        } else {
            dispatch(peer, wall: wall, now: now)
        }
    }

    /// Which of a peer's connections is used: direct ones before those over relays; then, as both
    /// sides may have dialed at once, those that the smaller peer ID opened.
    func rank(_ handle: ConnectionHandle, _ peer: PeerID) -> Int {
        let isRelayed = endpoint[handle]?.address.isVirtual == true
        return (isRelayed ? 2 : 0) + (isCanonical(handle, peer) ? 0 : 1)
    }

    mutating func drainOpeners() {
        guard !endpoint.openers.isEmpty else { return }
        for (source, opener) in endpoint.openers {
            outputs.append(.path(.opener(opener, from: source)))
        }
        endpoint.openers.removeAll(keepingCapacity: true)
    }
}
