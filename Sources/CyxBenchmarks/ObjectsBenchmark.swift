internal import CyxCore
internal import CyxCrypto
internal import CyxErasure
internal import CyxObjects
internal import CyxOverlay
internal import CyxStorage
internal import CyxTransport
internal import Glibc

/// One object in and out over 14 holders of this process, and what each step of it costs.
struct ObjectsBenchmark: Benchmark {
    let name = "objects"
    let summary = "PUT and GET over 14 holders in this process; CPU per MiB by step"

    private static let holders = 14
    private static let mebibyte = 1 << 20

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        let rounds = size == .full ? 5 : 1
        let steps = try measureSteps(rounds: rounds)
        let scratch = try ScratchDirectory()
        defer { scratch.remove() }
        let mebibytes = size == .full ? 64 : 2
        let whole = try await measureObject(
            scratch.path, bytes: mebibytes * ObjectsBenchmark.mebibyte, rounds: rounds)
        let sum = steps.write.reduce(0) { $0 + $1.cost }
        var rows = steps.write.map { step in
            BenchmarkRow(
                "objects write: \(step.name)", value: step.cost * 1e3, unit: "CPU ms/MiB",
                baseline: steps.copy * 1e3, baselineName: "memcpy of 1 MiB",
                direction: .lowerIsBetter)
        }
        rows += [
            BenchmarkRow(
                "objects PUT", value: whole.putCPU * 1e3, unit: "CPU ms/MiB", baseline: sum * 1e3,
                baselineName: "sum of its kernels", direction: .lowerIsBetter),
            BenchmarkRow(
                "objects GET", value: whole.getCPU * 1e3, unit: "CPU ms/MiB",
                baseline: steps.read * 1e3, baselineName: "sum of its kernels",
                direction: .lowerIsBetter),
            BenchmarkRow(
                "objects PUT throughput", value: whole.putRate, unit: "MiB/s", baseline: 1 / sum,
                baselineName: "one core of kernels"),
            BenchmarkRow(
                "objects GET throughput", value: whole.getRate, unit: "MiB/s",
                baseline: 1 / steps.read, baselineName: "one core of kernels"),
        ]
        return rows
    }

    // MARK: Steps

    private struct Step {
        var name: String
        /// CPU seconds per MiB of object.
        var cost: Double
    }

    private struct Steps {
        var write: [Step]
        var read: Double
        var copy: Double
    }

    private func measureSteps(rounds: Int) throws -> Steps {
        let chunk = (0..<ObjectsBenchmark.mebibyte).map {
            UInt8(truncatingIfNeeded: $0 &* 131 >> 3)
        }
        let coder = try ReedSolomon(dataShards: 10, parityShards: 4)
        let shard = [UInt8](repeating: 7, count: coder.shardSize(for: chunk.count))
        let key = [UInt8](repeating: 1, count: 32)
        let nonce = [UInt8](repeating: 0, count: 12)
        let cipher = AESGCM(key: key)
        let sealed = cipher.seal(nonce: nonce, plaintext: chunk)
        func cost(_ body: () throws -> Void) rethrows -> Double {
            var figures: [Double] = []
            for _ in 0..<max(rounds, 1) {
                figures.append(try Measurement.secondsPerCall(8, body))
            }
            return Measurement.median(figures)
        }
        var sink = 0
        let md5 = cost { sink &+= Int(MD5.hash(chunk)[0]) }
        let hash = cost { sink &+= Int(truncatingIfNeeded: BLAKE3.hash(chunk).word0) }
        let seal = cost { sink &+= cipher.seal(nonce: nonce, plaintext: chunk).count }
        let open = try cost { sink &+= try cipher.open(nonce: nonce, sealed: sealed).count }
        let encode = cost { sink &+= coder.encodeParity(chunk).count }
        let tree = cost {
            for _ in 0..<ObjectsBenchmark.holders {
                var builder = ShardTree.Builder()
                builder.update(shard)
                sink &+= Int(truncatingIfNeeded: builder.finalize().root.word0)
            }
        }
        let copy = cost { sink &+= (chunk.withUnsafeBytes { Array($0) }).count }
        precondition(sink != 1, "keeps the results alive")
        return Steps(
            write: [
                Step(name: "MD5 for the ETag", cost: md5), Step(name: "chunk key", cost: hash),
                Step(name: "AES-256-GCM", cost: seal),
                Step(name: "Reed-Solomon 10+4", cost: encode),
                Step(name: "hash trees, writer", cost: tree),
                Step(name: "hash trees, holders", cost: tree),
            ],
            read: tree * 10 / 14 + open, copy: copy)
    }

    // MARK: The whole

    private struct Whole {
        var putCPU: Double
        var getCPU: Double
        /// MiB/s.
        var putRate: Double
        var getRate: Double
    }

    private func measureObject(_ path: String, bytes count: Int, rounds: Int) async throws -> Whole
    {
        let reactor = try Reactor()
        try reactor.start()
        let pool = try ThreadPool()
        defer {
            reactor.stop()
            pool.stop()
        }
        return try await Task(executorPreference: reactor) {
            let network = LoopbackNetwork()
            for index in 0..<ObjectsBenchmark.holders {
                let directory = "\(path)/\(index)"
                mkdir(directory, 0o700)
                let environment = Environment.production(
                    reactor: reactor, storage: RocksDBDevice(path: directory), blocking: pool,
                    sink: LineLogSink.standardError(), minimumLevel: .warning,
                    metrics: MetricsRegistry())
                try await addHolder(index, environment, network)
            }
            let environment = Environment.production(
                reactor: reactor, storage: RocksDBDevice(path: path), blocking: pool,
                sink: LineLogSink.standardError(), minimumLevel: .warning,
                metrics: MetricsRegistry())
            let local = PeerID(BLAKE3.hash([255]))
            let gateway = ObjectGateway(
                context: ObjectContext(
                    environment: environment, messaging: LoopbackMessaging(local, network),
                    membership: LoopbackMembership(local, network), tables: LoopbackTables(),
                    timings: .production),
                accountSeed: [UInt8](repeating: 1, count: 32))
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await gateway.run() }
                let whole = try await measure(gateway, environment, count, rounds)
                group.cancelAll()
                return whole
            }
        }.value
    }

    private func addHolder(
        _ index: Int, _ environment: Environment, _ network: LoopbackNetwork
    ) async throws {
        let signing = SigningKey(seed: [UInt8](repeating: UInt8(index), count: 32))
        let peer = signing.verifyingKey.peerID
        let store = try await ShardStore.open(environment, allocated: 1 << 40)
        ShardHolder(
            environment: environment, messaging: LoopbackMessaging(peer, network), store: store,
            signing: signing, timings: .production
        ).start()
        let contact = PeerContact(peer: peer, address: SocketAddress(ip: 0, port: 0))
        let info = MemberInfo(
            contact: contact, roles: .storage, zone: "", store: store.storeID,
            allocatedBytes: 1 << 40, freeBytes: 1 << 40)
        network.add(Member(info: info, state: .alive, since: environment.now()))
    }

    private func measure(
        _ gateway: ObjectGateway, _ environment: Environment, _ count: Int, _ rounds: Int
    ) async throws -> Whole {
        let bytes = environment.random.bytes(count)
        let mebibytes = Double(count) / Double(ObjectsBenchmark.mebibyte)
        _ = try await gateway.createBucket("bench")
        var puts: [(cpu: Double, wall: Double)] = []
        var gets: [(cpu: Double, wall: Double)] = []
        for round in 0..<rounds {
            var options = PutOptions()
            options.size = UInt64(count)
            let start = (processSeconds(), Measurement.wallSeconds())
            _ = try await gateway.put(
                "key\(round)", in: "bench", options: options, body: SlicedBytes(bytes))
            let middle = (processSeconds(), Measurement.wallSeconds())
            var source = try await gateway.get("key\(round)", in: "bench", range: .whole).source
            var read = 0
            while let piece = try await source.next() { read += piece.count }
            let end = (processSeconds(), Measurement.wallSeconds())
            precondition(read == count, "what was put is read")
            puts.append((middle.0 - start.0, middle.1 - start.1))
            gets.append((end.0 - middle.0, end.1 - middle.1))
        }
        return Whole(
            putCPU: Measurement.median(puts.map(\.cpu)) / mebibytes,
            getCPU: Measurement.median(gets.map(\.cpu)) / mebibytes,
            putRate: mebibytes / Measurement.median(puts.map(\.wall)),
            getRate: mebibytes / Measurement.median(gets.map(\.wall)))
    }
}

/// CPU time of all threads of the process in seconds.
private func processSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// A body in pieces of the size that a gateway reads from its socket.
struct SlicedBytes: ByteSource {
    private static let pieceBytes = 256 << 10
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() async throws -> [UInt8]? {
        guard offset < bytes.count else { return nil }
        let end = min(offset + SlicedBytes.pieceBytes, bytes.count)
        defer { offset = end }
        return Array(bytes[offset..<end])
    }
}
