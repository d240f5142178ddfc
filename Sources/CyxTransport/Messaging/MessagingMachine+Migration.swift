internal import CyxCore

/// Connections that change to another address of their peer.
extension MessagingMachine {
    /// Tries to reach `peer` at `address` over the connection that calls take, which goes on
    /// meanwhile: a `moved` or `migrationFailed` output follows. False if there is no connection,
    /// or if it is there already.
    mutating func migrate(
        _ peer: PeerID, to address: SocketAddress, wall: WallTime, now: Int64
    ) -> Bool {
        guard let state = peers[peer], let handle = usableConnection(state),
            let isTried = endpoint[handle]?.migrate(to: address, now: now)
        else { return false }
        finishTurn(wall: wall, now: now)
        return isTried
    }

    /// A connection's peer has shown that it is at another address.
    mutating func moved(_ handle: ConnectionHandle, to address: SocketAddress) {
        endpoint.statistics.pathsChanged += 1
        let before = links[handle]?.address
        links[handle]?.address = address
        guard let peer = links[handle]?.peer else { return }
        if findsPaths, let before {
            outputs.append(.path(.moved(peer, from: before, to: address)))
        }
        // Over a relay it may be anywhere. Of several connections, the preferred one says where the peer is.
        guard !address.isVirtual, peers[peer]?.connections.first == handle else { return }
        peers[peer]?.address = address
        outputs.append(.moved(PeerContact(peer: peer, address: address)))
    }
}
