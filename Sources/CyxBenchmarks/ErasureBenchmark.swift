internal import CBaselines
internal import CyxErasure

/// Reed–Solomon 10+4 over 1 MiB against ISA-L called from C.
struct ErasureBenchmark: Benchmark {
    let name = "erasure"
    let summary = "10+4 encode of 1 MiB and decode of 4 lost shards; baseline: ISA-L called from C"

    private static let dataShards = 10
    private static let parityShards = 4

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        let length = size == .full ? 1 << 20 : 1000
        let calls = size == .full ? 1000 : 3
        let rounds = size == .full ? 9 : 1
        let (k, m) = (ErasureBenchmark.dataShards, ErasureBenchmark.parityShards)
        let code = try ReedSolomon(dataShards: k, parityShards: m)
        let shardSize = code.shardSize(for: length)
        let data = (0..<k * shardSize).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var parity = [UInt8](repeating: 0, count: m * shardSize)
        let encoding = Measurement.interleaved(
            rounds: rounds,
            subject: {
                Measurement.secondsPerCall(calls) {
                    data.withUnsafeBytes { data in
                        parity.withUnsafeMutableBytes { code.encode(data, into: $0) }
                    }
                }
            },
            baseline: { baseline_erasure(0, k, m, shardSize, calls) })
        let shards: [[UInt8]?] = (0..<k + m).map { index in
            if index < m { return nil }
            return index < k
                ? Array(data[index * shardSize..<(index + 1) * shardSize])
                : Array(parity[(index - k) * shardSize..<(index - k + 1) * shardSize])
        }
        var recovered = [UInt8](repeating: 0, count: m * shardSize)
        let decoding = try Measurement.interleaved(
            rounds: rounds,
            subject: {
                try Measurement.secondsPerCall(calls) {
                    try recovered.withUnsafeMutableBytes {
                        try code.rebuild(Array(0..<m), from: shards, into: $0)
                    }
                }
            },
            baseline: { baseline_erasure(1, k, m, shardSize, calls) })
        precondition(recovered.elementsEqual(data[..<(m * shardSize)]), "what was lost comes back")
        return [("encode", encoding), ("decode 4 lost", decoding)].map { name, seconds in
            BenchmarkRow(
                "reed-solomon 10+4 \(name)", value: Double(k * shardSize) / seconds.subject / 1e9,
                unit: "GB/s",
                baseline: seconds.baseline.map { Double(k * shardSize) / $0 / 1e9 },
                baselineName: "ISA-L from C")
        }
    }
}
