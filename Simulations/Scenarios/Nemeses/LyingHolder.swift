import CyxCore
import CyxObjects
import CyxTransport
import SimulationHarness
import Synchronization

/// Which peers lie to readers of their shards.
final class LiarList: Sendable {
    private let liars = Mutex<Set<Int>>([])

    func contains(_ peer: SimulatedPeer) -> Bool { liars.withLock { $0.contains(peer.index) } }
    func set(_ peer: SimulatedPeer, lies: Bool) {
        liars.withLock { liars in
            if lies { liars.insert(peer.index) } else { liars.remove(peer.index) }
        }
    }
}

/// A peer's messaging as its shard holder sees it: while the peer is a liar, every other reader of
/// a shard gets other bytes than are stored, with the proof of the right ones.
final class LyingHolder: PeerMessaging {
    private let messaging: any PeerMessaging
    private let peer: SimulatedPeer
    private let liars: LiarList

    init(_ messaging: any PeerMessaging, peer: SimulatedPeer, liars: LiarList) {
        self.messaging = messaging
        self.peer = peer
        self.liars = liars
    }

    var localPeer: PeerID { messaging.localPeer }

    func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8]
    ) {
        guard method == .readShard else { return messaging.handle(method, with: handler) }
        let (peer, liars) = (peer, liars)
        messaging.handle(method) { remote, request in
            let answer = try await handler(remote, request)
            guard liars.contains(peer) else { return answer }
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

/// A holder lies to whoever reads shards from it, for a while.
struct LyingHolderNemesis: Nemesis {
    private var liar: (peer: SimulatedPeer, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard liar == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("lying holder")
        stage.cluster.liars.set(peer, lies: true)
        stage.setCutOff(1, by: "lies")
        liar = (peer, stage.now + stage.random(.seconds(10), .seconds(60)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let liar, liar.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let liar else { return }
        stage.cluster.liars.set(liar.peer, lies: false)
        stage.setCutOff(0, by: "lies")
        self.liar = nil
    }
}
