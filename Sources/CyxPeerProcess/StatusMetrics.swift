internal import CyxAssembly
internal import CyxCore
internal import CyxTables

/// What `status` says, as numbers in `/metrics`.
struct StatusMetrics: Sendable {
    private static let interval = Duration.seconds(5)

    private let peer: PeerAssembly
    private let report: StatusReport
    private let healthy: Gauge
    private let available: Gauge
    private let survives: Gauge
    private let partitions: Gauge
    private let bits: Gauge
    private let lag: Gauge

    init(peer: PeerAssembly, report: StatusReport) {
        self.peer = peer
        self.report = report
        let metrics = peer.environment.metrics
        healthy = metrics.gauge("cyxcloud_network_healthy")
        available = metrics.gauge("cyxcloud_network_available")
        survives = metrics.gauge("cyxcloud_network_survives_losses")
        partitions = metrics.gauge("cyxcloud_table_partitions")
        bits = metrics.gauge("cyxcloud_table_partition_bits")
        lag = metrics.gauge("cyxcloud_table_sync_lag_seconds")
        // There from the start, so that a rate has something to begin with.
        _ = metrics.counter("cyxcloud_table_view_changes_total")
    }

    /// Publishes until the task is cancelled.
    func run() async throws {
        while true {
            let (verdict, tables, losses) = await report.verdict()
            healthy.set(verdict.health == "green" ? 1 : 0)
            available.set(tables.unavailablePartitions == 0 && verdict.isReadable ? 1 : 0)
            survives.set(Double(losses))
            partitions.set(Double(tables.partitions))
            bits.set(Double(tables.partitionBits))
            lag.set(tables.lag.inSeconds)
            try await peer.environment.sleep(for: StatusMetrics.interval)
        }
    }
}
