import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

private func key(_ number: UInt8) -> SigningKey {
    SigningKey(seed: [UInt8](repeating: number, count: 32))
}

/// Messaging that only remembers what it is told.
private final class DeafMessaging: PeerMessaging {
    typealias Handler = @Sendable (PeerContact, [UInt8]) async throws -> [UInt8]

    let localPeer: PeerID
    private let handlers = Mutex<[RPCMethod: Handler]>([:])
    private let learned = Mutex<[PeerContact]>([])

    init(localPeer: PeerID) { self.localPeer = localPeer }

    var contacts: [PeerContact] { learned.withLock { $0 } }
    func handler(_ method: RPCMethod) -> Handler? { handlers.withLock { $0[method] } }

    func handle(_ method: RPCMethod, with handler: @escaping Handler) {
        handlers.withLock { $0[method] = handler }
    }

    func learn(_ contact: PeerContact) { learned.withLock { $0.append(contact) } }

    func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact { throw .unreachable }

    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] { throw .unreachable }
}

@Suite struct PrivateAddressTests {
    private func info(_ number: UInt8, _ address: String) throws -> MemberInfo {
        MemberInfo(
            contact: PeerContact(
                peer: key(number).verifyingKey.peerID, address: try SocketAddress(parsing: address)),
            roles: .storage, zone: "a", store: nil, allocatedBytes: 0, freeBytes: 0)
    }

    /// Where an overlay would dial after a signed record that names `address` came by gossip.
    private func dialed(_ address: String, rule: AddressRule) throws -> [PeerContact] {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let messaging = DeafMessaging(localPeer: key(1).verifyingKey.peerID)
        var options = OverlayOptions()
        options.addresses = rule
        let overlay = Overlay(
            environment: peer.environment, messaging: messaging, identity: key(1),
            info: try info(1, "9.1.1.1:7"), options: options)
        let statement = MemberStatement.sign(
            try info(2, address), incarnation: 5, key: key(2), network: options.network)
        let batch = GossipBatch(members: [statement.record]).protobufBytes()
        let sender = PeerContact(
            peer: key(3).verifyingKey.peerID, address: try SocketAddress(parsing: "9.1.1.3:7"))
        let handler = try #require(messaging.handler(.overlayGossip))
        _ = try world.perform(on: peer) { try await handler(sender, batch) }
        #expect(overlay.snapshot.members.count == 2)
        return messaging.contacts
    }

    @Test(arguments: ["192.168.1.1:80", "10.0.0.1:22", "127.0.0.1:9", "[fd00::1]:7"])
    func aSignedRecordMakesNobodyDialPrivateAddresses(_ address: String) throws {
        #expect(try dialed(address, rule: .global) == [])
        // A private network without ranges of its own dials them.
        #expect(try dialed(address, rule: .all).map(\.address.description).contains(address))
    }

    @Test func aSignedRecordMakesOthersDialPublicAddresses() throws {
        #expect(try !dialed("9.1.1.2:7", rule: .global).isEmpty)
    }
}

/// A directory that counts how often it is asked.
private final class CountingDirectory: PeerDirectory {
    private let members: [PeerID: Member]
    private let localPeer: PeerID
    let lookups = Mutex(0)

    init(localPeer: PeerID, members: [Member]) {
        self.localPeer = localPeer
        self.members = Dictionary(uniqueKeysWithValues: members.map { ($0.peer, $0) })
    }

    var snapshot: MembershipSnapshot {
        MembershipSnapshot(localPeer: localPeer, members: members)
    }
    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {}
    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {}
    func info(of peer: PeerID) async -> MemberInfo? {
        lookups.withLock { $0 += 1 }
        return nil
    }
}

@Suite struct DeadPeerTests {
    @Test func callsToTheDeadCostNoLookupsAndToUnknownOnesFew() throws {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let transport = try UDPMessaging(
            TransportConfiguration(
                networkKey: [UInt8](repeating: 7, count: 32), networkID: NetworkID(.zero),
                identity: key(1), timings: .devnet),
            environment: peer.environment, address: peer.address)
        let (dead, unknown) = (key(2).verifyingKey.peerID, key(3).verifyingKey.peerID)
        let info = MemberInfo(
            contact: PeerContact(peer: dead, address: SocketAddress(ipv4: (10, 9, 9, 9), port: 7)),
            roles: .storage, zone: "a", store: nil, allocatedBytes: 0, freeBytes: 0,
            relays: [PeerContact(peer: unknown, address: peer.address)])
        let directory = CountingDirectory(
            localPeer: transport.localPeer,
            members: [Member(info: info, state: .dead, since: world.now)])
        let reachability = Reachability(
            environment: peer.environment, transport: transport, directory: directory,
            local: peer.address, options: ReachabilityOptions())
        peer.start { _ in
            transport.start()
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { await transport.run() }
                group.addTask { try await reachability.run() }
            }
        }
        func call(_ target: PeerID) throws -> RPCError? {
            try world.perform(on: peer) {
                do throws(RPCError) {
                    _ = try await transport.call(
                        target, .overlayProbe, [], timeout: .seconds(5))
                    return nil
                } catch {
                    return error
                }
            }
        }
        for _ in 0..<3 { #expect(try call(dead) == .unreachable) }
        #expect(directory.lookups.withLock { $0 } == 0)
        for _ in 0..<3 { #expect(try call(unknown) == .unreachable) }
        #expect(directory.lookups.withLock { $0 } == 1)
        world.run(for: ReachabilityLimits.missingFor + .seconds(1))
        #expect(try call(unknown) == .unreachable)
        #expect(directory.lookups.withLock { $0 } == 2)
        world.end(grace: .seconds(1))
    }
}
