internal import CyxCore
internal import CyxObjects
package import CyxTransport

/// A peer's messaging as its shard holder sees it: while `isLying` says so, every other reader of a
/// shard gets other bytes than are stored, with the proof of the right ones.
package final class LyingMessaging: ForwardingMessaging {
    package let messaging: any PeerMessaging
    private let isLying: @Sendable () -> Bool

    package init(_ messaging: any PeerMessaging, isLying: @escaping @Sendable () -> Bool) {
        self.messaging = messaging
        self.isLying = isLying
    }

    package func handle(
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
}
