internal import CBaselines
internal import CyxCore
internal import CyxCrypto
internal import CyxTransport
internal import Glibc
internal import Synchronization

/// What a thread and its process have used so far.
struct Usage: Sendable {
    var cpuSeconds: Double
    /// Heap allocations while they were counted.
    var allocations: Int
    var residentBytes: Int

    static func ofThread() -> Usage {
        Usage(
            cpuSeconds: Measurement.threadSeconds(), allocations: Int(baseline_allocations()),
            residentBytes: Int(ProcessMetrics.residentBytes() ?? 0))
    }

    /// Three numbers of 8 bytes, big-endian.
    var encoded: [UInt8] {
        [UInt64(cpuSeconds * 1e9), UInt64(allocations), UInt64(residentBytes)].flatMap { number in
            (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
        }
    }

    init?(encoded: [UInt8]) {
        guard encoded.count == 24 else { return nil }
        func number(_ index: Int) -> UInt64 {
            encoded[index * 8..<index * 8 + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
        cpuSeconds = Double(number(0)) / 1e9
        allocations = Int(number(1))
        residentBytes = Int(number(2))
    }

    init(cpuSeconds: Double, allocations: Int, residentBytes: Int) {
        self.cpuSeconds = cpuSeconds
        self.allocations = allocations
        self.residentBytes = residentBytes
    }
}

/// The peers of the transport benchmark: what the server answers, and how its process is run.
enum TransportBenchmarkPeer {
    /// Set in the server's process; its value is the engine that encrypts packets.
    static let variable = "CYXBENCH_TRANSPORT_SERVER"
    static let echo = RPCMethod(rawValue: 0x0101)
    static let bulk = RPCMethod(rawValue: 0x0102)
    static let usage = RPCMethod(rawValue: 0x0103)

    private final class NoStorage: StorageDevice {
        func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
            throw .closed
        }
        func freeBytes() -> Int64 { 0 }
    }

    private final class NoWork: BlockingPool {
        func submit(_ work: @escaping @Sendable () -> Void) { work() }
    }

    static func make(
        _ reactor: Reactor, _ engine: AESGCM.Engine, identity: UInt16, address: SocketAddress
    ) throws -> UDPMessaging {
        var limits = TransportLimits()
        limits.handshakesPerSecond = 1_000_000
        limits.handshakeBurst = 1_000_000
        let environment = Environment.production(
            reactor: reactor, storage: NoStorage(), blocking: NoWork(),
            sink: LineLogSink.standardError(), minimumLevel: .warning, metrics: MetricsRegistry())
        let key = [UInt8](repeating: 1, count: 32)
        var configuration = TransportConfiguration(
            networkKey: key, networkID: NetworkID(Digest(1, 2, 3, 4)),
            identity: SigningKey(
                seed: [UInt8(identity >> 8)]
                    + [UInt8](repeating: UInt8(identity & 0xFF), count: 31)),
            limits: limits)
        configuration.engine = engine
        return try UDPMessaging(configuration, environment: environment, address: address)
    }

    static func makeServer(
        _ reactor: Reactor, _ engine: AESGCM.Engine
    ) throws -> UDPMessaging {
        let server = try make(
            reactor, engine, identity: 2, address: SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
        let payload = [UInt8](repeating: 7, count: TransportBenchmark.responseBytes)
        server.handle(echo) { _, request in request }
        server.handle(bulk) { _, _ in payload }
        server.handle(usage) { _, request in
            if let first = request.first { baseline_count_allocations(Int32(first)) }
            return Usage.ofThread().encoded
        }
        server.start()
        return server
    }

    /// The server's process: prints its port and serves until its parent is gone.
    static func serveUntilOrphaned(_ engine: AESGCM.Engine) throws {
        let parent = getppid()
        let reactor = try Reactor()
        try reactor.run {
            let server = try makeServer(reactor, engine)
            print(server.localAddress.port)
            fflush(nil)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await server.run() }
                while getppid() == parent { await pause(reactor) }
                group.cancelAll()
            }
        }
    }

    private static func pause(_ reactor: Reactor) async {
        await withCheckedContinuation { continuation in
            _ = reactor.schedule(at: reactor.now() + .milliseconds(200)) { continuation.resume() }
        }
    }
}

/// The benchmark's server: a process of its own, or a thread of this one for the test suite.
struct ServerProcess: Sendable {
    let port: UInt16
    private let process: pid_t?
    private let reactor: Reactor?

    static func spawned(_ engine: AESGCM.Engine) throws -> ServerProcess {
        var descriptors: [Int32] = [0, 0]
        guard pipe(&descriptors) == 0 else {
            throw TransportBenchmark.Failure(description: "no pipe")
        }
        setenv(TransportBenchmarkPeer.variable, engine.rawValue, 1)
        defer { unsetenv(TransportBenchmarkPeer.variable) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, descriptors[1], STDOUT_FILENO)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var process: pid_t = 0
        let name = strdup("cyxbench")
        let argument = strdup("transport")
        defer {
            free(name)
            free(argument)
        }
        let code = posix_spawn(
            &process, "/proc/self/exe", &actions, nil, [name, argument, nil], environ)
        close(descriptors[1])
        defer { close(descriptors[0]) }
        guard code == 0 else {
            throw TransportBenchmark.Failure(description: "cannot start the server: \(code)")
        }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptors[0], &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        guard let port = UInt16(String(decoding: line, as: UTF8.self)) else {
            kill(process, SIGKILL)
            throw TransportBenchmark.Failure(description: "the server did not start")
        }
        return ServerProcess(port: port, process: process, reactor: nil)
    }

    static func inProcess(_ engine: AESGCM.Engine) throws -> ServerProcess {
        let reactor = try Reactor()
        try reactor.start()
        let server = try TransportBenchmarkPeer.makeServer(reactor, engine)
        // Ends with the reactor's thread.
        Task(executorPreference: reactor) { await server.run() }
        return ServerProcess(port: server.localAddress.port, process: nil, reactor: reactor)
    }

    func stop() {
        if let process {
            // It has nothing to save, and inherits blocked signals from the thread that spawned it.
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
        reactor?.stop()
    }
}
