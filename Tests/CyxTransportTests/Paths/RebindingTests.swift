import CyxCore
import CyxCrypto
import Synchronization
import Testing

@testable import CyxTransport

private final class NoLog: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

private final class NoStorage: StorageDevice {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        throw .closed
    }
    func freeBytes() -> Int64 { 0 }
}

/// Passes datagrams on between whoever sends to `inside` and `server`, as a NAT does; `rebind`
/// makes it forget its port.
private final class NAT: Sendable {
    private struct State {
        var outside: [any DatagramSocket] = []
        var client: SocketAddress?
    }

    let inside: any DatagramSocket
    private let server: SocketAddress
    private let network: any DatagramNetwork
    private let state = Mutex(State())

    init(_ network: any DatagramNetwork, server: SocketAddress) throws {
        self.network = network
        self.server = server
        inside = try network.bind(SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
        inside.start(
            receive: { [self] batch in
                for datagrams in batch {
                    let outside = state.withLock { state in
                        state.client = datagrams.source
                        return state.outside.last
                    }
                    _ = outside?.send(
                        datagrams.bytes, segmentSize: datagrams.segmentSize, to: server)
                }
            }, writable: {})
        try rebind()
    }

    var outsideAddress: SocketAddress? { state.withLock { $0.outside.last?.localAddress } }

    func rebind() throws {
        let socket = try network.bind(SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
        socket.start(
            receive: { [self] batch in
                // What comes to the old port is lost.
                let client = state.withLock { state in
                    state.outside.last?.localAddress == socket.localAddress ? state.client : nil
                }
                guard let client else { return }
                for datagrams in batch {
                    _ = inside.send(
                        datagrams.bytes, segmentSize: datagrams.segmentSize, to: client)
                }
            }, writable: {})
        state.withLock { $0.outside.append(socket) }
    }

    func close() {
        inside.close()
        state.withLock { state in
            for socket in state.outside { socket.close() }
        }
    }
}

/// Moves over real sockets: a NAT in between that forgets, and is then left behind.
@Suite struct RebindingTests {
    private let echo = RPCMethod(rawValue: 0x0101)

    private func configuration(_ identity: UInt8) -> TransportConfiguration {
        TransportConfiguration(
            networkKey: Pair.privateKey, networkID: Pair.networkID,
            identity: SigningKey(seed: [UInt8](repeating: identity, count: 32)),
            timings: .devnet)
    }

    @Test func aConnectionOutlivesItsNATsMemoryAndTheNAT() throws {
        let reactor = try Reactor()
        let environment = Environment.production(
            reactor: reactor, storage: NoStorage(), blocking: try ThreadPool(threadCount: 1),
            sink: NoLog(), metrics: MetricsRegistry())
        try reactor.run {
            let any = SocketAddress(ipv4: (127, 0, 0, 1), port: 0)
            let first = try UDPMessaging(
                configuration(1), environment: environment, address: any)
            let second = try UDPMessaging(
                configuration(2), environment: environment, address: any)
            let moves = Mutex<[PeerID: [PeerContact]]>([:])
            for transport in [first, second] {
                transport.handle(echo) { _, request in request }
                let own = transport.localPeer
                transport.watchMoves { contact, hasMoved in
                    if hasMoved { moves.withLock { $0[own, default: []].append(contact) } }
                }
                transport.start()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await first.run() }
                group.addTask { await second.run() }
                let nat = try NAT(environment.network, server: second.localAddress)
                first.learn(
                    PeerContact(peer: second.localPeer, address: nat.inside.localAddress))
                func call(_ from: UDPMessaging, _ to: UDPMessaging) async throws {
                    let body = pattern(20_000)
                    let answer = try await from.call(
                        to.localPeer, echo, body, timeout: .seconds(10))
                    #expect(answer == body)
                }
                try await call(first, second)
                try nat.rebind()
                try await call(first, second)
                try await call(second, first)
                let rebound = try #require(nat.outsideAddress)
                #expect(
                    moves.withLock { $0[second.localPeer] }
                        == [PeerContact(peer: first.localPeer, address: rebound)])
                let isTried = await first.migrate(
                    second.localPeer, to: second.localAddress)
                #expect(isTried)
                var rounds = 0
                while moves.withLock({ $0[first.localPeer] == nil }), rounds < 500 {
                    try await environment.sleep(for: .milliseconds(10))
                    rounds += 1
                }
                try await call(first, second)
                nat.close()
                try await call(first, second)
                try await call(second, first)
                #expect(
                    moves.withLock { $0[second.localPeer]?.last }
                        == PeerContact(peer: first.localPeer, address: first.localAddress))
                await first.shutDown()
                await second.shutDown()
                group.cancelAll()
            }
        }
    }
}
