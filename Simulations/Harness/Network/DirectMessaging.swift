package import CyxCore
package import CyxTransport
internal import Synchronization

/// Which life of which peer answers calls, by peer ID and by address.
final class MessagingDirectory: Sendable {
    private struct State {
        var byPeer: [PeerID: DirectMessaging] = [:]
        var byAddress: [SocketAddress: PeerID] = [:]
    }

    private let state = Mutex(State())

    func add(_ messaging: DirectMessaging) {
        state.withLock { state in
            state.byPeer[messaging.localPeer] = messaging
            state.byAddress[messaging.contact.address] = messaging.localPeer
        }
    }

    func remove(_ executor: SimulatedExecutor) {
        state.withLock { state in
            state.byPeer = state.byPeer.filter { $0.value.executor !== executor }
        }
    }

    func find(_ peer: PeerID) -> DirectMessaging? { state.withLock { $0.byPeer[peer] } }

    func find(_ address: SocketAddress) -> DirectMessaging? {
        state.withLock { state in state.byAddress[address].flatMap { state.byPeer[$0] } }
    }
}

/// `PeerMessaging` straight over the event heap: the links' latency, loss and partitions, but no
/// handshakes, packets or congestion. For tests of what lies above the transport.
///
/// A lost message is retransmitted after 100 ms, 200 ms, … as a transport would; what does not
/// get through before the call's timeout fails with `.timedOut`, or `.unreachable` if the target
/// was dead or never learnt of.
package final class DirectMessaging: PeerMessaging, PeerDatagrams {
    private typealias Handler =
        @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws -> [UInt8]
    private typealias DatagramHandler =
        @Sendable (_ remote: PeerContact, _ bytes: [UInt8]) -> Void

    /// Codes of refusals that no handler chose.
    package static let noHandlerCode: UInt16 = 0xFFFE
    package static let handlerFailedCode: UInt16 = 0xFFFF

    private static let firstRetransmission = Duration.milliseconds(100)
    private static let transmissionLimit = 8
    private static let datagramBytesMax = 1368

    package let localPeer: PeerID
    let contact: PeerContact
    let executor: SimulatedExecutor
    private let links: LinkModel
    private let directory: MessagingDirectory
    private let handlers = Mutex<[RPCMethod: Handler]>([:])
    private let datagramHandler = Mutex<DatagramHandler?>(nil)
    private let known = Mutex<[PeerID: SocketAddress]>([:])

    /// Messaging for the present life of `peer` under the identity `id`.
    package init(world: SimulatedWorld, peer: SimulatedPeer, id: PeerID) {
        localPeer = id
        contact = PeerContact(peer: id, address: peer.address)
        executor = peer.environment.simulatedExecutor
        links = world.links
        directory = world.directory
        directory.add(self)
    }

    package func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws -> [UInt8]
    ) {
        handlers.withLock { $0[method] = handler }
    }

    package func learn(_ contact: PeerContact) {
        known.withLock { $0[contact.peer] = contact.address }
    }

    package func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact {
        let exchange = Exchange<PeerContact>(executor: executor)
        return try await exchange.run(timeout: timeout, onTimeout: .unreachable) {
            self.transmit(to: address, digest: 1, deadline: self.executor.now() + timeout) {
                guard let target = self.directory.find(address) else { return }
                target.transmit(
                    to: self.contact.address, digest: 2, deadline: target.executor.now() + timeout
                ) {
                    self.learn(target.contact)
                    exchange.finish(.success(target.contact))
                }
            }
        }
    }

    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        guard request.count <= PeerMessagingLimits.messageBytes else { throw .tooLarge }
        let address = known.withLock { $0[peer] }
        guard let address = peer == localPeer ? contact.address : address else {
            throw .unreachable
        }
        let failure: RPCError = directory.find(peer) == nil ? .unreachable : .timedOut
        let exchange = Exchange<[UInt8]>(executor: executor)
        return try await exchange.run(timeout: timeout, onTimeout: failure) {
            let digest = TraceHash.of(request) ^ UInt64(method.rawValue)
            let deadline = self.executor.now() + timeout
            self.transmit(to: address, digest: digest, deadline: deadline) {
                // Whoever has that address now is not taken for the peer that was asked.
                guard let target = self.directory.find(address), target.localPeer == peer else {
                    return
                }
                target.serve(method, request, for: self, deadline: deadline, exchange)
            }
        }
    }

    package func sendDatagram(to peer: PeerID, _ bytes: [UInt8]) {
        let address = known.withLock { $0[peer] }
        guard let address = peer == localPeer ? contact.address : address,
            bytes.count <= Self.datagramBytesMax,
            let owner = directory.find(address)?.executor,
            let time = links.arrivals(
                from: contact.address.ip, to: address.ip, now: executor.now()
            ).first
        else { return }
        executor.engine.schedule(
            at: time, kind: .message, owner: owner, digest: TraceHash.of(bytes)
        ) {
            guard let target = self.directory.find(address), target.localPeer == peer else {
                return
            }
            let handler = target.datagramHandler.withLock { $0 }
            handler?(self.contact, bytes)
        }
    }

    package func handleDatagrams(
        with handler: @escaping @Sendable (_ remote: PeerContact, _ bytes: [UInt8]) -> Void
    ) {
        datagramHandler.withLock { $0 = handler }
    }

    package func datagramBytesMax(to peer: PeerID) async -> Int? {
        known.withLock { $0[peer] } == nil ? nil : Self.datagramBytesMax
    }

    /// Answers a request that has arrived here.
    private func serve(
        _ method: RPCMethod, _ request: [UInt8], for caller: DirectMessaging, deadline: Instant,
        _ exchange: Exchange<[UInt8]>
    ) {
        // Unstructured on purpose: it stands for the stream's task inside a transport, and dies
        // with this peer's life.
        _ = Task(executorPreference: executor) {
            let result = await self.answer(method, request, from: caller.contact)
            var digest: UInt64 = 3
            if case .success(let bytes) = result { digest = TraceHash.of(bytes) }
            self.transmit(to: caller.contact.address, digest: digest, deadline: deadline) {
                exchange.finish(result)
            }
        }
    }

    private func answer(
        _ method: RPCMethod, _ request: [UInt8], from remote: PeerContact
    ) async -> Result<[UInt8], RPCError> {
        guard let handler = handlers.withLock({ $0[method] }) else {
            return .failure(
                .refused(RPCFailure(code: Self.noHandlerCode, message: "unknown method")))
        }
        do {
            let response = try await handler(remote, request)
            guard response.count <= PeerMessagingLimits.messageBytes else {
                return .failure(.tooLarge)
            }
            return .success(response)
        } catch let failure as RPCFailure {
            return .failure(.refused(failure))
        } catch {
            return .failure(
                .refused(RPCFailure(code: Self.handlerFailedCode, message: "\(error)")))
        }
    }

    /// Carries a message to whoever lives at `address`, sending again while it is lost, and runs
    /// `deliver` there once, on the receiver's executor.
    private func transmit(
        to address: SocketAddress, digest: UInt64, deadline: Instant,
        _ deliver: @escaping @Sendable () -> Void
    ) {
        var time = executor.now()
        var wait = Self.firstRetransmission
        for _ in 0..<Self.transmissionLimit where time < deadline {
            let times = links.arrivals(from: contact.address.ip, to: address.ip, now: time)
            if let first = times.first {
                let owner = directory.find(address)?.executor
                guard let owner else { return }
                executor.engine.schedule(
                    at: first, kind: .message, owner: owner, digest: digest, deliver)
                // A replay finds whoever lives there then.
                if let again = links.replay(of: first) {
                    executor.engine.schedule(
                        at: again, kind: .message, owner: nil, digest: digest, deliver)
                }
                return
            }
            time = time + wait
            wait = wait * 2
        }
    }
}

