internal import CyxCore

/// What the transport counts for `/metrics`.
struct TransportCounters: Sendable {
    let bytesReceived: Counter
    let bytesSent: Counter
    let sendFailures: Counter

    init(_ registry: MetricsRegistry) {
        bytesReceived = registry.counter("cyx_transport_received_bytes_total")
        bytesSent = registry.counter("cyx_transport_sent_bytes_total")
        sendFailures = registry.counter("cyx_transport_send_failures_total")
    }
}
