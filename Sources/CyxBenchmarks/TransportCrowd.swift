internal import CBaselines
internal import CyxCore
internal import CyxCrypto
internal import CyxTransport
internal import Glibc

/// Small messages of 1,000 peers, each with a socket and a connection of its own, to one server.
struct TransportCrowd {
    static let clients = 1000
    static let messages = 60_000

    private struct Baseline: Sendable {
        var elapsed: Double
        var clientCPU: Double
        var serverCPU: Double
        var latencies: [Double]
    }

    private let reactor: Reactor
    private let engine: AESGCM.Engine
    private let server: PeerContact
    private let isFull: Bool

    init(
        _ reactor: Reactor, _ engine: AESGCM.Engine, _ server: PeerContact, _ size: BenchmarkSize
    ) {
        self.reactor = reactor
        self.engine = engine
        self.server = server
        isFull = size == .full
    }

    private var count: Int { isFull ? TransportCrowd.clients : 4 }

    func run(_ client: UDPMessaging) async throws -> [BenchmarkRow] {
        try raiseDescriptorLimit()
        let before = try await TransportBenchmark.serverUsage(client, server)
        var clients: [UDPMessaging] = []
        for index in 0..<count {
            let peer = try TransportBenchmarkPeer.make(
                reactor, engine, identity: UInt16(256 + index),
                address: SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
            peer.start()
            _ = try await peer.identify(server.address, timeout: .seconds(5))
            clients.append(peer)
        }
        let after = try await TransportBenchmark.serverUsage(client, server)
        var rows: [BenchmarkRow] = []
        for concurrency in [TransportBenchmark.smallConcurrency, count] {
            rows += try await exchange(clients, client, concurrency: min(count, concurrency))
        }
        if isFull {
            rows.append(
                BenchmarkRow(
                    "transport memory of the server per connection",
                    value: Double(after.residentBytes - before.residentBytes) / Double(count)
                        / 1024,
                    unit: "KiB", baseline: nil, baselineName: "no baseline",
                    direction: .lowerIsBetter))
        }
        for peer in clients { await peer.shutDown() }
        return rows
    }

    /// `concurrency` messages on their way, each next one over the next connection in turn.
    private func exchange(
        _ clients: [UDPMessaging], _ client: UDPMessaging, concurrency: Int
    ) async throws -> [BenchmarkRow] {
        let messages = isFull ? TransportCrowd.messages : 40
        let request = [UInt8](repeating: 5, count: TransportBenchmark.smallBytes)
        let workers = Workers(count: concurrency, calls: messages)
        var latencies: [Double] = []
        let round = try await TransportBenchmark.timed(client, server, reactor) {
            latencies = try await workers.run(reactor) { call in
                _ = try await clients[call % clients.count].call(
                    server.peer, TransportBenchmarkPeer.echo, request, timeout: .seconds(10))
            }
        }
        latencies.sort()
        let pool = try ThreadPool(threadCount: 1)
        defer { pool.stop() }
        let baseline = await pool.run {
            var latencies = [Double](repeating: 0, count: messages)
            var cpu = [0.0, 0.0]
            let elapsed = baseline_udp_messages(
                clients.count, messages, TransportBenchmark.smallBytes, concurrency, &latencies,
                &cpu)
            guard elapsed > 0 else { return nil as Baseline? }
            return Baseline(
                elapsed: elapsed, clientCPU: cpu[0], serverCPU: cpu[1],
                latencies: latencies.sorted())
        }
        let name = "transport 100 B calls, \(clients.count) connections, \(concurrency) at once"
        func latency(_ percentile: String, _ share: Double) -> BenchmarkRow {
            BenchmarkRow(
                "\(name), \(percentile)", value: Measurement.percentile(latencies, share) * 1e6,
                unit: "µs",
                baseline: baseline.map { Measurement.percentile($0.latencies, share) * 1e6 },
                baselineName: "plain UDP from C", direction: .lowerIsBetter)
        }
        func rate(_ name: String, _ seconds: Double, _ baseline: Double?) -> BenchmarkRow {
            BenchmarkRow(
                name, value: Double(messages) / seconds, unit: "calls/s",
                baseline: baseline.map { Double(messages) / $0 }, baselineName: "plain UDP from C")
        }
        func cost(_ side: String, _ seconds: Double, _ baseline: Double?) -> BenchmarkRow {
            BenchmarkRow(
                "\(name), \(side) CPU per call", value: seconds / Double(messages) * 1e6,
                unit: "µs", baseline: baseline.map { $0 / Double(messages) * 1e6 },
                baselineName: "plain UDP from C", direction: .lowerIsBetter)
        }
        return [
            rate(name, round.elapsed, baseline?.elapsed),
            cost("server", round.serverCPU, baseline?.serverCPU),
            cost("clients'", round.clientCPU, baseline?.clientCPU),
            latency("p50", 0.5), latency("p99", 0.99),
        ]
    }

    /// A socket each, for the clients and for the baseline's.
    private func raiseDescriptorLimit() throws {
        var limit = rlimit()
        let wanted = rlim_t(2 * count + 256)
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            limit.rlim_cur < wanted
        else { return }
        limit.rlim_cur = min(wanted, limit.rlim_max)
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            limit.rlim_cur == wanted
        else {
            throw TransportBenchmark.Failure(description: "needs \(wanted) open files")
        }
    }
}

/// Calls that several tasks make one after the other each.
struct Workers: Sendable {
    var count: Int
    var calls: Int

    /// Makes every call once; gives the seconds that each took.
    func run(
        _ reactor: Reactor, _ body: @escaping @Sendable (_ call: Int) async throws -> Void
    ) async throws -> [Double] {
        try await withThrowingTaskGroup(of: [Double].self) { group in
            for worker in 0..<count {
                group.addTask {
                    var latencies: [Double] = []
                    for call in stride(from: worker, to: calls, by: count) {
                        let start = reactor.now()
                        try await body(call)
                        latencies.append((reactor.now() - start).inSeconds)
                    }
                    return latencies
                }
            }
            return try await group.reduce([], +)
        }
    }
}
