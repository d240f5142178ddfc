internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport
package import SimulationHarness
internal import Synchronization

/// The four classical kinds of NAT (RFC 3489 §5).
package enum NATKind: String, CaseIterable, Sendable {
    case fullCone = "full cone"
    case restrictedCone = "restricted cone"
    case portRestrictedCone = "port-restricted cone"
    case symmetric

    package var behaviour: NATBehaviour {
        switch self {
        case .fullCone: .fullCone
        case .restrictedCone: .restrictedCone
        case .portRestrictedCone: .portRestrictedCone
        case .symmetric: .symmetric
        }
    }

    /// Whether NATs of these kinds can be opened for each other: not if one side has a port of its
    /// own for each destination, which the other does not know, and the other lets in that port
    /// alone (RFC 5128 §3.3.5).
    package func opens(to other: NATKind) -> Bool {
        switch (self, other) {
        case (.symmetric, .symmetric), (.symmetric, .portRestrictedCone),
            (.portRestrictedCone, .symmetric):
            false
        default: true
        }
    }
}

/// How a run with one peer behind a NAT of each kind differs from the usual one.
package struct NATRunOptions: Sendable {
    package var loss = 0.0
    /// How long the NATs keep mappings that are not used.
    package var mappingTimeout = Duration.seconds(30)
    /// How long the two peers are idle before one calls the other.
    package var idle = Duration.seconds(5)
    /// Between renewals of reservations, and questions where others see a peer; nil: as usual.
    package var renewInterval: Duration?
    /// Whether the public peers have the relay role.
    package var hasRelays = true
    /// Whether the direct path dies in the midst of a last call.
    package var directDies = false
    package init() {}
}

/// What became of one peer's calls to another, both behind NATs.
package struct NATOutcome: Sendable, Equatable {
    /// Milliseconds from the first call to its answer; nil if it failed.
    package var firstAnswer: Int?
    /// Milliseconds from the first call to a direct connection; nil if there was none.
    package var direct: Int?
    /// Bytes that relays carried in all, and while 256 KiB were called after that.
    package var relayedBytes = 0
    package var relayedBulkBytes = 0
    package var bulkAnswered = false
    /// Milliseconds that 256 KiB took during which the direct path died; nil if the call failed or
    /// was not made.
    package var rescued: Int?
    /// Of all that happened.
    package var trace: TraceHash
}

