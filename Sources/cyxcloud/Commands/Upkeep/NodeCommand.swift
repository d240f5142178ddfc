internal import CyxClient
internal import CyxCore
internal import Glibc

/// `cyxcloud node stop|leave|drain|replace|stay`.
enum NodeCommand {
    /// The network waits for nobody longer than that.
    private static let longestStop = Duration.seconds(24 * 3600)
    private static let pollMilliseconds: Int32 = 300
    /// Between two lines of progress, where there is no bar, and of JSON.
    private static let linePolls = 33
    private static let jsonPolls = 7

    static let stop = Command(
        spec: CommandSpec(
            name: "cyxcloud node stop", summary: "Stop a peer for announced maintenance.",
            flags: [FlagSpec("for", "DUR", "how long it will be off, such as 6h; at most 24h")]
                + StatusCommand.adminFlags + Command.globalFlags)
    ) { parsed, console in
        let admin = try StatusCommand.admin(parsed)
        guard let text = parsed.value("for") else {
            throw ClientError(
                code: "NODE-06", message: "\(try held(by: admin)) are here",
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
            name: "cyxcloud node leave",
            summary: "Take a peer out of the network for good: its shards go to others first.",
            flags: [FlagSpec("now", nil, "hand nothing over: the network rebuilds it all")]
                + StatusCommand.adminFlags + Command.changeFlags + Command.globalFlags)
    ) { parsed, console in
        let admin = try StatusCommand.admin(parsed)
        let isNow = parsed.has("now")
        let what = "\(try held(by: admin)) of others' data"
        let how = isNow ? "rebuilt elsewhere, at ten times the bytes" : "handed over to others"
        if parsed.has("dry-run") { return console.say("\(what) would be \(how)") }
        guard try console.confirm("Leave, and have \(what) \(how)?", parsed) else {
            return console.say("the peer stays")
        }
        if isNow {
            try admin.leaveNow()
            console.say("left; the network rebuilds \(what) elsewhere")
        } else {
            _ = try admin.depart(leaving: true, successor: nil)
            console.say("left; others hold all of it: \(try follow(admin, "leaving", console))")
        }
        console.result(.object([("left", .bool(true))]))
    }

    static let drain = Command(
        spec: CommandSpec(
            name: "cyxcloud node drain",
            summary: "Have a peer give its shards to others and take none, and stay.",
            flags: StatusCommand.adminFlags + Command.changeFlags + Command.globalFlags)
    ) { parsed, console in
        try handOver(parsed, console, to: nil)
    }

    static let replace = Command(
        spec: CommandSpec(
            name: "cyxcloud node replace",
            summary: "Have a peer give its shards to another one, as far as that may hold them.",
            flags: StatusCommand.adminFlags + Command.changeFlags + Command.globalFlags,
            arguments: "NEW", argumentCount: 1...1)
    ) { parsed, console in
        try handOver(parsed, console, to: parsed.arguments.first)
    }

    static let stay = Command(
        spec: CommandSpec(
            name: "cyxcloud node stay", summary: "Have a peer that drains or leaves keep the rest.",
            flags: StatusCommand.adminFlags + Command.globalFlags)
    ) { parsed, console in
        try StatusCommand.admin(parsed).stay()
        console.say("it stays, and takes new shards again")
        console.result(.object([("stays", .bool(true))]))
    }

    private static func handOver(
        _ parsed: ParsedCommand, _ console: Console, to successor: String?
    ) throws {
        let admin = try StatusCommand.admin(parsed)
        let what = "\(try held(by: admin)) of others' data"
        if parsed.has("dry-run") { return console.say("\(what) would be handed over") }
        guard try console.confirm("Have \(what) handed over?", parsed) else {
            return console.say("nothing changes")
        }
        _ = try admin.depart(leaving: false, successor: successor)
        console.say("handed over \(try follow(admin, "draining", console)); `stay` undoes it")
        console.result(.object([("drained", .bool(true))]))
    }

    private static func held(by admin: AdminClient) throws(ClientError) -> String {
        let used = try admin.status().store.first { $0.name == "used" }?.value ?? 0
        return Units.format(bytes: UInt64(max(0, used)))
    }

    /// Shows how far it is until nobody counts on the peer; returns how much went. Whoever ends this
    /// command does not end the handing over.
    private static func follow(
        _ admin: AdminClient, _ label: String, _ console: Console
    ) throws(ClientError) -> String {
        let hasBar = StandardStream.error.isTerminal && !console.isJSON
        let every = console.isJSON ? jsonPolls : hasBar ? 1 : linePolls
        var told = ""
        var polls = 0
        while true {
            let progress = try admin.departure()
            let elapsed = Duration.milliseconds(Int64(pollMilliseconds) * Int64(polls))
            let line = ProgressState(
                label: label, total: progress.bytes, moved: progress.bytesHandedOver,
                safe: progress.bytesHandedOver, elapsed: elapsed, rate: nil)
            polls += 1
            let isShown = progress.bytes > 0 && polls.isMultiple(of: every)
            if console.isJSON, isShown {
                console.emit(line.json)
            } else if !console.isJSON, !console.isQuiet, isShown {
                StandardStream.error.write(
                    hasBar
                        ? "\r\u{1b}[K" + line.line(hasBar: true) : line.line(hasBar: false) + "\n")
            }
            if progress.isDone {
                if hasBar, !console.isQuiet { StandardStream.error.write("\r\u{1b}[K") }
                let bytes = Units.format(bytes: progress.bytesHandedOver)
                return "\(bytes) in \(progress.shards) shards"
            }
            guard progress.phase != "staying" else {
                throw ClientError(
                    code: "NODE-08", message: "the peer stays after all",
                    cause: "somebody asked it to, or it was never asked to go")
            }
            if progress.phase == "stuck", let problem = progress.problem, problem != told {
                let left =
                    progress.shardsLeft > 0
                    ? "\(progress.shardsLeft) shards" : "\(progress.partitionsLeft) partitions"
                console.warn("\(left) find no place yet: \(problem)")
                told = problem
            }
            poll(nil, 0, pollMilliseconds)
        }
    }
}