/// One call in flight: resumed once, by its answer, its timeout or cancellation.
private final class Exchange<Value: Sendable>: Sendable {
    private struct State {
        // Unsafe rather than checked: a crash abandons the waiting task on purpose, which a
        // checked continuation would report as a leak. `finish` resumes at most once.
        var continuation: UnsafeContinuation<Result<Value, RPCError>, Never>?
        var result: Result<Value, RPCError>?
        var timer: TimerID?
    }

    private let executor: SimulatedExecutor
    private let state = Mutex(State())

    init(executor: SimulatedExecutor) {
        self.executor = executor
    }

    func run(
        timeout: Duration, onTimeout failure: RPCError, _ send: @Sendable () -> Void
    ) async throws(RPCError) -> Value {
        let deadline = executor.now() + timeout
        let timer = executor.schedule(at: deadline) { self.finish(.failure(failure)) }
        state.withLock { $0.timer = timer }
        send()
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let early = state.withLock { state in
                    if state.result == nil { state.continuation = continuation }
                    return state.result
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            finish(.failure(.cancelled))
        }
        return try result.get()
    }

    func finish(_ result: Result<Value, RPCError>) {
        let (continuation, timer) = state.withLock { state in
            guard state.result == nil else {
                return (UnsafeContinuation<Result<Value, RPCError>, Never>?.none, TimerID?.none)
            }
            state.result = result
            defer { state.continuation = nil }
            return (state.continuation, state.timer)
        }
        if let timer { executor.cancel(timer) }
        continuation?.resume(returning: result)
    }
}
