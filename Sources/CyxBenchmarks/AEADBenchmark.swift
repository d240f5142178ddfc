internal import CBaselines
internal import CyxCrypto

/// AES-256-GCM over packets of 1400 bytes against a bare OpenSSL loop in C.
struct AEADBenchmark: Benchmark {
    let name = "aead"
    let summary = "AES-256-GCM seal and open of 1400-byte packets; baseline: OpenSSL called from C"

    private static let packetSize = 1400

    /// The engine that is chosen by itself comes first, then what remains for other CPUs.
    func run(size: BenchmarkSize) async throws -> [BenchmarkRow] {
        try AESGCM.Engine.allCases.filter(\.isAvailable).flatMap { try measure($0, size) }
    }

    private func measure(_ engine: AESGCM.Engine, _ size: BenchmarkSize) throws -> [BenchmarkRow] {
        let calls = size == .full ? 200_000 : 100
        let rounds = size == .full ? 9 : 1
        let key = [UInt8](repeating: 7, count: 32)
        let nonce = [UInt8](repeating: 1, count: AESGCM.nonceSize)
        let aad = [UInt8](repeating: 2, count: 12)
        let plaintext = [UInt8](repeating: 3, count: AEADBenchmark.packetSize)
        let cipher = AESGCM(key: key, engine: engine)
        let sealed = cipher.seal(nonce: nonce, aad: aad, plaintext: plaintext)
        var output = [UInt8](repeating: 0, count: sealed.count)
        var rows: [BenchmarkRow] = []
        for seals in [true, false] {
            let seconds = try Measurement.interleaved(
                rounds: rounds,
                subject: {
                    try output.withUnsafeMutableBytes { output in
                        try nonce.withUnsafeBytes { nonce in
                            try aad.withUnsafeBytes { aad in
                                try (seals ? plaintext : sealed).withUnsafeBytes { input in
                                    try Measurement.secondsPerCall(calls) {
                                        if seals {
                                            cipher.seal(
                                                nonce: nonce, aad: aad, plaintext: input,
                                                into: output)
                                        } else {
                                            try cipher.open(
                                                nonce: nonce, aad: aad, sealed: input,
                                                into: .init(
                                                    rebasing: output[..<AEADBenchmark.packetSize]))
                                        }
                                    }
                                }
                            }
                        }
                    }
                },
                baseline: {
                    let seconds = baseline_aes_gcm(
                        seals ? 1 : 0, AEADBenchmark.packetSize, calls)
                    return seconds > 0 ? seconds : nil
                })
            rows.append(
                BenchmarkRow(
                    "aes-256-gcm \(seals ? "seal" : "open") 1400 B, \(engine.rawValue)",
                    value: Double(AEADBenchmark.packetSize) / seconds.subject / 1e9, unit: "GB/s",
                    baseline: seconds.baseline.map { Double(AEADBenchmark.packetSize) / $0 / 1e9 },
                    baselineName: "OpenSSL from C"))
        }
        return rows
    }
}
