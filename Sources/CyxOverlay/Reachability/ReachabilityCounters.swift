internal import CyxCore

/// What an operator sees of paths and of the relay role.
struct ReachabilityCounters: Sendable {
    let openers: Counter
    let failed: Counter
    private let foundDirect: Counter
    private let foundRelayed: Counter
    private let direct: Gauge
    private let relayed: Gauge
    private let reservations: Gauge
    private let circuits: Gauge
    private let carried: Counter
    private let dropped: Counter
    private let refused: [RelayRefusal: Counter]

    init(_ metrics: MetricsRegistry) {
        func found(_ path: String) -> Counter {
            metrics.counter("cyxcloud_path_searches_total", [("found", path)])
        }
        openers = metrics.counter("cyxcloud_path_openers_sent_total")
        failed = found("none")
        foundDirect = found("direct")
        foundRelayed = found("relayed")
        direct = metrics.gauge("cyxcloud_path_connections", [("path", "direct")])
        relayed = metrics.gauge("cyxcloud_path_connections", [("path", "relayed")])
        reservations = metrics.gauge("cyxcloud_relay_reservations")
        circuits = metrics.gauge("cyxcloud_relay_circuits")
        carried = metrics.counter("cyxcloud_relay_carried_bytes_total")
        dropped = metrics.counter("cyxcloud_relay_dropped_bytes_total")
        refused = Dictionary(
            uniqueKeysWithValues: RelayRefusal.allCases.map {
                ($0, metrics.counter("cyxcloud_relay_refused_total", [("reason", "\($0)")]))
            })
    }

    func set(direct: Int, relayed: Int) {
        self.direct.set(Double(direct))
        self.relayed.set(Double(relayed))
    }

    func found(isDirect: Bool) { (isDirect ? foundDirect : foundRelayed).add() }

    func refuse(_ refusal: RelayRefusal) { refused[refusal]?.add() }

    /// Brings what the relay has counted into the metrics.
    func follow(_ relay: RelayMachine) {
        reservations.set(Double(relay.reservationCount))
        circuits.set(Double(relay.circuitCount))
    }

    func carried(_ bytes: Int, isLost: Bool) {
        (isLost ? dropped : carried).add(UInt64(bytes))
    }
}
