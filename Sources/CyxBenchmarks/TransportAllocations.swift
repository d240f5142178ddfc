internal import CBaselines
internal import CyxCore
internal import CyxTransport

/// Heap allocations of both sides' reactor threads in steady state, in a run of its own, because
/// counting takes time.
extension TransportBenchmark {
    /// Bytes of a stream in a packet of 1400: less the header, the tag and the frame around them.
    static let bytesPerPacket = 1362

    func allocations(
        _ client: UDPMessaging, _ server: PeerContact, calls: Int
    ) async throws -> [BenchmarkRow] {
        baseline_count_allocations(1)
        _ = try await TransportBenchmark.serverUsage(client, server, counting: true)
        let large = try await allocationsPerCall(client, server, calls) { calls in
            try await bulk(client, server, bytes: calls * TransportBenchmark.responseBytes)
        }
        let small = try await allocationsPerCall(client, server, calls) { calls in
            for _ in 0..<calls {
                _ = try await client.call(
                    server.peer, TransportBenchmarkPeer.echo,
                    [UInt8](repeating: 5, count: TransportBenchmark.smallBytes),
                    timeout: .seconds(10))
            }
        }
        _ = try await TransportBenchmark.serverUsage(client, server, counting: false)
        baseline_count_allocations(0)
        let packets =
            Double(TransportBenchmark.responseBytes) / Double(TransportBenchmark.bytesPerPacket)
        func row(_ name: String, _ value: Double, _ unit: String) -> BenchmarkRow {
            BenchmarkRow(
                "transport allocations, \(name)", value: value, unit: unit, baseline: nil,
                baselineName: "no baseline", direction: .lowerIsBetter)
        }
        return [
            row("sender of 1 MiB", large.server / packets, "per packet"),
            row("receiver of 1 MiB", large.client / packets, "per packet"),
            row("caller of 100 B", small.client, "per call"),
            row("callee of 100 B", small.server, "per call"),
        ]
    }

    private func allocationsPerCall(
        _ client: UDPMessaging, _ server: PeerContact, _ calls: Int,
        _ body: (_ calls: Int) async throws -> Void
    ) async throws -> (client: Double, server: Double) {
        // Buffers that grow once have grown after this.
        try await body(calls)
        let before = try await TransportBenchmark.serverUsage(client, server).allocations
        let own = Usage.ofThread().allocations
        try await body(calls)
        let used = Usage.ofThread().allocations - own
        let after = try await TransportBenchmark.serverUsage(client, server).allocations
        return (Double(used) / Double(calls), Double(after - before) / Double(calls))
    }
}
