internal import CyxClient
internal import CyxCore

/// `cyxcloud node stop|leave`.
enum NodeCommand {
    /// The network waits for nobody longer than that.
    private static let longestStop = Duration.seconds(24 * 3600)

    static let stop = Command(
        spec: CommandSpec(
            name: "cyxcloud node stop", summary: "Stop a peer for announced maintenance.",
            flags: [FlagSpec("for", "DUR", "how long it will be off, such as 6h; at most 24h")]
                + StatusCommand.adminFlags + Command.globalFlags)
    ) { parsed, console in
        let admin = try StatusCommand.admin(parsed)
        guard let text = parsed.value("for") else {
            let status = try admin.status()
            let used = status.store.first { $0.name == "used" }?.value ?? 0
            throw ClientError(
                code: "NODE-06",
                message: "\(Units.format(bytes: UInt64(max(0, used)))) are here",
                cause: "a peer that stops without a word is repaired around as if it were lost",
                remedy: "`stop --for 6h` if it comes back, or `leave` if it does not")
        }
        guard let duration = Units.parseDuration(text), duration >= .seconds(1),
            duration <= longestStop
        else { throw UsageError("`--for \(text)` is no time from 1s to 24h") }
        try admin.stop(for: duration)
        console.say("stopping; its shards are waited for during \(text)")
        console.result(
            .object([("away_seconds", .integer(duration.nanoseconds / 1_000_000_000))]))
    }

    static let leave = Command(
        spec: CommandSpec(
            name: "cyxcloud node leave", summary: "Take a peer out of the network for good.",
            flags: StatusCommand.adminFlags + Command.changeFlags + Command.globalFlags)
    ) { parsed, console in
        let admin = try StatusCommand.admin(parsed)
        let status = try admin.status()
        let used = status.store.first { $0.name == "used" }?.value ?? 0
        let what = "\(Units.format(bytes: UInt64(max(0, used)))) of others' data"
        if parsed.has("dry-run") {
            return console.say("the network would rebuild \(what) elsewhere")
        }
        guard try console.confirm("Leave, and have \(what) rebuilt elsewhere?", parsed) else {
            return console.say("the peer stays")
        }
        try admin.leave()
        console.say("left; the network rebuilds \(what) elsewhere")
        console.result(.object([("left", .bool(true))]))
    }
}
