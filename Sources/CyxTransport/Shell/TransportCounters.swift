internal import CyxCore
internal import CyxCrypto

/// What the transport counts for `/metrics`.
struct TransportCounters: Sendable {
    let bytesReceived: Counter
    let bytesSent: Counter
    let sendFailures: Counter

    init(_ registry: MetricsRegistry, engine: AESGCM.Engine) {
        bytesReceived = registry.counter("cyxcloud_transport_bytes_total", [("direction", "in")])
        bytesSent = registry.counter("cyxcloud_transport_bytes_total", [("direction", "out")])
        sendFailures = registry.counter("cyxcloud_transport_send_failures_total")
        registry.gauge("cyxcloud_transport_cipher_info", [("engine", engine.rawValue)]).set(1)
    }
}
