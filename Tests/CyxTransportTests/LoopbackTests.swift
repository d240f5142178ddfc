import CyxCore
import CyxCrypto
import Synchronization
import Testing

@testable import CyxTransport

private final class SilentSink: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

private final class NoDisk: StorageDevice {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        throw .closed
    }
    func freeBytes() -> Int64 { 0 }
}

private let echo = RPCMethod(rawValue: 0x0101)
private let refuse = RPCMethod(rawValue: 0x0102)
private let slow = RPCMethod(rawValue: 0x0103)

/// The shell over real sockets on loopback, two peers on one reactor.
@Suite struct LoopbackTests {
    private func configuration(_ identity: UInt8, key: UInt8 = 9) -> TransportConfiguration {
        TransportConfiguration(
            networkKey: [UInt8](repeating: key, count: 32),
            networkID: NetworkID(Digest(1, 2, 3, 4)),
            identity: SigningKey(seed: [UInt8](repeating: identity, count: 32)),
            timings: .devnet)
    }

    private func withPeers(
        keys: (UInt8, UInt8) = (9, 9),
        _ body: @escaping @Sendable (UDPMessaging, UDPMessaging, Environment) async throws -> Void
    ) throws {
        let reactor = try Reactor()
        let environment = Environment.production(
            reactor: reactor, storage: NoDisk(), blocking: try ThreadPool(threadCount: 1),
            sink: SilentSink(), metrics: MetricsRegistry())
        try reactor.run {
            let any = SocketAddress(ipv4: (127, 0, 0, 1), port: 0)
            let first = try UDPMessaging(
                configuration(1, key: keys.0), environment: environment, address: any)
            let second = try UDPMessaging(
                configuration(2, key: keys.1), environment: environment, address: any)
            for transport in [first, second] {
                transport.handle(echo) { _, request in request }
                transport.handle(refuse) { _, _ in throw RPCFailure(code: 7, message: "no") }
                transport.handle(slow) { _, request in
                    try await environment.sleep(for: .seconds(30))
                    return request
                }
                transport.start()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await first.run() }
                group.addTask { await second.run() }
                try await body(first, second, environment)
                await first.shutDown()
                await second.shutDown()
                group.cancelAll()
            }
        }
    }

    @Test func datagramsArriveOverRealSockets() throws {
        try withPeers { first, second, environment in
            let arrived = Mutex<[PeerID: [UInt8]]>([:])
            for transport in [first, second] {
                transport.handleDatagrams { remote, bytes in
                    arrived.withLock { $0[remote.peer, default: []] += bytes }
                }
            }
            first.learn(PeerContact(peer: second.localPeer, address: second.localAddress))
            for byte in UInt8(0)..<20 { first.sendDatagram(to: second.localPeer, [byte]) }
            second.sendDatagram(to: second.localPeer, [99])
            for _ in 0..<100 where arrived.withLock({ $0[first.localPeer]?.count ?? 0 }) < 20 {
                try await environment.sleep(for: .milliseconds(20))
            }
            #expect(arrived.withLock { $0[first.localPeer] }.map(Set.init) == Set(0..<20))
            #expect(arrived.withLock { $0[second.localPeer] } == [99])
            #expect(await first.datagramBytesMax(to: second.localPeer) == 1168)
        }
    }

    @Test func callsAreAnsweredOverRealSockets() throws {
        try withPeers { first, second, _ in
            let contact = try await first.identify(second.localAddress, timeout: .seconds(5))
            #expect(contact.peer == second.localPeer)
            for size in [0, 100, 5000, 1 << 20, 8 << 20] {
                let body = pattern(size)
                let answer = try await first.call(
                    second.localPeer, echo, body, timeout: .seconds(10))
                #expect(answer == body)
            }
            // The other way over the same connection, without an address.
            let back = try await second.call(first.localPeer, echo, [1], timeout: .seconds(5))
            #expect(back == [1])
            let own = try await first.call(first.localPeer, echo, [2], timeout: .seconds(5))
            #expect(own == [2])
        }
    }

    @Test func manyCallsAtOnceAreAllAnswered() throws {
        try withPeers { first, second, _ in
            first.learn(PeerContact(peer: second.localPeer, address: second.localAddress))
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<500 {
                    group.addTask {
                        let body = pattern(index * 13, seed: UInt64(index))
                        let answer = try await first.call(
                            second.localPeer, echo, body, timeout: .seconds(10))
                        #expect(answer == body)
                        return 1
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 500)
        }
    }

    @Test func refusalsTimeoutsAndCancellationsReachTheCaller() throws {
        try withPeers { first, second, _ in
            first.learn(PeerContact(peer: second.localPeer, address: second.localAddress))
            await #expect(throws: RPCError.refused(RPCFailure(code: 7, message: "no"))) {
                try await first.call(second.localPeer, refuse, [], timeout: .seconds(5))
            }
            await #expect(throws: RPCError.timedOut) {
                try await first.call(second.localPeer, slow, [], timeout: .milliseconds(200))
            }
            let unknown = RPCMethod(rawValue: 0x7777)
            await #expect(throws: RPCError.self) {
                try await first.call(second.localPeer, unknown, [], timeout: .seconds(5))
            }
            await #expect(throws: RPCError.tooLarge) {
                let large = [UInt8](repeating: 0, count: PeerMessagingLimits.messageBytes + 1)
                return try await first.call(second.localPeer, echo, large, timeout: .seconds(5))
            }
            await withTaskGroup(of: RPCError?.self) { group in
                group.addTask {
                    do {
                        _ = try await first.call(
                            second.localPeer, slow, [], timeout: .seconds(20))
                        return nil
                    } catch let error as RPCError {
                        return error
                    } catch {
                        return nil
                    }
                }
                group.cancelAll()
                #expect(await group.next() == .some(.cancelled))
            }
        }
    }

    @Test func anotherNetworkGetsNoAnswer() throws {
        try withPeers(keys: (9, 10)) { first, second, _ in
            await #expect(throws: RPCError.self) {
                try await first.identify(second.localAddress, timeout: .seconds(3))
            }
        }
    }
}
