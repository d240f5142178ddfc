internal import CBaselines
internal import CyxCore
internal import CyxCrypto
internal import CyxTransport

/// Handshakes of one connection after the other, beside the arithmetic that they cannot do without:
/// by OpenSSL, which is the same on any machine, and by what this program uses instead.
extension TransportBenchmark {
    private static let handshakeTurns = 10

    func handshakes(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor, count: Int
    ) async throws -> [BenchmarkRow] {
        let turns = min(count, TransportBenchmark.handshakeTurns)
        let perRound = count / turns
        var rounds: [Round] = []
        var openSSL: [Double] = []
        var own: [Double] = []
        for _ in 0..<turns {
            rounds.append(try await dials(client, server, reactor, count: perRound))
            openSSL.append(baseline_handshake(perRound))
            own.append(try handshakePrimitives(perRound))
        }
        let failed = openSSL.contains { $0 < 0 }
        let rates = rounds.map { Double(perRound) / $0.busiest }
        let baselines = openSSL.map { 1 / $0 }
        func cost(_ side: String, _ seconds: (Round) -> Double) -> BenchmarkRow {
            BenchmarkRow(
                "transport handshake CPU, \(side)",
                value: Measurement.median(rounds.map(seconds)) / Double(perRound) * 1e6,
                unit: "µs", baseline: Measurement.median(own) * 1e6,
                baselineName: "its key agreements and signatures alone",
                direction: .lowerIsBetter,
                paired: Measurement.pairedRatio(
                    own.map { $0 * Double(perRound) }, rounds.map(seconds)))
        }
        return [
            BenchmarkRow(
                "transport handshakes, CPU-bound", value: Measurement.median(rates),
                unit: "per s and core", baseline: failed ? nil : Measurement.median(baselines),
                baselineName: "OpenSSL's X25519 and Ed25519 for one side alone",
                paired: failed ? nil : Measurement.pairedRatio(rates, baselines)),
            cost("client", \.clientCPU), cost("server", \.serverCPU),
        ]
    }

    private func dials(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor, count: Int
    ) async throws -> Round {
        let workers = 16
        return try await TransportBenchmark.timed(client, server, reactor) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<workers {
                    group.addTask {
                        for _ in stride(from: worker, to: count, by: workers) {
                            _ = try await client.identify(server.address, timeout: .seconds(10))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    /// CPU seconds of what each side of a handshake cannot do without: one key pair, three shared
    /// secrets, one signature and one verification.
    private func handshakePrimitives(_ count: Int) throws -> Double {
        let key = SigningKey(seed: [UInt8](repeating: 1, count: SigningKey.seedSize))
        let other = X25519.PrivateKey(bytes: [UInt8](repeating: 2, count: X25519.keySize))
        let statement = [UInt8](repeating: 3, count: 49)
        var seed = [UInt8](repeating: 4, count: X25519.keySize)
        return try Measurement.secondsPerCall(count) {
            let pair = X25519.PrivateKey(bytes: seed)
            for _ in 0..<3 { seed = try pair.sharedSecret(with: other.publicKey) }
            let signature = key.sign(statement)
            guard key.verifyingKey.isValid(signature: signature, for: statement) else {
                throw Failure(description: "a signature that does not verify")
            }
        }
    }
}
