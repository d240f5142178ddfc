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

    init(_ registry: MetricsRegistry, engine: AESGCM.Engine) {
        bytesReceived = registry.counter("cyxcloud_transport_bytes_total", [("direction", "in")])
        bytesSent = registry.counter("cyxcloud_transport_bytes_total", [("direction", "out")])
        sendFailures = registry.counter("cyxcloud_transport_send_failures_total")
        datagramsReceived = registry.counter(
            "cyxcloud_transport_datagrams_total", [("direction", "in")])
        datagramsSent = registry.counter(
            "cyxcloud_transport_datagrams_total", [("direction", "out")])
        datagramsDropped = registry.counter("cyxcloud_transport_datagrams_dropped_total")
        registry.gauge("cyxcloud_transport_cipher_info", [("engine", engine.rawValue)]).set(1)
    }
}
