internal import CyxCore

/// Takes what traces of connections write; made by whoever wants them written.
package protocol QlogSink: AnyObject, Sendable {
    /// Appends records to a trace's file, whose name tells connection and side.
    func write(_ file: String, _ records: [UInt8], isLast: Bool)
}

/// Records of one trace that its owner has not yet taken away.
struct QlogBatch: Equatable {
    var file: String
    var records: [UInt8]
    /// The connection is gone.
    var isLast: Bool
}

/// The events of one connection as qlog: a JSON text sequence (RFC 7464) in the main schema's
/// version 0.3 (draft-ietf-quic-qlog-main-schema) with the events of
/// draft-ietf-quic-qlog-quic-events, which qvis and others read.
///
/// Records wait here until the shell takes them; a connection without a trace pays for a nil test.
/// Our handshake has no packet type of QUIC's, so a trace begins with the keys: what is logged are
/// protected packets, as `1RTT`.
final class QlogTrace {
    /// Bytes that wait to be taken; what happens beyond is counted and left out.
    static let pendingMax = 4 << 20

    let file: String
    private let start: Int64
    private var records: [UInt8] = []
    private var lastTime: Int64
    private var omitted = 0
    private var state: QlogState?
    private var isLosing = false

    /// `wall` is when the connection began, at `now`.
    init(firstID: ConnectionID, role: ConnectionRole, wall: WallTime, now: Int64) {
        let name = Hex.encode(firstID.value.bigEndianBytes)
        let side = role == .initiator ? "client" : "server"
        file = "\(name)_\(side).sqlog"
        start = now
        lastTime = now
        append(
            JSONValue.object([
                ("qlog_version", .string("0.3")), ("qlog_format", .string("JSON-SEQ")),
                ("title", .string("cyxcloud transport")),
                (
                    "trace",
                    .object([
                        ("vantage_point", .object([("type", .string(side))])),
                        (
                            "common_fields",
                            .object([
                                ("ODCID", .string(name)), ("time_format", .string("relative")),
                                ("reference_time", .integer(wall.milliseconds)),
                                ("protocol_type", .array([.string("CYX"), .string("QUIC")])),
                            ])
                        ),
                    ])
                ),
            ]))
    }

    /// What waits, if anything does; `isLast` once the connection is gone.
    func take(isLast: Bool) -> QlogBatch? {
        guard !records.isEmpty || isLast else { return nil }
        defer { records = [] }
        return QlogBatch(file: file, records: records, isLast: isLast)
    }

    private func append(_ record: JSONValue) {
        records.append(0x1E)
        records += Array(record.encoded.utf8)
        records.append(0x0A)
    }

    private func log(_ name: String, _ data: [(key: String, value: JSONValue)], now: Int64) {
        guard records.count < QlogTrace.pendingMax else {
            omitted += 1
            return
        }
        lastTime = max(lastTime, now)
        var data = data
        if omitted > 0 {
            data.append(("omitted_events", .integer(Int64(omitted))))
            omitted = 0
        }
        append(
            JSONValue.object([
                ("time", .milliseconds(lastTime - start)), ("name", .string(name)),
                ("data", .object(data)),
            ]))
    }

    // MARK: Events

    func started(local: ConnectionID, remote: ConnectionID, address: SocketAddress, now: Int64) {
        log(
            "connectivity:connection_started",
            [
                ("protocol", .string("CYX")), ("dst_ip", .string(address.hostDescription)),
                ("dst_port", .integer(Int64(address.port))),
                ("src_cid", .string(Hex.encode(local.value.bigEndianBytes))),
                ("dst_cid", .string(Hex.encode(remote.value.bigEndianBytes))),
            ], now: now)
    }

    /// A packet of `size` bytes whose plaintext is `payload`.
    func packet(
        isSent: Bool, number: UInt64, size: Int, payload: UnsafeRawBufferPointer, now: Int64
    ) {
        log(
            isSent ? "transport:packet_sent" : "transport:packet_received",
            [
                ("header", QlogTrace.header(number)),
                ("raw", .object([("length", .integer(Int64(size)))])),
                ("frames", .array(QlogFrames.decoded(payload))),
            ], now: now)
    }

    private static func header(_ number: UInt64) -> JSONValue {
        .object([("packet_type", .string("1RTT")), ("packet_number", .count(number))])
    }

