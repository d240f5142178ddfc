package import CyxCore

/// What a peer says of itself and its network: `GET /api/v1/status` of its admin API.
package struct PeerStatus: Sendable {
    /// How well the network is, from good to bad.
    package enum Health: String, Sendable {
        case green, amber, red
    }

    package var peer: String
    package var network: String
    package var version: String
    /// What owners of data seal access keys for this peer's gateway to; nil: it serves no such keys.
    package var gatewayKey: String?
    package var health: Health
    /// The health in words.
    package var sentence: String
    package var alive: Int64
    package var suspect: Int64
    package var dead: Int64
    /// Off for maintenance that they announced.
    package var away: Int64
    /// Of those that are alive: on their way out, giving away what they hold.
    package var draining: Int64
    /// Peers by zone, in the order of the answer.
    package var zones: [(name: String, peers: Int64)]
    /// Of new objects.
    package var redundancy: String
    /// Millionths of the time for which storage peers are up in the mean; nil before audits have
    /// gone on for a week.
    package var uptimePPM: Int64?
    /// How many more peers may be lost.
    package var survives: Int64
    package var partitions: Int64
    package var fullPartitions: Int64
    package var unavailablePartitions: Int64
    /// Partitions whose view is being left or entered.
    package var changingPartitions: Int64
    /// How often the view has changed that changed most often.
    package var epoch: Int64
    /// For how long the peer has waited for rows of a partition that it entered.
    package var lagSeconds: Int64
    /// How many more peers may be lost before data or rows are.
    package var dataSurvives: Int64
    package var rowsSurvive: Int64
    package var segments: [(name: String, count: Int64)]
    package var store: [(name: String, value: Int64)]
    /// The whole answer, for `--json`.
    package var json: JSONValue

    /// Throws `NET-09` if a field is missing or of another kind.
    package init(_ json: JSONValue) throws(ClientError) {
        func text(_ path: String...) throws(ClientError) -> String {
            guard let value = json.member(path)?.text else { throw .malformed(field: path) }
            return value
        }
        func number(_ path: String...) throws(ClientError) -> Int64 {
            guard let value = json.member(path)?.integer else { throw .malformed(field: path) }
            return value
        }
        self.json = json
        peer = try text("peer")
        network = try text("network")
        version = try text("version")
        gatewayKey = json["gateway_key"]?.text
        guard let health = Health(rawValue: try text("health")) else {
            throw .malformed(field: ["health"])
        }
        self.health = health
        sentence = try text("sentence")
        alive = try number("peers", "alive")
        suspect = try number("peers", "suspect")
        dead = try number("peers", "dead")
        away = json["peers"]?["away"]?.integer ?? 0
        draining = json["peers"]?["draining"]?.integer ?? 0
        redundancy = try text("redundancy")
        uptimePPM = json["uptime_ppm"]?.integer
        survives = try number("survives")
        partitions = try number("tables", "partitions")
        fullPartitions = try number("tables", "full")
        unavailablePartitions = try number("tables", "unavailable")
        changingPartitions = try number("tables", "changing")
        epoch = try number("tables", "epoch")
        lagSeconds = try number("tables", "lag_seconds")
        rowsSurvive = try number("tables", "survives")
        dataSurvives = try number("data_survives")
        zones = json.numbers("zones").map { ($0.key, $0.value) }
        segments = json.numbers("segments").map { ($0.key, $0.value) }
        store = json.numbers("store").map { ($0.key, $0.value) }
    }

    /// Every peer is there, and every partition has its full view.
    package func isWhole(peers: Int) -> Bool {
        alive >= Int64(peers) && unavailablePartitions == 0 && fullPartitions == partitions
            && health != .red
    }
}

extension JSONValue {
    fileprivate func member(_ path: [String]) -> JSONValue? {
        var value: JSONValue? = self
        for key in path { value = value?[key] }
        return value
    }

    /// The members of an object that are whole numbers.
    fileprivate func numbers(_ key: String) -> [(key: String, value: Int64)] {
        guard case .object(let fields)? = self[key] else { return [] }
        return fields.compactMap { field in field.value.integer.map { (field.key, $0) } }
    }
}

extension ClientError {
    static func malformed(field path: [String]) -> ClientError {
        ClientError(
            code: "NET-09",
            message: "the peer's answer has no usable `\(path.joined(separator: "."))`",
            remedy: "check that cyxcloud and cyxpeer are of one version")
    }
}
