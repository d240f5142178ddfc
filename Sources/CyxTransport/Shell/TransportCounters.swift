internal import CyxCore

/// What the transport counts for `/metrics`.
struct TransportCounters: Sendable {
    let bytesReceived: Counter
    let bytesSent: Counter
    let sendFailures: Counter

    init(_ registry: MetricsRegistry) {
        bytesReceived = registry.counter("cyxcloud_transport_bytes_total", [("direction", "in")])
        bytesSent = registry.counter("cyxcloud_transport_bytes_total", [("direction", "out")])
        sendFailures = registry.counter("cyxcloud_transport_send_failures_total")
    }
}
