internal import CyxClient
internal import CyxCore

/// `cyxcloud key create`, `key list` and `key revoke`.
enum KeyCommand {
    static let create = Command(
        spec: CommandSpec(
            name: "cyxcloud key create",
            summary: "Make an access key that may do part of what this one may.",
            flags: [
                FlagSpec("bucket", "B", "the only bucket that it reaches"),
                FlagSpec("prefix", "P", "how names of objects begin that it reaches"),
                FlagSpec("readonly", nil, "it reads and lists, and changes nothing"),
                FlagSpec("writeonly", nil, "it writes and deletes, and reads nothing"),
                FlagSpec(
                    "for-gateway", "KEY[,KEY]",
                    "gateways of others that serve it too, without this account's seed"),
                FlagSpec("expires", "DUR", "how long it lasts, such as 30d; else until revoked"),
            ] + Command.gatewayFlags + Command.globalFlags, arguments: "NAME",
            argumentCount: 1...1)
    ) { parsed, console in
        var limits = KeyLimits()
        limits.bucket = parsed.value("bucket")
        limits.prefix = parsed.value("prefix")
        guard !parsed.has("readonly") || !parsed.has("writeonly") else {
            throw UsageError(
                "a key is either --readonly or --writeonly; without both it may do all")
        }
        if parsed.has("readonly") { limits.rights = "read" }
        if parsed.has("writeonly") { limits.rights = "write" }
        limits.gateways = parsed.value("for-gateway")
        guard limits.gateways == nil || limits.bucket != nil else {
            throw UsageError("--for-gateway needs --bucket: such a key opens one bucket")
        }
        limits.seconds = try parsed.value("expires").map(seconds)
        try Session.run(parsed, console) { [limits] session in
            let key = try await session.client.createKey(parsed.arguments[0], limits)
            console.say("access key \(key.id)  secret key \(key.secret ?? "")  (shown once)")
            console.say(describe(key))
            console.note("next: cyxcloud key list")
            console.result(json(key))
        }
    }

    static let list = Command(
        spec: CommandSpec(
            name: "cyxcloud key list", summary: "List the access keys that were made.",
            flags: Command.gatewayFlags + Command.globalFlags)
    ) { parsed, console in
        try Session.run(parsed, console) { session in
            let keys = try await session.client.keys()
            for key in keys {
                console.say(describe(key))
                console.emit(json(key))
            }
            if keys.isEmpty { console.note("no keys; next: cyxcloud key create NAME") }
            console.result(.object([("keys", .integer(Int64(keys.count)))]))
        }
    }

    static let revoke = Command(
        spec: CommandSpec(
            name: "cyxcloud key revoke", summary: "Make an access key useless, for good.",
            flags: Command.gatewayFlags + Command.globalFlags, arguments: "NAME",
            argumentCount: 1...1)
    ) { parsed, console in
        let name = parsed.arguments[0]
        try Session.run(parsed, console) { session in
            try await session.client.revokeKey(name)
            console.say("revoked \(name): gateways refuse it within seconds")
            console.result(.object([("key", .string(name))]))
        }
    }

    private static func seconds(_ text: String) throws(UsageError) -> Int64 {
        guard let duration = Units.parseDuration(text), duration >= .seconds(1) else {
            throw UsageError("`--expires \(text)` is no time of 1s or more, such as 30d")
        }
        return duration.nanoseconds / 1_000_000_000
    }

    private static func describe(_ key: RemoteKey) -> String {
        let rights = ["read": "reads", "write": "writes"][key.rights] ?? "reads and writes"
        let place = (key.bucket ?? "every bucket") + (key.prefix.isEmpty ? "" : "/\(key.prefix)*")
        let end = key.expires.map { "until \($0)" } ?? "until it is revoked"
        let gateways = key.gateways.map { String($0.prefix(12)) }.joined(separator: ", ")
        let others = gateways.isEmpty ? "" : ", also at gateways \(gateways)"
        return "\(key.name)  \(key.id)  \(rights) \(place), \(end)\(others)"
    }

    private static func json(_ key: RemoteKey) -> JSONValue {
        .object([
            ("name", .string(key.name)), ("access_key", .string(key.id)),
            ("secret_key", key.secret.map { .string($0) } ?? .null),
            ("bucket", key.bucket.map { .string($0) } ?? .null), ("prefix", .string(key.prefix)),
            ("rights", .string(key.rights)), ("created", .string(key.created)),
            ("expires", key.expires.map { .string($0) } ?? .null),
            ("gateways", .array(key.gateways.map { .string($0) })),
        ])
    }
}
