internal import CBaselines
internal import CyxCore
internal import CyxCrypto
internal import CyxTransport
internal import Glibc

/// One encrypted connection over loopback between two processes, against bare encrypted UDP.
struct TransportBenchmark: Benchmark {
    let name = "transport"
    let summary = "calls over one connection; baseline: windowed UDP with AES-GCM per packet, in C"

    static let responseBytes = 1 << 20
    static let bulkConcurrency = 8
    /// Bytes of a turn of the stream or of its baseline: a tenth of a second, in which a shared
    /// machine mostly keeps its speed.
    static let turnMiB = 128
    static let turns = 20
    static let smallBytes = 100
    static let smallConcurrency = 64

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// What is measured, in this order.
    enum Part: String {
        case stream, calls, crowd, handshakes, allocations

        /// All, or what this variable names, separated by commas.
        static let variable = "CYXBENCH_TRANSPORT_PARTS"

        var isWanted: Bool {
            guard let wanted = getenv(Part.variable) else { return true }
            return String(cString: wanted).split(separator: ",").contains { $0 == rawValue }
        }
    }

    /// Elapsed and CPU seconds of one round.
    struct Round: Sendable {
        var elapsed: Double
        var clientCPU: Double
        var serverCPU: Double
        /// The side that works longest bounds what a free machine would reach.
        var busiest: Double { max(clientCPU, serverCPU) }
    }

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        if let value = getenv(TransportBenchmarkPeer.variable) {
            let engine = AESGCM.Engine(rawValue: String(cString: value)) ?? .best
            try TransportBenchmarkPeer.serveUntilOrphaned(engine)
            return []
        }
        var rows: [BenchmarkRow] = []
        for engine in AESGCM.Engine.allCases where engine.isAvailable {
            rows += try await measure(engine, size)
        }
        return rows
    }

    private func measure(
        _ engine: AESGCM.Engine, _ size: BenchmarkSize
    ) async throws -> [BenchmarkRow] {
        let reactor = try Reactor()
        try reactor.start()
        defer { reactor.stop() }
        let server =
            try size == .full
            ? ServerProcess.spawned(engine) : ServerProcess.inProcess(engine)
        defer { server.stop() }
        let address = SocketAddress(ipv4: (127, 0, 0, 1), port: server.port)
        return try await Task(executorPreference: reactor) {
            let client = try TransportBenchmarkPeer.make(
                reactor, engine, identity: 1,
                address: SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
            client.start()
            let contact = try await client.identify(address, timeout: .seconds(5))
            var rows: [BenchmarkRow] = []
            if Part.stream.isWanted {
                rows += try await stream(client, contact, reactor, engine, size)
            }
            // The rest hardly feels the cipher: once will do.
            guard engine == .best else {
                await client.shutDown()
                return rows
            }
            let isFull = size == .full
            if Part.calls.isWanted {
                rows += try await smallCalls(
                    client, contact, reactor, count: isFull ? 100_000 : 100)
            }
            if Part.crowd.isWanted {
                rows += try await TransportCrowd(reactor, engine, contact, size).run(client)
            }
            if Part.handshakes.isWanted {
                rows += try await handshakes(
                    client, contact, reactor, count: isFull ? 3000 : 9)
            }
            if Part.allocations.isWanted {
                rows += try await allocations(client, contact, calls: isFull ? 128 : 2)
            }
            await client.shutDown()
            return rows
        }.value
    }

    private func stream(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor,
        _ engine: AESGCM.Engine, _ size: BenchmarkSize
    ) async throws -> [BenchmarkRow] {
        let isFull = size == .full
        let pool = try ThreadPool(threadCount: 1)
        defer { pool.stop() }
        let bytes = (isFull ? TransportBenchmark.turnMiB : 4) << 20
        var rounds: [Round] = []
        var baselines: [Round] = []
        // The first turn is not counted: both touch their memory for the first time.
        for turn in 0..<(isFull ? TransportBenchmark.turns + 1 : 2) {
            // Off the reactor: a connection whose peer stands still for seconds is closed.
            let baseline = await pool.run {
                var cpu = [0.0, 0.0]
                let elapsed = baseline_udp_stream(engine == .ipsecMB ? 1 : 0, bytes, &cpu)
                return Round(elapsed: elapsed, clientCPU: cpu[1], serverCPU: cpu[0])
            }
            let round = try await TransportBenchmark.timed(client, server, reactor) {
                try await bulk(client, server, bytes: bytes)
            }
            guard turn > 0 else { continue }
            rounds.append(round)
            if baseline.elapsed > 0 { baselines.append(baseline) }
        }
        let hasBaseline = baselines.count == rounds.count
        func row(
            _ name: String, _ unit: String, _ direction: BenchmarkRow.Direction,
            _ figure: (Round) -> Double
        ) -> BenchmarkRow {
            let (own, others) = (rounds.map(figure), baselines.map(figure))
            let isHigherBetter = direction == .higherIsBetter
            return BenchmarkRow(
                "\(name), \(engine.rawValue)", value: Measurement.median(own), unit: unit,
                baseline: hasBaseline ? Measurement.median(others) : nil,
                baselineName: "UDP with \(engine.rawValue) from C", direction: direction,
                paired: hasBaseline
                    ? Measurement.pairedRatio(
                        isHigherBetter ? own : others, isHigherBetter ? others : own) : nil)
        }
        func goodput(_ name: String, _ seconds: (Round) -> Double) -> BenchmarkRow {
            row(name, "Gbit/s", .higherIsBetter) { Double(bytes) * 8 / 1e9 / seconds($0) }
        }
        func cost(_ name: String, _ seconds: (Round) -> Double) -> BenchmarkRow {
            row(name, "ns/byte", .lowerIsBetter) { seconds($0) / Double(bytes) * 1e9 }
        }
        return [
            goodput("transport goodput, CPU-bound", \.busiest),
            goodput("transport goodput, elapsed", \.elapsed),
            cost("transport sender CPU", \.serverCPU), cost("transport receiver CPU", \.clientCPU),
        ]
    }

    static func timed(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor,
        _ body: () async throws -> Void
    ) async throws -> Round {
        let before = try await TransportBenchmark.serverUsage(client, server).cpuSeconds
        let start = reactor.now()
        let cpu = Measurement.threadSeconds()
        try await body()
        let elapsed = (reactor.now() - start).inSeconds
        let used = Measurement.threadSeconds() - cpu
        return Round(
            elapsed: elapsed, clientCPU: used,
            serverCPU: try await TransportBenchmark.serverUsage(client, server).cpuSeconds
                - before)
    }

    /// What the server's reactor thread has used; counts its allocations from now on, or no more.
    static func serverUsage(
        _ client: UDPMessaging, _ server: PeerContact, counting: Bool? = nil
    ) async throws -> Usage {
        let bytes = try await client.call(
            server.peer, TransportBenchmarkPeer.usage, counting.map { [$0 ? 1 : 0] } ?? [],
            timeout: .seconds(10))
        guard let usage = Usage(encoded: bytes) else {
            throw Failure(description: "the server did not say what it used")
        }
        return usage
    }

    func bulk(
        _ client: UDPMessaging, _ server: PeerContact, bytes: Int
    ) async throws {
        let calls = bytes / TransportBenchmark.responseBytes
        let workers = TransportBenchmark.bulkConcurrency
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<workers {
                group.addTask {
                    for _ in stride(from: worker, to: calls, by: workers) {
                        let body = try await client.call(
                            server.peer, TransportBenchmarkPeer.bulk, [], timeout: .seconds(30))
                        guard body.count == TransportBenchmark.responseBytes else {
                            throw Failure(description: "a response of the wrong size")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func smallCalls(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor, count: Int
    ) async throws -> [BenchmarkRow] {
        let request = [UInt8](repeating: 5, count: TransportBenchmark.smallBytes)
        func run(_ workers: Int, _ calls: Int) async throws -> [Double] {
            try await Workers(count: workers, calls: calls).run(reactor) { _ in
                _ = try await client.call(
                    server.peer, TransportBenchmarkPeer.echo, request, timeout: .seconds(10))
            }
        }
        let alone = try await run(1, count / 10).sorted()
        var latencies: [Double] = []
        let round = try await TransportBenchmark.timed(client, server, reactor) {
            latencies = try await run(TransportBenchmark.smallConcurrency, count).sorted()
        }
        func latency(_ name: String, _ sorted: [Double], _ share: Double) -> BenchmarkRow {
            BenchmarkRow(
                name, value: Measurement.percentile(sorted, share) * 1e6, unit: "µs",
                baseline: nil, baselineName: "no baseline", direction: .lowerIsBetter)
        }
        return [
            BenchmarkRow(
                "transport 100 B calls, 64 at once", value: Double(count) / round.elapsed,
                unit: "calls/s", baseline: nil, baselineName: "no baseline"),
            BenchmarkRow(
                "transport 100 B calls, CPU-bound", value: Double(count) / round.busiest,
                unit: "calls/s", baseline: nil, baselineName: "no baseline"),
            latency("transport 100 B call p50, 64 at once", latencies, 0.5),
            latency("transport 100 B call p99, 64 at once", latencies, 0.99),
            latency("transport 100 B call p50, alone", alone, 0.5),
            latency("transport 100 B call p99, alone", alone, 0.99),
        ]
    }
}
