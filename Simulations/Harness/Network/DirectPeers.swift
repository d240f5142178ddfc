package import CyxCore
internal import CyxTransport
internal import Synchronization

/// The messagings of the peers of a world that skips the transport, so that everyone who runs learns
/// the address of a peer that starts.
package final class DirectPeers: Sendable {
    private let messagings = Mutex<[PeerID: DirectMessaging]>([:])

    package init() {}

    /// Makes a peer known to those who run.
    package func introduce(_ peer: PeerID, at machine: SimulatedPeer) {
        let contact = PeerContact(peer: peer, address: machine.address)
        // In one order in every process.
        let all = messagings.withLock { $0.sorted { $0.key < $1.key }.map(\.value) }
        for messaging in all { messaging.learn(contact) }
    }

    package func join(_ messaging: DirectMessaging) {
        messagings.withLock { $0[messaging.localPeer] = messaging }
    }
}
