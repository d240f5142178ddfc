package import CyxCore
package import CyxTransport

/// Messaging that stands before another and passes on what its own type does not see to.
package protocol ForwardingMessaging: PeerMessaging {
    var messaging: any PeerMessaging { get }
}

extension ForwardingMessaging {
    package var localPeer: PeerID { messaging.localPeer }

    package func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8]
    ) {
        messaging.handle(method, with: handler)
    }

    package func learn(_ contact: PeerContact) { messaging.learn(contact) }

    package func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact {
        try await messaging.identify(address, timeout: timeout)
    }

    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await messaging.call(peer, method, request, timeout: timeout)
    }
}
