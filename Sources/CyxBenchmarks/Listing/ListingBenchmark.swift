internal import CyxCore
internal import CyxCrypto
internal import CyxObjects
internal import CyxOverlay
internal import CyxStorage
internal import CyxTables
internal import CyxTransport
internal import Glibc

/// Listings of a large bucket: a gateway beside the one custodian of its rows, in this process, both
/// on RocksDB. The keys come in by real PUTs of objects that lie in their rows.
struct ListingBenchmark: Benchmark {
    let name = "listing"
    let summary = "pages of a bucket of 100,000 keys (CYXBENCH_KEYS) by index and by scan"

    private static let bucket = "bench"
    /// Keys of one group, and PUTs at once.
    private static let groupKeys = 100
    private static let clients = 256

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        let asked = getenv("CYXBENCH_KEYS").flatMap { Int(String(cString: $0)) }
        let keys = size == .full ? asked ?? 100_000 : 300
        let rounds = size == .full ? 50 : 2
        let scratch = try ScratchDirectory()
        defer { scratch.remove() }
        let reactor = try Reactor()
        try reactor.start()
        let pool = try ThreadPool()
        defer {
            reactor.stop()
            pool.stop()
        }
        let path = scratch.path
        return try await Task(executorPreference: reactor) {
            let environment = { (directory: String) in
                mkdir("\(path)/\(directory)", 0o700)
                return Environment.production(
                    reactor: reactor, storage: RocksDBDevice(path: "\(path)/\(directory)"),
                    blocking: pool, sink: LineLogSink.standardError(), minimumLevel: .warning,
                    metrics: MetricsRegistry())
            }
            let custodian = try await Custodian(environment("custodian"))
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await custodian.tables.run() }
                try await custodian.load(keys)
                var rows = [try await scan(custodian, keys, rounds: min(rounds, 3))]
                let gateway = custodian.gateway(environment("gateway"))
                let serving = Task(executorPreference: reactor) { try await gateway.run() }
                rows += try await pages(gateway, keys, rounds: rounds, baseline: rows[0].value)
                serving.cancel()
                _ = await serving.result
                let bytes = output(ofCommand: "du -sb '\(path)/gateway/listings' | cut -f1")
                rows.append(
                    BenchmarkRow(
                        "listing index",
                        value: (bytes.flatMap { Double($0.dropLast()) } ?? 0)
                            / Double(keys), unit: "bytes/key", baseline: nil,
                        baselineName: "none"))
                let again = custodian.gateway(environment("gateway"))
                rows.append(
                    BenchmarkRow(
                        "listing first page after a restart",
                        value: try await seconds { try await first(again) } * 1e3, unit: "ms",
                        baseline: rows[0].value, baselineName: rows[0].name,
                        direction: .lowerIsBetter))
                group.cancelAll()
                return rows
            }
        }.value
    }

    /// What each listing took before there was an index: all heads from a quorum.
    private func scan(
        _ custodian: Custodian, _ keys: Int, rounds: Int
    ) async throws -> BenchmarkRow {
        var figures: [Double] = []
        for _ in 0..<rounds {
            figures.append(
                try await seconds {
                    let found = try await custodian.scanned()
                    precondition(found == keys, "every head is scanned")
                })
        }
        return BenchmarkRow(
            "listing scan of all heads", value: Measurement.median(figures) * 1e3, unit: "ms",
            baseline: nil, baselineName: "none", direction: .lowerIsBetter)
    }

    private func pages(
        _ gateway: ObjectGateway, _ keys: Int, rounds: Int, baseline: Double
    ) async throws -> [BenchmarkRow] {
        func row(_ name: String, _ seconds: Double) -> BenchmarkRow {
            BenchmarkRow(
                "listing \(name)", value: seconds * 1e3, unit: "ms", baseline: baseline,
                baselineName: "scan of all heads", direction: .lowerIsBetter)
        }
        let cold = try await seconds { try await first(gateway) }
        var warm: [Double] = []
        var fresh: [Double] = []
        for round in 0..<rounds {
            warm.append(try await seconds { try await first(gateway) })
            try await Custodian.put(round % keys, gateway)
            fresh.append(try await seconds { try await first(gateway) })
        }
        let all = try await seconds {
            var (request, found) = (ListRequest(), 0)
            while true {
                let page = try await gateway.list(ListingBenchmark.bucket, request)
                found += page.objects.count
                guard let marker = page.nextMarker else { break }
                request.startAfter = marker
            }
            precondition(found == keys, "every key is listed once")
        }
        var request = ListRequest()
        request.delimiter = "/"
        let groups = min(1000, (keys + ListingBenchmark.groupKeys - 1) / ListingBenchmark.groupKeys)
        let grouped = try await seconds {
            let page = try await gateway.list(ListingBenchmark.bucket, request)
            precondition(page.commonPrefixes.count == groups, "every group is listed")
        }
        return [
            row("first page, no index yet", cold),
            row("first page", Measurement.median(warm)),
            row("first page after a PUT", Measurement.median(fresh)),
            row("page of \(groups) common prefixes", grouped),
            BenchmarkRow(
                "listing all pages", value: Double(keys) / all, unit: "keys/s",
                baseline: Double(keys) * 1e3 / baseline, baselineName: "scan of all heads"),
        ]
    }

    private func first(_ gateway: ObjectGateway) async throws {
        let page = try await gateway.list(ListingBenchmark.bucket, ListRequest())
        precondition(!page.objects.isEmpty, "there are keys")
    }

    private func seconds(_ body: () async throws -> Void) async throws -> Double {
        let start = Measurement.wallSeconds()
        try await body()
        return Measurement.wallSeconds() - start
    }

    // MARK: The custodian

    /// The only peer of a network, which keeps its rows.
    private struct Custodian: Sendable {
        let tables: TableService
        private let network = LoopbackNetwork()
        private let peer: PeerID
        private let environment: Environment

        init(_ environment: Environment) async throws {
            let key = SigningKey(seed: [UInt8](repeating: 9, count: 32))
            let store = StoreID(BLAKE3.hash([9]))
            peer = key.verifyingKey.peerID
            self.environment = environment
            let contact = PeerContact(peer: peer, address: SocketAddress(ip: 0, port: 0))
            let info = MemberInfo(
                contact: contact, roles: .storage, zone: "", store: store,
                allocatedBytes: 1 << 40, freeBytes: 1 << 40)
            network.add(Member(info: info, state: .alive, since: environment.now()))
            var configuration = TablesConfiguration()
            configuration.isFounder = true
            configuration.timings = .devnet
            configuration.loggedTables = ObjectRowRules.loggedTables
            tables = try await TableService(
                environment: environment, key: key, storeID: store,
                messaging: LoopbackMessaging(peer, network),
                membership: LoopbackMembership(peer, network), configuration: configuration)
        }

        func gateway(_ environment: Environment) -> ObjectGateway {
            ObjectGateway(
                context: ObjectContext(
                    environment: environment, messaging: LoopbackMessaging(peer, network),
                    membership: LoopbackMembership(peer, network), tables: tables,
                    timings: .production),
                accountSeed: [UInt8](repeating: 1, count: 32))
        }

        static func put(_ number: Int, _ gateway: ObjectGateway) async throws {
            let digits = String(number % groupKeys + 100_000)
            let group = String(number / groupKeys + 1_000_000)
            _ = try await gateway.put(
                "photos-\(group)/\(digits).jpg", in: bucket, options: PutOptions(),
                body: SlicedBytes([UInt8](repeating: 7, count: 64)))
        }

        func load(_ keys: Int) async throws {
            let gateway = gateway(environment)
            _ = try await gateway.createBucket(bucket)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<clients {
                    group.addTask {
                        for number in stride(from: client, to: keys, by: clients) {
                            try await Custodian.put(number, gateway)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        /// How many heads there are, page by page as listings read them.
        func scanned() async throws -> Int {
            var (found, after) = (0, RowKey?.none)
            while true {
                let page = try await tables.scan(
                    .heads, position: .zero, prefixBits: 0, after: after,
                    limit: RowLimits.scanPageRows)
                found += page.count
                guard page.count == RowLimits.scanPageRows else { return found }
                after = page.last?.key
            }
        }
    }
}
