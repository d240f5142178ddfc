import CyxCore
import CyxObjects
import CyxTransport

/// A peer's messaging as its shard holder sees it: while `isLying` says so, readers of a shard get
/// other bytes than are stored, with the proof of the right ones.
final class LyingMessaging: PeerMessaging {
    private let messaging: any PeerMessaging
    private let isLying: @Sendable () -> Bool

    init(_ messaging: any PeerMessaging, isLying: @escaping @Sendable () -> Bool) {
        self.messaging = messaging
        self.isLying = isLying
    }

    var localPeer: PeerID { messaging.localPeer }

    func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8]
    ) {
        guard method == .readShard else { return messaging.handle(method, with: handler) }
        let isLying = isLying
        messaging.handle(method) { remote, request in
            let answer = try await handler(remote, request)
            guard isLying() else { return answer }
            var response = try ReadShardResponse(protobuf: answer)
            for index in response.data.indices { response.data[index] ^= 0x55 }
            return response.protobufBytes()
        }
    }

    func learn(_ contact: PeerContact) { messaging.learn(contact) }

    func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact {
        try await messaging.identify(address, timeout: timeout)
    }

    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await messaging.call(peer, method, request, timeout: timeout)
    }
}
