internal import CBaselines
internal import CyxCore
internal import CyxCrypto

/// BLAKE3 on one thread against the `blake3` wheel in the Python environment `make deps` creates, and
/// CRC-64/NVME against what ISA-L makes of another polynomial of that degree.
struct HashBenchmark: Benchmark {
    let name = "hash"
    let summary =
        "BLAKE3 at 1 MiB and 105 KB and CRC64NVME, one thread; baselines: the blake3 wheel, ISA-L"

    private static let python = ".venv/bin/python"

    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        let cases = [("blake3 1 MiB", 1 << 20), ("blake3 105 KB", 105 << 10)]
        return checks(size: size)
            + cases.map { name, count in
                // Many short turns: a neighbour's load comes and goes within a second, and medians of
                // few long ones would compare one side's quiet half with the other's busy half.
                let bytesPerRound = size == .full ? 256 << 20 : 1 << 20
                let calls = max(bytesPerRound / count, 1)
                let input = (0..<count).map { UInt8($0 % 251) }
                var digest = Digest.zero
                let seconds = Measurement.interleaved(
                    rounds: size == .full ? 25 : 1,
                    subject: {
                        digest = BLAKE3.hash(input)  // warms the caches, as the script below does
                        return Measurement.secondsPerCall(calls) {
                            digest = digest ^ BLAKE3.hash(input)
                        }
                    },
                    baseline: { size == .full ? wheelSeconds(count: count, calls: calls) : nil })
                return BenchmarkRow(
                    name, value: Double(count) / seconds.subject / 1e9, unit: "GB/s",
                    baseline: seconds.baseline.map { Double(count) / $0 / 1e9 },
                    baselineName: seconds.baseline == nil
                        ? "blake3 wheel not found in .venv; run make deps" : "blake3 wheel")
            }
    }

    private func checks(size: BenchmarkSize) -> [BenchmarkRow] {
        [("crc64nvme 1 MiB", 1 << 20), ("crc64nvme 4 KiB", 4 << 10)].map { name, count in
            let calls = max((size == .full ? 256 << 20 : 1 << 20) / count, 1)
            let input = (0..<count).map { UInt8($0 % 251) }
            var sum: UInt64 = 0
            let seconds = Measurement.interleaved(
                rounds: size == .full ? 25 : 1,
                subject: {
                    Measurement.secondsPerCall(calls) { sum ^= CRC.crc64NVME(input) }
                },
                baseline: { baseline_crc64(count, calls) })
            return BenchmarkRow(
                name, value: Double(count) / seconds.subject / 1e9, unit: "GB/s",
                baseline: seconds.baseline.map { Double(count) / $0 / 1e9 },
                baselineName: "ISA-L's crc64_ecma_refl")
        }
    }

    /// CPU seconds per hash that the wheel takes in a process of its own; nil if it cannot run.
    private func wheelSeconds(count: Int, calls: Int) -> Double? {
        guard isExecutable(HashBenchmark.python) else { return nil }
        let script =
            "import blake3,time; d=bytes(i%251 for i in range(\(count))); h=blake3.blake3; h(d); "
            + "c=time.thread_time(); [h(d).digest() for _ in range(\(calls))]; "
            + "print((time.thread_time()-c)/\(calls))"
        guard let text = output(ofCommand: "\(HashBenchmark.python) -c '\(script)' 2>/dev/null")
        else { return nil }
        return Double(text.prefix { !$0.isWhitespace })
    }
}
