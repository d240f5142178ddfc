package import CyxCore

/// Which partitions have no quorum, and why: `GET /api/v1/recovery` of a peer's admin API.
package struct RecoveryStatus: Sendable {
    /// A peer that a partition misses.
    package struct Missing: Hashable, Sendable {
        package var peer: String
        /// `gone`, `away`, `wiped` or `left`.
        package var reason: String
        /// Of a peer that is gone: for how long.
        package var seconds: Int64?
    }

    /// A partition that waits for peers which may come back.
    package struct Waiting: Sendable {
        package var partition: String
        package var missing: [Missing]
    }

    /// A partition that nobody is expected to bring back.
    package struct Lost: Sendable {
        package var partition: String
        /// How many peers have some of its rows.
        package var survivors: Int64
        /// What is to be signed.
        package var plan: [UInt8]
        package var missing: [Missing]
    }

    /// The public key whose signature counts; nil: the network has none.
    package var adminKey: [UInt8]?
    package var partitions: Int64
    package var whole: Int64
    /// For how long a peer must have been gone to count as lost.
    package var lostAfterSeconds: Int64
    /// Partitions whose view is being entered, and the signed recoveries among what proves that.
    package var underWay: Int
    package var signed: [[UInt8]]
    package var waiting: [Waiting]
    package var lost: [Lost]

    /// Throws `NET-09` if a field is missing or of another kind.
    package init(_ json: JSONValue) throws(ClientError) {
        partitions = try json.number("partitions")
        whole = try json.number("whole")
        lostAfterSeconds = try json.number("lost_after_seconds")
        adminKey = json["admin_key"]?.text.flatMap { Hex.decode($0) }
        (underWay, signed, waiting, lost) = (0, [], [], [])
        for item in try json.list("under_way") {
            underWay += 1
            if item["is_recovery"] == .bool(true) { signed.append(try item.bytes("certificate")) }
        }
        for item in try json.list("waiting") {
            waiting.append(
                Waiting(partition: try item.word("partition"), missing: try Self.missing(item)))
        }
        for item in try json.list("lost") {
            lost.append(
                Lost(
                    partition: try item.word("partition"), survivors: try item.number("survivors"),
                    plan: try item.bytes("plan"), missing: try Self.missing(item)))
        }
    }

    private static func missing(_ item: JSONValue) throws(ClientError) -> [Missing] {
        var found: [Missing] = []
        for member in try item.list("missing") {
            found.append(
                Missing(
                    peer: try member.word("peer"), reason: try member.word("reason"),
                    seconds: member["seconds"]?.integer))
        }
        return found
    }
}

extension JSONValue {
    fileprivate func number(_ key: String) throws(ClientError) -> Int64 {
        guard let value = self[key]?.integer else { throw ClientError.unusable(key) }
        return value
    }

    fileprivate func word(_ key: String) throws(ClientError) -> String {
        guard let value = self[key]?.text else { throw ClientError.unusable(key) }
        return value
    }

    fileprivate func bytes(_ key: String) throws(ClientError) -> [UInt8] {
        guard let value = Hex.decode(try word(key)) else { throw ClientError.unusable(key) }
        return value
    }

    fileprivate func list(_ key: String) throws(ClientError) -> [JSONValue] {
        guard case .array(let items)? = self[key] else { throw ClientError.unusable(key) }
        return items
    }
}

extension ClientError {
    fileprivate static func unusable(_ key: String) -> ClientError {
        ClientError(
            code: "NET-09", message: "the peer's answer has no usable `\(key)`",
            remedy: "check that cyxcloud and cyxpeer are of one version")
    }
}
