internal import CyxClient
internal import CyxCore

/// `cyxcloud pin BUCKET/KEY`, `pin list` and `pin rm`.
enum PinCommand {
    static let add = Command(
        spec: CommandSpec(
            name: "cyxcloud pin",
            summary: "Keep an object's present version, whatever becomes of its key.",
            flags: [FlagSpec("until", "DUR", "how long from now, such as 30d; else until `pin rm`")]
                + Command.gatewayFlags + Command.globalFlags, arguments: "BUCKET/KEY",
            argumentCount: 1...1)
    ) { parsed, console in
        let target = try Target(parsed.arguments[0])
        guard !target.key.isEmpty else {
            throw UsageError("`\(target.text)` names no object; write BUCKET/KEY")
        }
        let seconds = try parsed.value("until").map(seconds)
        try Session.run(parsed, console) { session in
            let pin = try await session.client.pin(
                bucket: target.bucket, key: target.key, seconds: seconds)
            console.say("pinned \(target.text) as \(pin.id), \(ending(pin))")
            console.note("next: cyxcloud download pin:\(pin.id) DEST")
            console.result(json(pin))
        }
    }

    static let list = Command(
        spec: CommandSpec(
            name: "cyxcloud pin list", summary: "List pins, the newest first.",
            flags: Command.gatewayFlags + Command.globalFlags)
    ) { parsed, console in
        try Session.run(parsed, console) { session in
            let pins = try await session.client.pins().sorted {
                ($0.created, $0.id) > ($1.created, $1.id)
            }
            for pin in pins {
                let size = Units.format(bytes: pin.size)
                console.say("\(pin.id)  \(size)  \(pin.bucket)/\(pin.key)  \(ending(pin))")
                console.emit(json(pin))
            }
            if pins.isEmpty { console.note("no pins; next: cyxcloud pin BUCKET/KEY") }
            let bytes = pins.reduce(0) { $0 + $1.size }
            console.result(
                .object([
                    ("pins", .integer(Int64(pins.count))), ("bytes", .integer(Int64(bytes))),
                ]))
        }
    }

    static let remove = Command(
        spec: CommandSpec(
            name: "cyxcloud pin rm",
            summary: "Remove a pin: what nothing else needs is deleted.",
            flags: Command.gatewayFlags + Command.changeFlags + Command.globalFlags,
            arguments: "ID", argumentCount: 1...1)
    ) { parsed, console in
        let id = PinCommand.id(parsed.arguments[0]) ?? parsed.arguments[0]
        try Session.run(parsed, console) { session in
            let object = try await session.client.head(pin: id)
            let what = "pin \(id) of \(object.key), \(Units.format(bytes: object.size))"
            if parsed.has("dry-run") { return console.say("\(what), would be removed") }
            try await session.client.unpin(id)
            console.say("removed \(what)")
            console.result(.object([("pin", .string(id))]))
        }
    }

    /// `ID` of `pin:ID`; nil for anything else. No bucket's name has a colon.
    static func id(_ text: String) -> String? {
        text.hasPrefix("pin:") ? String(text.dropFirst(4)) : nil
    }

    private static func seconds(_ text: String) throws(UsageError) -> Int64 {
        guard let duration = Units.parseDuration(text), duration >= .seconds(1) else {
            throw UsageError("`--until \(text)` is no time of 1s or more, such as 30d")
        }
        return duration.nanoseconds / 1_000_000_000
    }

    private static func ending(_ pin: RemotePin) -> String {
        pin.until.map { "until \($0)" } ?? "until it is removed"
    }

    private static func json(_ pin: RemotePin) -> JSONValue {
        .object([
            ("pin", .string(pin.id)), ("bucket", .string(pin.bucket)), ("key", .string(pin.key)),
            ("size", .integer(Int64(pin.size))), ("created", .string(pin.created)),
            ("until", pin.until.map { .string($0) } ?? .null),
        ])
    }
}