    func lost(_ number: UInt64, now: Int64) {
        log("recovery:packet_lost", [("header", QlogTrace.header(number))], now: now)
    }

    /// Logs what is different now: the window, the round trip, keys, path and its MTU.
    func update(_ new: QlogState, now: Int64) {
        let old = state
        guard old != new else { return }
        state = new
        if old?.metrics != new.metrics {
            log("recovery:metrics_updated", new.metrics.fields, now: now)
            noteCongestion(old?.metrics.window, new.metrics.window, now: now)
        }
        if let old, old.keyUpdates != new.keyUpdates {
            for name in ["client", "server"] {
                log(
                    "security:key_updated",
                    [
                        ("key_type", .string("\(name)_1rtt_secret")),
                        ("key_phase", .count(new.keyUpdates)),
                    ], now: now)
            }
        }
        if old?.mtu != new.mtu {
            var data: [(key: String, value: JSONValue)] = []
            if let old { data.append(("old", .integer(Int64(old.mtu)))) }
            data.append(("new", .integer(Int64(new.mtu))))
            log("connectivity:mtu_updated", data, now: now)
        }
        if old?.address != new.address || old?.isValidated != new.isValidated {
            log(
                "connectivity:path_assigned",
                [
                    ("path_id", .string("\(new.address)")),
                    (
                        "path_remote",
                        .object([
                            (
                                new.address.isIPv4 ? "ip_v4" : "ip_v6",
                                .string(new.address.hostDescription)
                            ),
                            (
                                new.address.isIPv4 ? "port_v4" : "port_v6",
                                .integer(Int64(new.address.port))
                            ),
                        ])
                    ),
                    ("validated", .bool(new.isValidated)),
                ], now: now)
        }
    }

    /// The controllers differ; what they have in common is a window that falls and grows again.
    private func noteCongestion(_ old: Int?, _ new: Int, now: Int64) {
        guard let old else {
            return log(
                "recovery:congestion_state_updated", [("new", .string("slow_start"))], now: now)
        }
        guard new != old, (new < old) != isLosing else { return }
        isLosing = new < old
        let name = isLosing ? "recovery" : "congestion_avoidance"
        log("recovery:congestion_state_updated", [("new", .string(name))], now: now)
    }

    /// The end, at the time of the last event: nothing has happened since.
    func closed(_ reason: CloseReason) {
        var data: [(key: String, value: JSONValue)] = []
        switch reason {
        case .local(let error):
            data = [("owner", .string("local")), ("connection_code", .count(error.rawValue))]
        case .remote(let code):
            data = [("owner", .string("remote")), ("connection_code", .count(code))]
        default: data = [("owner", .string("local"))]
        }
        data.append(("reason", .string("\(reason)")))
        switch reason {
        case .idle: data.append(("trigger", .string("idle_timeout")))
        case .statelessReset: data.append(("trigger", .string("stateless_reset")))
        case .local(.none), .remote(code: 0): data.append(("trigger", .string("clean")))
        default: data.append(("trigger", .string("error")))
        }
        log("connectivity:connection_closed", data, now: lastTime)
    }
}

/// What of a connection is logged when it changes.
struct QlogState: Equatable {
    struct Metrics: Equatable {
        var minimum: Int64
        var smoothed: Int64
        var latest: Int64
        var variance: Int64
        var probes: Int
        var window: Int
        var bytesInFlight: Int

        var fields: [(key: String, value: JSONValue)] {
            [
                ("min_rtt", .milliseconds(minimum)), ("smoothed_rtt", .milliseconds(smoothed)),
                ("latest_rtt", .milliseconds(latest)), ("rtt_variance", .milliseconds(variance)),
                ("pto_count", .integer(Int64(probes))),
                ("congestion_window", .integer(Int64(window))),
                ("bytes_in_flight", .integer(Int64(bytesInFlight))),
            ]
        }
    }

    var metrics: Metrics
    var keyUpdates: UInt64
    var mtu: Int
    var address: SocketAddress
    var isValidated: Bool
}

extension JSONValue {
    /// Nanoseconds as milliseconds, to the microsecond.
    static func milliseconds(_ nanoseconds: Int64) -> JSONValue {
        .number(Double(nanoseconds / 1000) / 1000)
    }

    static func count(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
}

extension UInt64 {
    var bigEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * $0)) } }
}
