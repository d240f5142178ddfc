package import CyxCore
internal import CyxS3

/// How a peer's repair is doing: `GET /api/v1/repair`.
package struct RepairReport: Sendable {
    package var segments: Int64
    package var full: Int64
    package var degraded: Int64
    package var atRisk: Int64
    package var lost: Int64
    /// Segments that this peer rebuilds or will.
    package var queue: Int64
    package var bytesRepaired: Int64
    package var isPaused: Bool
    /// Bytes per second; nil: not bounded.
    package var throttle: Int64?
    /// For how long only endangered segments are rebuilt; nil: all are.
    package var stormSeconds: Int64?
    /// The peer has not looked at everything since members or custodians changed.
    package var isScanning: Bool
    package var json: JSONValue

    /// Throws `NET-09` if a field is missing or of another kind.
    package init(_ json: JSONValue) throws(ClientError) {
        self.json = json
        segments = try json.number("segments")
        full = try json.number("full")
        degraded = try json.number("degraded")
        atRisk = try json.number("at_risk")
        lost = try json.number("lost")
        queue = try json.number("queue")
        bytesRepaired = try json.number("bytes_repaired")
        isPaused = try json.bool("paused")
        throttle = json["throttle"]?.integer
        stormSeconds = json["storm_seconds"]?.integer
        isScanning = try json.bool("scanning")
    }
}

/// One audit: `GET /api/v1/audit/log`, `POST /api/v1/audit/run`.
package struct AuditLine: Sendable {
    package var time: String
    package var peer: String
    package var segment: String
    package var index: Int64
    /// `pass`, `wrong`, `unknown`, `offline`, or `void` where there was nothing to audit.
    package var result: String
    package var json: JSONValue

    init(_ json: JSONValue) throws(ClientError) {
        self.json = json
        time = try json.string("time")
        peer = try json.string("peer")
        segment = try json.string("segment")
        index = try json.number("index")
        result = try json.string("result")
    }
}

/// How a peer has done in audits: `GET /api/v1/audit/score`.
package struct AuditScore: Sendable {
    package var peer: String
    /// `good`, `warned`, `suspended` or `banned`.
    package var standing: String
    package var reason: String
    /// Shares from 0 to 1, which weigh late audits most; nil before the first were counted.
    package var wrong: Double?
    package var unknown: Double?
    package var online: Double?
    package var json: JSONValue

    init(_ json: JSONValue) throws(ClientError) {
        self.json = json
        peer = try json.string("peer")
        standing = try json.string("standing")
        reason = try json.string("reason")
        wrong = json["wrong"]?.double
        unknown = json["unknown"]?.double
        online = json["online"]?.double
    }
}

/// Where a segment lies: `GET /api/v1/where`.
package struct SegmentPlace: Sendable {
    package struct Holder: Sendable {
        package var index: Int64
        package var peer: String
        package var zone: String
        package var isAlive: Bool
        /// Its standing in audits.
        package var audit: String
    }

    package var id: String
    package var k: Int64
    package var m: Int64
    package var holders: [Holder]
    package var json: JSONValue

    /// How many more holders may go.
    package var survives: Int64 {
        max(0, Int64(Set(holders.filter(\.isAlive).map(\.index)).count) - k)
    }

    init(_ json: JSONValue) throws(ClientError) {
        self.json = json
        id = try json.string("id")
        k = try json.number("k")
        m = try json.number("m")
        holders = []
        for holder in try json.items("holders") {
            holders.append(
                Holder(
                    index: try holder.number("index"), peer: try holder.string("peer"),
                    zone: try holder.string("zone"), isAlive: try holder.bool("alive"),
                    audit: try holder.string("standing")))
        }
    }
}

extension AdminClient {
    package func repair() throws(ClientError) -> RepairReport {
        try RepairReport(try json("GET", "/api/v1/repair"))
    }

    package func repairNow() throws(ClientError) -> RepairReport {
        try RepairReport(try json("POST", "/api/v1/repair/now"))
    }

    package func pauseRepair(_ isPaused: Bool) throws(ClientError) -> RepairReport {
        try RepairReport(try json("POST", "/api/v1/repair/pause?paused=\(isPaused)"))
    }

    /// `rate`: bytes per second, 0 for any number.
    package func throttleRepair(_ rate: UInt64) throws(ClientError) -> RepairReport {
        try RepairReport(try json("POST", "/api/v1/repair/throttle?rate=\(rate)"))
    }

    package func runAudits(_ sample: Int) throws(ClientError) -> [AuditLine] {
        try audits(try json("POST", "/api/v1/audit/run?sample=\(sample)"))
    }

    package func auditLog() throws(ClientError) -> [AuditLine] {
        try audits(try json("GET", "/api/v1/audit/log"))
    }

    /// Of the peers whose ID begins with `prefix`.
    package func auditScores(_ prefix: String) throws(ClientError) -> [AuditScore] {
        let path = "/api/v1/audit/score?peer=" + PercentEncoding.encode(prefix)
        return try json("GET", path).items("scores").map { item throws(ClientError) in
            try AuditScore(item)
        }
    }

    package func place(
        of key: String, in bucket: String
    ) throws(ClientError) -> [SegmentPlace] {
        let path =
            "/api/v1/where?bucket=" + PercentEncoding.encode(bucket) + "&key="
            + PercentEncoding.encode(key)
        return try json("GET", path).items("segments").map { item throws(ClientError) in
            try SegmentPlace(item)
        }
    }

    private func audits(_ json: JSONValue) throws(ClientError) -> [AuditLine] {
        try json.items("audits").map { item throws(ClientError) in try AuditLine(item) }
    }
}

extension JSONValue {
    fileprivate func number(_ key: String) throws(ClientError) -> Int64 {
        guard let value = self[key]?.integer else { throw .malformed(field: [key]) }
        return value
    }

    fileprivate func string(_ key: String) throws(ClientError) -> String {
        guard let value = self[key]?.text else { throw .malformed(field: [key]) }
        return value
    }

    fileprivate func bool(_ key: String) throws(ClientError) -> Bool {
        guard case .bool(let value)? = self[key] else { throw .malformed(field: [key]) }
        return value
    }

    fileprivate func items(_ key: String) throws(ClientError) -> [JSONValue] {
        guard case .array(let items)? = self[key] else { throw .malformed(field: [key]) }
        return items
    }

    /// A number with or without a fraction.
    fileprivate var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}
