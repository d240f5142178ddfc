internal import CBaselines
internal import CyxCore
internal import CyxStorage
internal import Glibc

/// Durable shards of 105 KB by 32 writers against appends to a plain file that share fdatasync.
struct StoreBenchmark: Benchmark {
    let name = "store"
    let summary = "durable 105 KB puts by 32 writers; baseline: a plain file with shared fdatasync"

    private static let shardBytes = 105_000
    private static let writers = 32

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// What one round of the store measured.
    private struct Round {
        var bytesPerSecond: Double
        var writeAmplification: Double?
        var latencies: [Double]
        var openSeconds: Double
    }

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        let puts = size == .full ? 6400 : 64
        let rounds = size == .full ? 5 : 1
        let scratch = try ScratchDirectory()
        defer { scratch.remove() }
        let path = scratch.path
        var subjects: [Round] = []
        var baselines: [Double] = []
        for round in 0..<rounds {
            let bytes = Double(puts * StoreBenchmark.shardBytes)
            let seconds = baseline_durable_appends(
                "\(path)/plain", StoreBenchmark.writers, puts, StoreBenchmark.shardBytes)
            guard seconds > 0 else { throw Failure(description: "cannot write to \(path)") }
            baselines.append(bytes / seconds)
            let directory = "\(path)/store-\(round)"
            mkdir(directory, 0o700)
            subjects.append(try await measureStore(directory, puts: puts))
            removeTree(directory)
        }
        return rows(subjects, baselines)
    }

    private func rows(_ rounds: [Round], _ baselines: [Double]) -> [BenchmarkRow] {
        let latencies = rounds.flatMap(\.latencies).sorted()
        let amplifications = rounds.compactMap(\.writeAmplification)
        var rows = [
            BenchmarkRow(
                "store durable puts", value: Measurement.median(rounds.map(\.bytesPerSecond)) / 1e6,
                unit: "MB/s", baseline: Measurement.median(baselines) / 1e6,
                baselineName: "plain file, shared fdatasync"),
            BenchmarkRow(
                "store put latency p50", value: percentile(latencies, 0.5) * 1e3, unit: "ms",
                baseline: nil, baselineName: "no baseline", direction: .lowerIsBetter),
            BenchmarkRow(
                "store put latency p99", value: percentile(latencies, 0.99) * 1e3, unit: "ms",
                baseline: nil, baselineName: "no baseline", direction: .lowerIsBetter),
            BenchmarkRow(
                "store reopen", value: Measurement.median(rounds.map(\.openSeconds)) * 1e3,
                unit: "ms", baseline: nil, baselineName: "no baseline",
                direction: .lowerIsBetter),
        ]
        if amplifications.count == rounds.count {
            rows.append(
                BenchmarkRow(
                    "store write amplification", value: Measurement.median(amplifications),
                    unit: "x", baseline: 1, baselineName: "bytes put", direction: .lowerIsBetter))
        }
        return rows
    }

    private func percentile(_ sorted: [Double], _ share: Double) -> Double {
        sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }

    private func measureStore(_ directory: String, puts: Int) async throws -> Round {
        let reactor = try Reactor()
        try reactor.start()
        let pool = try ThreadPool()
        let environment = Environment.production(
            reactor: reactor, storage: RocksDBDevice(path: directory), blocking: pool,
            sink: LineLogSink.standardError(), minimumLevel: .warning, metrics: MetricsRegistry())
        defer {
            reactor.stop()
            pool.stop()
        }
        return try await Task(executorPreference: reactor) {
            let store = try await ShardStore.open(environment, allocated: 1 << 40)
            let bytes = environment.random.bytes(StoreBenchmark.shardBytes)
            let written = writtenBytes()
            let start = environment.now()
            let latencies = try await writeAll(store, bytes, puts: puts, environment)
            let seconds = (environment.now() - start).inSeconds
            let total = Double(puts * StoreBenchmark.shardBytes)
            let amplification = written.flatMap { before in
                writtenBytes().map { Double($0 - before) / total }
            }
            await store.close()
            let reopening = environment.now()
            let again = try await ShardStore.open(environment, allocated: 1 << 40)
            let openSeconds = (environment.now() - reopening).inSeconds
            guard await again.usage.shards == Int64(puts) else {
                throw Failure(description: "shards are missing after reopening")
            }
            await again.close()
            return Round(
                bytesPerSecond: total / seconds, writeAmplification: amplification,
                latencies: latencies, openSeconds: openSeconds)
        }.value
    }

    private func writeAll(
        _ store: ShardStore, _ bytes: [UInt8], puts: Int, _ environment: Environment
    ) async throws -> [Double] {
        try await withThrowingTaskGroup(of: [Double].self) { group in
            for writer in 0..<StoreBenchmark.writers {
                group.addTask {
                    var latencies: [Double] = []
                    let segment = SegmentID(environment.random.digest())
                    for chunk in 0..<puts / StoreBenchmark.writers {
                        let key = ShardKey(
                            segment: segment, index: UInt8(writer), chunk: UInt32(chunk))
                        let start = environment.now()
                        try await store.put([(key, bytes)])
                        latencies.append((environment.now() - start).inSeconds)
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

/// Bytes that this process caused to be sent to storage (proc_pid_io(5)); nil where it is hidden.
private func writtenBytes() -> Int64? {
    guard let text = output(ofCommand: "cat /proc/\(getpid())/io") else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix("write_bytes:") }
    return line?.split(separator: " ").last.flatMap { Int64($0) }
}