/// Two peers behind NATs and three public ones, with their real transports and reachability, under
/// virtual time. Links take 20 to 25 ms one way.
package enum NATPairing {
    private static let echo = RPCMethod(rawValue: 0x7F01)
    private static let publicPeers = 3
    /// When reservations have been made, after the start.
    private static let settling = Duration.seconds(8)
    private static let watched = Duration.seconds(20)
    /// After the start of a call over the path that dies: one round trip and a half.
    private static let death = Duration.milliseconds(60)

    package static func run(
        caller: NATKind, target: NATKind, seed: UInt64, options: NATRunOptions = NATRunOptions()
    ) -> NATOutcome {
        var world = WorldOptions()
        world.firstByte = 45
        world.links.latency = .milliseconds(20)
        world.links.jitter = .milliseconds(5)
        world.links.loss = options.loss
        let run = Run(seed: seed, world: world, options: options, kinds: (caller, target))
        return run.measure()
    }

    private final class Run {
        private let world: SimulatedWorld
        private let options: NATRunOptions
        private let directory = SharedDirectory()
        private var peers: [SimulatedPeer] = []
        private var transports: [UDPMessaging] = []
        private let kinds: (NATKind, NATKind)

        init(seed: UInt64, world: WorldOptions, options: NATRunOptions, kinds: (NATKind, NATKind)) {
            self.world = SimulatedWorld(seed: seed, options: world)
            self.options = options
            self.kinds = kinds
        }

        private func add(_ peer: SimulatedPeer, roles: PeerRoles) {
            let identity = SigningKey(seed: [UInt8](repeating: UInt8(peers.count + 1), count: 32))
            let transport: UDPMessaging
            do {
                transport = try UDPMessaging(
                    TransportConfiguration(
                        networkKey: [UInt8](repeating: 7, count: 32), networkID: NetworkID(.zero),
                        identity: identity),
                    environment: peer.environment, address: peer.address)
            } catch {
                preconditionFailure("a simulated port is free: \(error)")
            }
            let id = identity.verifyingKey.peerID
            let info = MemberInfo(
                contact: PeerContact(
                    peer: id, address: AddressRule.global.published(peer.address)),
                roles: roles, zone: "a", store: nil, allocatedBytes: 0, freeBytes: 0)
            let view = DirectoryView(directory, info: info, transport: transport)
            var reach = ReachabilityOptions()
            reach.addresses = .global
            reach.trustsPeers = false
            if roles.contains(.relay) { reach.relay = RelayLimits() }
            if let interval = options.renewInterval {
                reach.renewInterval = interval
                reach.observationInterval = interval
            }
            let reachability = Reachability(
                environment: peer.environment, transport: transport, directory: view,
                local: peer.address, options: reach)
            transport.handle(NATPairing.echo) { _, request in request }
            peers.append(peer)
            transports.append(transport)
            peer.start { _ in
                transport.start()
                try await withThrowingDiscardingTaskGroup { group in
                    group.addTask { await transport.run() }
                    group.addTask { try await reachability.run() }
                }
            }
        }

        /// Calls the target and returns after how many milliseconds it answered.
        private func call(_ bytes: Int, patience: Duration) -> Int? {
            let (transport, target) = (transports[0], transports[1].localPeer)
            let start = world.now
            do {
                _ = try world.perform(on: peers[0]) {
                    try await transport.call(
                        target, NATPairing.echo, [UInt8](repeating: 5, count: bytes),
                        timeout: patience)
                }
            } catch {
                return nil
            }
            return Int((world.now - start).nanoseconds / 1_000_000)
        }

        private var relayedBytes: Int {
            peers.reduce(0) { sum, peer in
                sum + Int(peer.metrics.counter("cyxcloud_relay_carried_bytes_total").value)
            }
        }

        /// Whether the caller has found the target directly.
        private var isDirect: Bool {
            peers[0].metrics.counter("cyxcloud_path_searches_total", [("found", "direct")]).value
                > 0
        }

        func measure() -> NATOutcome {
            for (number, kind) in [kinds.0, kinds.1].enumerated() {
                var behaviour = kind.behaviour
                behaviour.timeout = options.mappingTimeout
                let box = world.addNAT(behaviour, number: number + 1)
                add(world.addPeer(number == 0 ? "caller" : "target", behind: box), roles: .storage)
            }
            for number in 1...NATPairing.publicPeers {
                let roles: PeerRoles = options.hasRelays ? [.storage, .relay] : .storage
                add(world.addPeer("public\(number)"), roles: roles)
            }
            world.run(for: NATPairing.settling + options.idle)
            let start = world.now
            var outcome = NATOutcome(trace: world.trace)
            outcome.firstAnswer = call(100, patience: .seconds(8))
            // Some data now and then, as peers have it for each other.
            while world.now - start < NATPairing.watched {
                if outcome.direct == nil, isDirect {
                    outcome.direct = Int((world.now - start).nanoseconds / 1_000_000)
                }
                _ = call(100, patience: .seconds(8))
                world.run(limit: .milliseconds(250)) { isDirect && outcome.direct == nil }
            }
            outcome.relayedBytes = relayedBytes
            outcome.bulkAnswered = call(256 << 10, patience: .seconds(30)) != nil
            outcome.relayedBulkBytes = relayedBytes - outcome.relayedBytes
            if options.directDies {
                let (links, ends) = (world.links, (peers[0], peers[1]))
                world.at(world.now + NATPairing.death) {
                    links.block(from: ends.0, to: ends.1)
                    links.block(from: ends.1, to: ends.0)
                }
                outcome.rescued = call(256 << 10, patience: .seconds(30))
            }
            outcome.trace = world.trace
            world.end(grace: .seconds(1))
            return outcome
        }
    }
}

/// What everybody says of itself, in place of membership, whose own traffic would make paths
/// before anyone asks for them.
private final class SharedDirectory: Sendable {
    private let infos = Mutex<[PeerID: MemberInfo]>([:])

    func set(_ info: MemberInfo) { infos.withLock { $0[info.peer] = info } }
    func info(of peer: PeerID) -> MemberInfo? { infos.withLock { $0[peer] } }
    var all: [PeerID: MemberInfo] { infos.withLock { $0 } }
}

private final class DirectoryView: PeerDirectory {
    private let shared: SharedDirectory
    private let localPeer: PeerID
    private let transport: UDPMessaging

    init(_ shared: SharedDirectory, info: MemberInfo, transport: UDPMessaging) {
        self.shared = shared
        self.transport = transport
        localPeer = info.peer
        shared.set(info)
    }

    var snapshot: MembershipSnapshot {
        let members = shared.all.mapValues {
            Member(info: $0, state: .alive, since: Instant(nanoseconds: 0))
        }
        for info in shared.all.values where AddressRule.global.allows(info.contact.address) {
            if info.relays.isEmpty { transport.learn(info.contact) }
        }
        return MembershipSnapshot(localPeer: localPeer, members: members)
    }

    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {}

    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {
        guard var info = shared.info(of: localPeer) else { return }
        change(&info)
        shared.set(info)
    }

    func info(of peer: PeerID) async -> MemberInfo? { shared.info(of: peer) }
}
