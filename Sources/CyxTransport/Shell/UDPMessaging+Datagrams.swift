package import CyxCore
internal import Synchronization

/// What `UDPMessaging` keeps for datagrams outside its isolation: they are sent and taken in
/// without an await each.
struct DatagramExchange: Sendable {
    /// Datagrams that wait for the transport's next turn; more are dropped.
    static let outgoingMax = 1024

    var outgoing: [(peer: PeerID, bytes: [UInt8])] = []
    var isScheduled = false
    var dropped: UInt64 = 0
    var handler: (@Sendable (_ remote: PeerContact, _ bytes: [UInt8]) -> Void)?
}

extension UDPMessaging: PeerDatagrams {
    package nonisolated func sendDatagram(to peer: PeerID, _ bytes: [UInt8]) {
        let isFirst = datagrams.withLock { state in
            guard state.outgoing.count < DatagramExchange.outgoingMax else {
                state.dropped += 1
                return false
            }
            state.outgoing.append((peer, bytes))
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard isFirst else { return }
        environment.executor.execute { [weak self] in
            self?.assumeIsolated { $0.sendDatagrams() }
        }
    }

    package nonisolated func handleDatagrams(
        with handler: @escaping @Sendable (_ remote: PeerContact, _ bytes: [UInt8]) -> Void
    ) {
        datagrams.withLock { $0.handler = handler }
    }

    package func datagramBytesMax(to peer: PeerID) async -> Int? {
        if peer == localPeer { return PeerDatagramLimits.bytesMax }
        return currentDatagramBytesMax(to: peer)
    }

    nonisolated func deliver(_ bytes: [UInt8], from remote: PeerContact) {
        counters.datagramsReceived.add()
        let handler = datagrams.withLock { $0.handler }
        handler?(remote, bytes)
    }

    nonisolated func takeOutgoingDatagrams() -> [(peer: PeerID, bytes: [UInt8])] {
        let (outgoing, dropped) = datagrams.withLock { state in
            defer {
                state.outgoing = []
                state.isScheduled = false
                state.dropped = 0
            }
            return (state.outgoing, state.dropped)
        }
        counters.datagramsSent.add(UInt64(outgoing.count))
        counters.datagramsDropped.add(dropped)
        return outgoing
    }
}
