internal import CyxCore
internal import CyxCrypto

/// What the transport counts for `/metrics`.
struct TransportCounters: Sendable {
    let bytesReceived: Counter
    let bytesSent: Counter
    let sendFailures: Counter
    let datagramsReceived: Counter
    let datagramsSent: Counter
    let datagramsDropped: Counter
    private let retriesSent: Counter
    private let resetsSent: Counter
    private let resetsReceived: Counter
    private let pathsChanged: Counter
    private let pathsFailed: Counter
    private let keyUpdates: Counter
    private let surplusConnections: Counter

    init(_ registry: MetricsRegistry, engine: AESGCM.Engine) {
        bytesReceived = registry.counter("cyxcloud_transport_bytes_total", [("direction", "in")])
        bytesSent = registry.counter("cyxcloud_transport_bytes_total", [("direction", "out")])
        sendFailures = registry.counter("cyxcloud_transport_send_failures_total")
        datagramsReceived = registry.counter(
            "cyxcloud_transport_datagrams_total", [("direction", "in")])
        datagramsSent = registry.counter(
            "cyxcloud_transport_datagrams_total", [("direction", "out")])
        datagramsDropped = registry.counter("cyxcloud_transport_datagrams_dropped_total")
        retriesSent = registry.counter("cyxcloud_transport_retries_total")
        resetsSent = registry.counter("cyxcloud_transport_resets_total", [("direction", "out")])
        resetsReceived = registry.counter(
            "cyxcloud_transport_resets_total", [("direction", "in")])
        pathsChanged = registry.counter(
            "cyxcloud_transport_migrations_total", [("result", "moved")])
        pathsFailed = registry.counter(
            "cyxcloud_transport_migrations_total", [("result", "failed")])
        keyUpdates = registry.counter("cyxcloud_transport_key_updates_total")
        surplusConnections = registry.counter("cyxcloud_transport_surplus_connections_total")
        registry.gauge("cyxcloud_transport_cipher_info", [("engine", engine.rawValue)]).set(1)
    }

    /// Adds what happened since `counted`, which becomes what has been counted.
    func add(_ statistics: TransportStatistics, since counted: inout TransportStatistics) {
        func add(_ counter: Counter, _ field: KeyPath<TransportStatistics, UInt64>) {
            let fresh = statistics[keyPath: field] - counted[keyPath: field]
            if fresh > 0 { counter.add(fresh) }
        }
        add(retriesSent, \.retriesSent)
        add(resetsSent, \.resetsSent)
        add(resetsReceived, \.resetsReceived)
        add(pathsChanged, \.pathsChanged)
        add(pathsFailed, \.pathsFailed)
        add(keyUpdates, \.keyUpdates)
        add(surplusConnections, \.surplusConnections)
        counted = statistics
    }
}
