internal import CyxCore

/// Unreliable datagrams between peers.
extension MessagingMachine {
    /// Datagrams held for one peer while a connection to it is opened; the oldest goes first.
    static let heldDatagramsMax = 32

    /// Sends a datagram that may be lost. Without a connection one is opened, if an address is
    /// known; what cannot be sent is dropped and counted.
    mutating func sendDatagram(
        to peer: PeerID, _ bytes: [UInt8], wall: WallTime, now: Int64
    ) {
        guard !isShutDown, bytes.count <= PeerDatagramLimits.bytesMax, let state = peers[peer]
        else {
            datagramsDropped += 1
            return
        }
        if let handle = usableConnection(state) {
            datagramsDropped += UInt64(endpoint[handle]?.queueDatagram(bytes, now: now) ?? 1)
            return
        }
        if state.datagrams.count >= MessagingMachine.heldDatagramsMax {
            peers[peer]?.datagrams.removeFirst()
            datagramsDropped += 1
        }
        peers[peer]?.datagrams.append(bytes)
        dispatch(peer, wall: wall, now: now)
        finishTurn(wall: wall, now: now)
    }

    mutating func sendHeldDatagrams(
        to peer: PeerID, on handle: ConnectionHandle, now: Int64
    ) {
        let held = peers[peer]?.datagrams ?? []
        guard !held.isEmpty else { return }
        peers[peer]?.datagrams = []
        for bytes in held {
            datagramsDropped += UInt64(endpoint[handle]?.queueDatagram(bytes, now: now) ?? 1)
        }
    }

    mutating func arrived(_ bytes: [UInt8], on handle: ConnectionHandle) {
        guard let link = links[handle], let peer = link.peer else { return }
        outputs.append(.datagram(PeerContact(peer: peer, address: link.address), bytes))
    }

    /// The most bytes that a datagram to `peer` may have now; nil without a connection.
    mutating func datagramBytesMax(to peer: PeerID) -> Int? {
        guard let state = peers[peer], let handle = usableConnection(state) else { return nil }
        return endpoint[handle]?.datagramBytesMax
    }
}
