internal import CyxCore
internal import CyxCrypto
internal import CyxTransport

/// Handshakes of one connection after the other, beside the arithmetic that they cannot do without.
extension TransportBenchmark {
    func handshakes(
        _ client: UDPMessaging, _ server: PeerContact, _ reactor: Reactor, count: Int
    ) async throws -> BenchmarkRow {
        let workers = 16
        let round = try await TransportBenchmark.timed(client, server, reactor) {
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
        return BenchmarkRow(
            "transport handshakes, CPU-bound", value: Double(count) / round.busiest,
            unit: "per s and core", baseline: 1 / (try handshakePrimitives(count)),
            baselineName: "its key agreements and signatures alone")
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
