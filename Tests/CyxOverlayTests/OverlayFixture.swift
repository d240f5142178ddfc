import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Synchronization

/// Overlays of simulated peers that talk directly or over the real transport; peer 1 is everyone's
/// bootstrap.
final class OverlayFixture: Sendable {
    let world: SimulatedWorld
    let timings: MembershipTimings
    private let defences: MembershipDefences
    private let view: ViewLimits
    private let usesTransport: Bool
    private let current = Mutex<[Int: Overlay]>([:])
    private let first = Mutex<SimulatedPeer?>(nil)

    init(
        seed: UInt64, timings: MembershipTimings, options: WorldOptions = WorldOptions(),
        defences: MembershipDefences = .all, view: ViewLimits = ViewLimits(),
        usesTransport: Bool = false
    ) {
        self.view = view
        self.defences = defences
        self.usesTransport = usesTransport
        world = SimulatedWorld(seed: seed, options: options)
        self.timings = timings
    }

    /// Deriving a key takes 30 µs, too long for a predicate over all pairs of peers.
    private static let keys = (0..<100).map {
        SigningKey(seed: [UInt8](repeating: UInt8($0), count: 31) + [7])
    }
    private static let ids = keys.map(\.verifyingKey.peerID)

    static func key(_ peer: SimulatedPeer) -> SigningKey { keys[peer.index] }
    static func id(_ peer: SimulatedPeer) -> PeerID { ids[peer.index] }

    /// Runs until `predicate` holds, asking every 20 virtual milliseconds.
    func settle(_ limit: Duration, _ predicate: () -> Bool) -> Bool {
        let deadline = world.now + limit
        while world.now < deadline {
            if predicate() { return true }
            world.run(for: .milliseconds(20))
        }
        return predicate()
    }

    func start(_ count: Int) -> [SimulatedPeer] {
        (0..<count).map { number in
            let peer = world.addPeer()
            let bootstrap = first.withLock { first in
                if first == nil { first = peer }
                return first?.address
            }
            peer.start { [self] peer in
                let zone = "zone\(number % 3)"
                guard usesTransport else {
                    let messaging = DirectMessaging(world: world, peer: peer, id: Self.id(peer))
                    return try await make(peer, messaging, bootstrap: bootstrap, zone: zone).run()
                }
                let messaging = try UDPMessaging(
                    TransportConfiguration(
                        networkKey: [UInt8](repeating: 7, count: 32), networkID: NetworkID(.zero),
                        identity: Self.key(peer), timings: .devnet),
                    environment: peer.environment, address: peer.address)
                let overlay = make(peer, messaging, bootstrap: bootstrap, zone: zone)
                messaging.start()
                try await withThrowingDiscardingTaskGroup { group in
                    group.addTask { await messaging.run() }
                    group.addTask { try await overlay.run() }
                }
            }
            return peer
        }
    }

    private func make(
        _ peer: SimulatedPeer, _ messaging: any PeerMessaging, bootstrap: SocketAddress?,
        zone: String
    ) -> Overlay {
        let key = Self.key(peer)
        let id = Self.id(peer)
        let info = MemberInfo(
            contact: PeerContact(peer: id, address: peer.address), roles: .storage, zone: zone,
            store: nil, allocatedBytes: 1 << 30, freeBytes: 1 << 30)
        var options = OverlayOptions()
        options.timings = timings
        options.defences = defences
        options.view = view
        options.bootstrap = bootstrap.map { [$0] } ?? []
        let overlay = Overlay(
            environment: peer.environment, messaging: messaging, identity: key, info: info,
            options: options)
        current.withLock { $0[peer.index] = overlay }
        return overlay
    }

    func overlay(_ peer: SimulatedPeer) -> Overlay? { current.withLock { $0[peer.index] } }

    /// Whether all of `viewers` see all of `subjects` in `state`.
    func all(
        _ viewers: [SimulatedPeer], see subjects: [SimulatedPeer], as state: MemberState
    ) -> Bool {
        viewers.allSatisfy { viewer in
            guard let members = overlay(viewer)?.snapshot.members else { return false }
            return subjects.allSatisfy { members[Self.id($0)]?.state == state }
        }
    }

    /// Changes to `state` that any peer has counted.
    func changes(to state: MemberState) -> UInt64 {
        world.peers.reduce(0) { sum, peer in
            sum
                + peer.metrics.counter("cyxcloud_membership_changes_total", [("to", "\(state)")])
                .value
        }
    }
}
