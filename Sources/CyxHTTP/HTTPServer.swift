package import CyxCore
internal import CyxHTTPShims
internal import Glibc

/// An HTTP/1.1 server on one peer's reactor: libmicrohttpd without threads, driven through its
/// epoll descriptor.
///
/// Each request runs the handler on this actor, as a child task of `run`; when its client goes
/// away, that task is cancelled. Bodies are streamed both ways with back-pressure.
package actor HTTPServer {
    package typealias Handler =
        @Sendable (HTTPRequest, HTTPRequestBody) async throws -> HTTPResponse
    /// Answers a client that closed its half of the connection in the middle of a body.
    package typealias IncompleteBody = @Sendable (HTTPRequest) -> HTTPResponse

    /// Answers what no handler is to see.
    package typealias Refused = @Sendable (HTTPRefusal) -> HTTPResponse

    /// How often limits are checked and silent disconnects looked for.
    private static let sweepInterval = Duration.seconds(1)
    /// How often one wake-up goes round before other work of the reactor gets its turn.
    private static let roundsPerWake = 4

    let environment: Environment
    let limits: HTTPLimits
    let handler: Handler
    let incompleteBody: IncompleteBody
    let refused: Refused
    /// Where it listens; the port is the real one where 0 was asked for.
    package nonisolated let localAddress: SocketAddress

    let reactor: Reactor
    let listener: Int32
    var listenerWatch: WatchID?
    var newcomers: [Int32: HTTPNewcomer] = [:]
    /// What new connections are shown; nil if the server speaks plain HTTP.
    private(set) var identity: TLSIdentity?
    private(set) var daemon: UnsafeMutableRawPointer?
    private var wasStarted = false
    var isStopping = false
    private var isDriveScheduled = false
    var exchanges: [UInt64: HTTPExchange] = [:]
    var connections: [UnsafeMutableRawPointer: HTTPConnection] = [:]
    var lastExchange: UInt64 = 0
    private let arrivals: AsyncStream<UInt64>
    let arrived: AsyncStream<UInt64>.Continuation

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    /// Binds `listen`; nothing is served before `run`. `reactor` is `environment`'s executor.
    /// The handler whose body `incompleteBody` is about has its body thrown `connectionLost`.
    /// With `identity` the server speaks TLS, and TLS alone.
    package init(
        environment: Environment, reactor: Reactor, listen: SocketAddress,
        limits: HTTPLimits = HTTPLimits(), identity: TLSIdentity? = nil,
        incompleteBody: @escaping IncompleteBody = { _ in HTTPResponse(status: 400) },
        refused: @escaping Refused = { HTTPResponse(status: $0.status) },
        handler: @escaping Handler
    ) throws(HTTPServerError) {
        var bytes = ByteWriter(capacity: 16)
        bytes.write(UInt64(truncatingIfNeeded: listen.ip >> 64))
        bytes.write(UInt64(truncatingIfNeeded: listen.ip))
        var port: UInt16 = 0
        let descriptor = cyx_http_listen(bytes.bytes, listen.port, limits.listenBacklog, &port)
        guard descriptor >= 0 else {
            if -descriptor == EADDRINUSE { throw .addressInUse(port: listen.port) }
            throw .cannotListen(port: listen.port, reason: SystemError.words(-descriptor))
        }
        self.environment = environment
        self.reactor = reactor
        self.limits = limits
        self.identity = identity
        self.handler = handler
        self.incompleteBody = incompleteBody
        self.refused = refused
        listener = descriptor
        localAddress = SocketAddress(ip: listen.ip, port: port)
        // Bounded by the number of connections: each has at most one request at a time.
        (arrivals, arrived) = AsyncStream.makeStream(of: UInt64.self)
    }

    deinit {
        if !wasStarted { close(listener) }
    }

    /// Shows new connections another certificate; those there are go on with theirs. Only on a server
    /// that speaks TLS.
    package func use(_ identity: TLSIdentity) {
        precondition(self.identity != nil, "a plain server has no certificate")
        self.identity = identity
        if let daemon { cyx_http_use(daemon, identity.handle) }
    }

    /// Serves until the task is cancelled; then every connection is closed. Call it once.
    package func run() async throws {
        precondition(!wasStarted, "a server runs once")
        wasStarted = true
        let daemon = try start()
        let watch = try reactor.watch(cyx_http_descriptor(daemon), for: .readable) {
            [weak self] _ in
            self?.assumeIsolated { $0.drive() }
        }
        listenOn()
        await withDiscardingTaskGroup { group in
            group.addTask(executorPreference: environment.executor) { await self.sweepRegularly() }
            for await id in arrivals {
                group.addTask(executorPreference: self.environment.executor) {
                    await self.serve(id)
                }
            }
            isStopping = true
            forgetNewcomers()
            abandonAll()
            group.cancelAll()
        }
        reactor.unwatch(watch)
        stop(daemon)
        close(listener)
    }

    private func start() throws(HTTPServerError) -> UnsafeMutableRawPointer {
        var callbacks = httpCallbacks(self)
        let limits = cyx_http_limits(
            connection_memory_bytes: limits.connectionMemoryBytes, connections: limits.connections,
            inactivity_seconds: UInt32(limits.idleTime.components.seconds))
        guard let daemon = cyx_http_start(&callbacks, limits, identity?.handle) else {
            close(listener)
            throw .cannotStart
        }
        self.daemon = daemon
        return daemon
    }

    /// The daemon may be stopped only when no connection is suspended.
    private func stop(_ daemon: UnsafeMutableRawPointer) {
        for exchange in exchanges.values { resume(exchange) }
        for _ in 0..<HTTPServer.roundsPerWake { _ = cyx_http_run(daemon) }
        cyx_http_stop(daemon)
        self.daemon = nil
    }

    private func abandonAll() {
        for connection in connections.values { connection.breakOff() }
        for exchange in exchanges.values { exchange.abandon() }
    }

    /// Lets the library do what it can. Only from the reactor itself, never from a callback.
    func drive() {
        guard let daemon else { return }
        isDriveScheduled = false
        for _ in 0..<HTTPServer.roundsPerWake where cyx_http_run(daemon) == 0 { return }
        guard !isDriveScheduled else { return }
        isDriveScheduled = true
        environment.executor.execute { [weak self] in self?.assumeIsolated { $0.drive() } }
    }

    private func sweepRegularly() async {
        do {
            while true {
                try await environment.sleep(for: HTTPServer.sweepInterval)
                sweep()
                drive()
            }
        } catch {
            // Cancelled: the server is stopping.
        }
    }

    /// Lets a suspended connection go on. The library does not signal that through its descriptor.
    func resume(_ exchange: HTTPExchange) {
        guard exchange.resume(), !isDriveScheduled else { return }
        isDriveScheduled = true
        environment.executor.execute { [weak self] in self?.assumeIsolated { $0.drive() } }
    }

    // MARK: One request

    /// Runs the handler and sends what it answers, until that is done or the client is gone.
    private func serve(_ id: UInt64) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: environment.executor) {
                await self.answer(id)
                await self.finish(id)
            }
            group.addTask(executorPreference: environment.executor) { await self.untilGone(id) }
            await group.next()
            group.cancelAll()
        }
        forget(id)
    }

    private func answer(_ id: UInt64) async {
        guard let exchange = exchanges[id], let request = exchange.request else { return }
        var response: HTTPResponse
        do {
            response = try await handler(request, HTTPRequestBody(server: self, exchange: id))
        } catch {
            // A handler answers what it can name itself; this is the rest.
            response = HTTPResponse(status: 500)
        }
        guard !exchange.isGone else {
            response.whenOver?(HTTPResponse.Outcome(isWhole: false, streamedBytes: 0))
            return
        }
        respond(response, to: exchange)
        if case .upgrade(let body) = response.body {
            await runUpgraded(exchange, body)
            return
        }
        guard case .stream(_, var source) = response.body else { return }
        response.body = .bytes([])
        do {
            while !exchange.isGone, let bytes = try await source.next() {
                await send(bytes, on: exchange)
            }
        } catch {
            // Reading on finds the source ended too early, and the connection is broken off.
            environment.logger.debug("response broken off", [("error", "\(error)")])
            exchange.sourceHasFailed = true
        }
        exchange.sourceHasEnded = true
        if !exchange.isQueued || exchange.outgoingBytes == 0 { resume(exchange) }
    }

    private func send(_ bytes: [UInt8], on exchange: HTTPExchange) async {
        guard !bytes.isEmpty else { return }
        exchange.outgoing.append(bytes)
        exchange.outgoingBytes += bytes.count
        if exchange.isQueued { resume(exchange) }
        while exchange.outgoingBytes > limits.responseBufferBytes, !exchange.isGone {
            await withCheckedContinuation { exchange.bodyWriter = $0 }
        }
    }

    private func respond(_ response: HTTPResponse, to exchange: HTTPExchange) {
        exchange.response = response
        exchange.isDraining = true
        exchange.chunks = []
        exchange.bufferedBytes = 0
        resume(exchange)
    }

    /// The next bytes of a request's body, nil at its end.
    func nextBodyBytes(of id: UInt64) async throws -> [UInt8]? {
        guard let exchange = exchanges[id] else { throw HTTPBodyError.connectionLost }
        while true {
            if exchange.isGone { throw HTTPBodyError.connectionLost }
            if let chunk = exchange.takeChunk() {
                if exchange.progress == .body { resume(exchange) }
                return chunk
            }
            if exchange.progress == .complete { return nil }
            try Task.checkCancellation()
            if !exchange.wantsBody {
                exchange.wantsBody = true
                exchange.windowStart = environment.now()
            }
            resume(exchange)
            await withCheckedContinuation { exchange.bodyReader = $0 }
        }
    }

    private func untilGone(_ id: UInt64) async {
        guard let exchange = exchanges[id], !exchange.isGone, !exchange.isFinished else { return }
        await withCheckedContinuation { exchange.goneWaiter = $0 }
    }

    private func finish(_ id: UInt64) {
        guard let exchange = exchanges[id] else { return }
        exchange.isFinished = true
        exchange.wakeGoneWaiter()
    }

    /// Drops what neither the connection nor a task needs any longer.
    private func forget(_ id: UInt64) {
        guard let exchange = exchanges[id] else { return }
        exchange.isFinished = true
        if exchange.connection == nil { exchanges[id] = nil }
    }
}
