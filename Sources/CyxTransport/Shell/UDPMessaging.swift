package import CyxCore
internal import Synchronization

/// Requests and responses over encrypted UDP: the shell around `MessagingMachine`, one socket, and
/// the tasks that handlers run in.
///
/// Packets cost no task, await or continuation: the socket's callback feeds the machine a whole
/// batch and sends what is due. A call costs one continuation here and one task at the other side.
package actor UDPMessaging: PeerMessaging {
    typealias Handler =
        @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws ->
        [UInt8]

    package typealias MoveHandler =
        @Sendable (_ contact: PeerContact, _ hasMoved: Bool) -> Void

    /// The largest buffer that one send takes: an IPv4 datagram's payload.
    static let sendBufferBytes = 65_507
    /// Batches from which on packets are answered at once and not after the jobs they started.
    static let promptBatchMin = 3
    /// Datagrams of one send.
    static let segmentsMax = 64
    /// Contacts that wait to be taken over.
    static let learnedMax = 1 << 16

    private struct Request {
        var id: RequestID
        var remote: PeerContact
        var method: RPCMethod
        var body: [UInt8]
    }

    private struct Unsent {
        var destination: SocketAddress
        var transmission: Transmission
    }

    package nonisolated let localPeer: PeerID
    /// Where the socket is bound.
    package nonisolated let localAddress: SocketAddress
    nonisolated let environment: Environment
    private nonisolated let handlers = Mutex<[RPCMethod: Handler]>([:])
    private nonisolated let moves = Mutex<MoveHandler?>(nil)
    private nonisolated let learned = Mutex<[PeerContact]>([])
    nonisolated let datagrams = Mutex(DatagramExchange())
    nonisolated let counters: TransportCounters
    nonisolated let pathHooks = Mutex(PathHooks())
    private nonisolated let logger: Logger
    private let socket: any DatagramSocket
    private let qlog: (any QlogSink)?
    private let buffer = PacketBuffer(byteCount: UDPMessaging.sendBufferBytes)
    private var machine: MessagingMachine
    private var unsent: Unsent?
    /// Room that changes places with the machine's outputs while those are carried out.
    private var outputs: [MessagingOutput] = []
    // Made once rather than for every batch.
    private lazy var flushLater: @Sendable () -> Void = { [weak self] in
        self?.assumeIsolated { $0.flushAsScheduled() }
    }
    private lazy var fireTimer: @Sendable () -> Void = { [weak self] in
        self?.assumeIsolated { $0.timerFired() }
    }
    private var calls: [CallID: UnsafeContinuation<Result<[UInt8], RPCError>, Never>] = [:]
    private var identifies: [CallID: UnsafeContinuation<Result<PeerContact, RPCError>, Never>] =
        [:]
    private var nextCall: UInt64 = 0
    private var requests: [Request] = []
    private var requestWaiter: UnsafeContinuation<Void, Never>?
    private var timer: (id: TimerID, deadline: Int64)?
    /// What of the endpoint's statistics is in the metrics.
    private var counted = TransportStatistics()
    private var isFlushScheduled = false
    private var isClosed = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    /// Binds `address`. Nothing is received before `start`.
    package init(
        _ configuration: TransportConfiguration, environment: Environment, address: SocketAddress
    ) throws(BindError) {
        self.environment = environment
        let socket = try environment.network.bind(address)
        self.socket = socket
        qlog = configuration.qlog
        localAddress = socket.localAddress
        let endpoint = Endpoint(configuration: configuration, random: environment.random)
        localPeer = endpoint.localPeer
        machine = MessagingMachine(endpoint: endpoint)
        counters = TransportCounters(environment.metrics, engine: configuration.engine)
        logger = environment.logger.labelled("transport")
    }

    // MARK: Life

    /// Begins to receive. Call it once, before the first call.
    package nonisolated func start() {
        socket.start(
            receive: { [weak self] batch in
                // The bytes live during this call, which ends after the isolated one does.
                nonisolated(unsafe) let batch = batch
                self?.assumeIsolated { $0.received(batch) }
            },
            writable: { [weak self] in self?.assumeIsolated { $0.flush() } })
    }

    /// Runs the handlers of incoming requests until the task is cancelled.
    package func run() async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled, !isClosed {
                    if requests.isEmpty { await nextRequests() }
                    let batch = requests
                    requests.removeAll(keepingCapacity: true)
                    for request in batch {
                        group.addTask { await self.serve(request) }
                    }
                }
                group.cancelAll()
            }
        } onCancel: {
            environment.executor.execute { [weak self] in
                self?.assumeIsolated { $0.wakeServer() }
            }
        }
    }

    /// Closes every connection and the socket; calls fail with `cancelled`.
    package func shutDown() {
        guard !isClosed else { return }
        machine.shutDown(wall: environment.wallTime(), now: now())
        carryOut()
        flush()
        isClosed = true
        if let timer { environment.executor.cancel(timer.id) }
        socket.close()
        wakeServer()
    }

    private func nextRequests() async {
        guard !Task.isCancelled else { return }
        await withUnsafeContinuation { requestWaiter = $0 }
    }

    private func wakeServer() {
        let waiter = requestWaiter
        requestWaiter = nil
        waiter?.resume()
    }

    private func now() -> Int64 { environment.now().nanoseconds }

    // MARK: PeerMessaging

    package nonisolated func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8]
    ) {
        handlers.withLock { $0[method] = handler }
    }

    package nonisolated func learn(_ contact: PeerContact) {
        learned.withLock { learned in
            if learned.count < UDPMessaging.learnedMax { learned.append(contact) }
        }
    }

    private func takeLearned() {
        let contacts = learned.withLock { learned in
            defer { learned.removeAll() }
            return learned
        }
        for contact in contacts { machine.learn(contact) }
    }

    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await call(peer, method, request, urgency: .foreground, timeout: timeout)
    }

    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], urgency: CallUrgency,
        timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        guard !isClosed, !Task.isCancelled else { throw .cancelled }
        if peer == localPeer { return try await callSelf(method, request) }
        takeLearned()
        let id = CallID(value: nextCall)
        nextCall += 1
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                calls[id] = continuation
                let now = now()
                machine.call(
                    id, peer: peer, method: method, request: request, urgency: urgency,
                    deadline: now + timeout.nanoseconds, wall: environment.wallTime(), now: now)
                finishTurn()
            }
        } onCancel: {
            cancelLater(id)
        }
        return try result.get()
    }

    package func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact {
        guard !isClosed, !Task.isCancelled else { throw .cancelled }
        let id = CallID(value: nextCall)
        nextCall += 1
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                identifies[id] = continuation
                let now = now()
                machine.identify(
                    id, address: address, deadline: now + timeout.nanoseconds,
                    wall: environment.wallTime(), now: now)
                finishTurn()
            }
        } onCancel: {
            cancelLater(id)
        }
        return try result.get()
    }

    private nonisolated func cancelLater(_ id: CallID) {
        environment.executor.execute { [weak self] in
            self?.assumeIsolated { $0.cancel(id) }
        }
    }

    private func cancel(_ id: CallID) {
        let call = calls.removeValue(forKey: id)
        let identify = identifies.removeValue(forKey: id)
        guard call != nil || identify != nil else { return }
        machine.cancel(id, wall: environment.wallTime(), now: now())
        finishTurn()
        call?.resume(returning: .failure(.cancelled))
        identify?.resume(returning: .failure(.cancelled))
    }

    // MARK: Datagrams

    /// Hands what waits to the machine.
    func sendDatagrams() {
        let outgoing = takeOutgoingDatagrams()
        guard !isClosed else { return }
        takeLearned()
        let now = now()
        let wall = environment.wallTime()
        for (peer, bytes) in outgoing {
            if peer == localPeer {
                deliver(bytes, from: PeerContact(peer: localPeer, address: localAddress))
            } else {
                machine.sendDatagram(to: peer, bytes, wall: wall, now: now)
            }
        }
        counters.datagramsDropped.add(machine.datagramsDropped)
        machine.datagramsDropped = 0
        finishTurn()
    }

    func currentDatagramBytesMax(to peer: PeerID) -> Int? { machine.datagramBytesMax(to: peer) }

    // MARK: Moving

    /// Tells `handler` of each peer that has changed its address during a connection, and of each
    /// address given to `migrate` that does not answer (`hasMoved` is false).
    package nonisolated func watchMoves(with handler: @escaping MoveHandler) {
        moves.withLock { $0 = handler }
    }

    /// Tries another address of a connected peer and moves the connection there once it answers;
    /// calls go on meanwhile. False if there is no connection, or if it is there already.
    package func migrate(_ peer: PeerID, to address: SocketAddress) -> Bool {
        guard !isClosed else { return false }
        defer { finishTurn() }
        return machine.migrate(peer, to: address, wall: environment.wallTime(), now: now())
    }

    // MARK: Paths

    func changeMachine(_ change: (inout MessagingMachine, WallTime, Int64) -> Void) {
        guard !isClosed else { return }
        change(&machine, environment.wallTime(), now())
        finishTurn()
    }

    /// Takes in what came through relays since the last turn.
    func takeCarried() {
        let packets = takeIncoming()
        guard !isClosed else { return }
        let (now, wall) = (now(), environment.wallTime())
        for (packet, address) in packets {
            packet.withUnsafeBytes { bytes in
                machine.handle(
                    ReceivedDatagrams(
                        source: address, bytes: bytes, segmentSize: max(1, bytes.count)),
                    wall: wall, now: now)
            }
        }
        machine.finishTurn(wall: wall, now: now)
        finishTurn()
    }

    /// Sends past the machine; what the socket does not take is lost.
    func sendNow(_ bytes: [UInt8], to address: SocketAddress) {
        guard !isClosed, !address.isVirtual else { return }
        let outcome = bytes.withUnsafeBytes {
            socket.send($0, segmentSize: bytes.count, to: address)
        }
        if case .failed = outcome { counters.sendFailures.add() }
    }

    // MARK: Serving

    private func callSelf(
        _ method: RPCMethod, _ request: [UInt8]
    ) async throws(RPCError) -> [UInt8] {
        let remote = PeerContact(peer: localPeer, address: localAddress)
        return switch await answer(remote, method, request) {
        case .success(let body): body
        case .failure(let failure): throw .refused(failure)
        }
    }

    private func answer(
        _ remote: PeerContact, _ method: RPCMethod, _ body: [UInt8]
    ) async -> Result<[UInt8], RPCFailure> {
        guard let handler = handlers.withLock({ $0[method] }) else {
            return .failure(RPCFailure(code: RPCFailure.unknownMethod, message: "no such method"))
        }
        do {
            return .success(try await handler(remote, body))
        } catch let failure as RPCFailure {
            return .failure(failure)
        } catch {
            return .failure(RPCFailure(code: RPCFailure.handlerFailed, message: "\(error)"))
        }
    }

    private func serve(_ request: Request) async {
        let result = await answer(request.remote, request.method, request.body)
        guard !isClosed else { return }
        machine.respond(request.id, result, wall: environment.wallTime(), now: now())
        finishTurn()
    }

    // MARK: Packets and timers

    private func received(_ batch: UnsafeBufferPointer<ReceivedDatagrams>) {
        guard !isClosed else { return }
        let now = now()
        let wall = environment.wallTime()
        for datagrams in batch where !datagrams.source.isVirtual {
            counters.bytesReceived.add(UInt64(datagrams.bytes.count))
            machine.handle(datagrams, wall: wall, now: now)
        }
        machine.finishTurn(wall: wall, now: now)
        carryOut()
        // Large batches are acknowledged at once; small ones with the answers that they cause.
        if batch.count >= UDPMessaging.promptBatchMin { flush() } else { scheduleFlush() }
    }

    private func finishTurn() {
        carryOut()
        scheduleFlush()
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        environment.executor.execute(flushLater)
    }

    private func flushAsScheduled() {
        isFlushScheduled = false
        flush()
    }

    /// Resumes callers and hands requests to the server.
    private func carryOut() {
        guard !machine.outputs.isEmpty else { return }
        swap(&machine.outputs, &outputs)
        for output in outputs {
            switch output {
            case .completed(let id, let result):
                calls.removeValue(forKey: id)?.resume(returning: result)
            case .identified(let id, let result):
                identifies.removeValue(forKey: id)?.resume(returning: result)
            case .request(let id, let remote, let method, let body):
                requests.append(Request(id: id, remote: remote, method: method, body: body))
            case .datagram(let remote, let bytes): deliver(bytes, from: remote)
            case .moved(let contact):
                logger.log(
                    .debug, "peer moved",
                    [("peer", "\(contact.peer)"), ("address", "\(contact.address)")])
                moves.withLock { $0 }?(contact, true)
            case .migrationFailed(let contact): moves.withLock { $0 }?(contact, false)
            case .path(let event): tell(event)
            case .closed(let peer, _, let reason):
                logger.log(
                    reason.isOrdinary ? .debug : .warning, "connection closed",
                    [("peer", peer.map { "\($0)" } ?? "unknown"), ("reason", "\(reason)")])
            }
        }
        outputs.removeAll(keepingCapacity: true)
        if !requests.isEmpty { wakeServer() }
    }

    /// Sends everything that is due, then sets the timer.
    private func flush() {
        guard !isClosed else { return }
        let now = now()
        let segments = min(socket.maximumSegments, UDPMessaging.segmentsMax)
        if let waiting = unsent {
            unsent = nil
            guard send(waiting) else { return }
        }
        while let next = machine.endpoint.pollTransmit(
            into: buffer.bytes, segmentsMax: segments, now: now)
        {
            let isSent = send(
                Unsent(destination: next.destination, transmission: next.transmission))
            guard isSent else { return }
        }
        if machine.endpoint.statistics != counted {
            counters.add(machine.endpoint.statistics, since: &counted)
        }
        if let qlog {
            machine.endpoint.drainTraces { qlog.write($0.file, $0.records, isLast: $0.isLast) }
        }
        arm()
    }

    /// False if the socket is full; what was to be sent stays in the buffer.
    private func send(_ packets: Unsent) -> Bool {
        let size = packets.transmission.byteCount
        guard !packets.destination.isVirtual else {
            carry(
                UnsafeRawBufferPointer(rebasing: buffer.bytes[..<size]),
                segmentSize: packets.transmission.segmentSize, to: packets.destination)
            return true
        }
        let outcome = socket.send(
            UnsafeRawBufferPointer(rebasing: buffer.bytes[..<size]),
            segmentSize: packets.transmission.segmentSize, ecn: packets.transmission.ecn,
            to: packets.destination)
        switch outcome {
        case .sent: counters.bytesSent.add(UInt64(size))
        case .wouldBlock:
            unsent = packets
            return false
        case .failed: counters.sendFailures.add()
        }
        return true
    }

    private func arm() {
        guard let deadline = machine.nextDeadline else { return }
        if let timer {
            guard deadline < timer.deadline else { return }
            environment.executor.cancel(timer.id)
        }
        let id = environment.executor.schedule(
            at: Instant(nanoseconds: deadline), fireTimer)
        timer = (id, deadline)
    }

    private func timerFired() {
        guard !isClosed else { return }
        timer = nil
        machine.handleTimeout(wall: environment.wallTime(), now: now())
        carryOut()
        flush()
    }
}
