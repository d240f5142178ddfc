internal import CyxClient
internal import CyxCore
internal import Glibc

/// `cyxcloud share TARGET`, `share list` and `share revoke`.
enum ShareCommand {
    static let create = Command(
        spec: CommandSpec(
            name: "cyxcloud share",
            summary: "Make a link that gives an object or a folder to whoever has it.",
            flags: [
                FlagSpec("expires", "DUR", "how long it lasts, such as 24h; else until revoked"),
                FlagSpec("password", nil, "ask for a password here, and of whoever opens it"),
                FlagSpec("no-download", nil, "only show what browsers can show"),
            ] + Command.gatewayFlags + Command.globalFlags, arguments: "BUCKET[/KEY or /FOLDER/]",
            argumentCount: 1...1)
    ) { parsed, console in
        let target = try Target(parsed.arguments[0])
        let isFolder = target.key.isEmpty || target.key.hasSuffix("/")
        var share = ShareRequest(bucket: target.bucket, path: target.key, isFolder: isFolder)
        share.allowsDownload = !parsed.has("no-download")
        share.seconds = try parsed.value("expires").map(seconds)
        if parsed.has("password") { share.password = try HiddenInput.read("Password: ") }
        try Session.run(parsed, console) { [share] session in
            let made = try await session.client.createShare(share)
            let link = made.link ?? ""
            console.say(link)
            for line in restrictions(made) { console.note("  " + line) }
            console.note("next: cyxcloud share revoke \(made.id)")
            console.result(json(made))
        }
    }

    static let list = Command(
        spec: CommandSpec(
            name: "cyxcloud share list", summary: "List links, the newest first.",
            flags: Command.gatewayFlags + Command.globalFlags)
    ) { parsed, console in
        try Session.run(parsed, console) { session in
            let shares = try await session.client.shares()
            for share in shares {
                console.say(describe(share))
                console.emit(json(share))
            }
            if shares.isEmpty { console.note("no links; next: cyxcloud share BUCKET/KEY") }
            console.result(.object([("shares", .integer(Int64(shares.count)))]))
        }
    }

    static let revoke = Command(
        spec: CommandSpec(
            name: "cyxcloud share revoke", summary: "Make a link useless, for good.",
            flags: Command.gatewayFlags + Command.globalFlags, arguments: "ID",
            argumentCount: 1...1)
    ) { parsed, console in
        let id = parsed.arguments[0]
        try Session.run(parsed, console) { session in
            try await session.client.revokeShare(id)
            console.say("revoked \(id): gateways refuse it within seconds")
            console.result(.object([("share", .string(id))]))
        }
    }

    private static func seconds(_ text: String) throws(UsageError) -> Int64 {
        guard let duration = Units.parseDuration(text), duration >= .seconds(1) else {
            throw UsageError("`--expires \(text)` is no time of 1s or more, such as 24h")
        }
        return duration.nanoseconds / 1_000_000_000
    }

    private static func place(_ share: RemoteShare) -> String {
        if !share.isFolder { return "\(share.bucket)/\(share.path)" }
        return share.path.isEmpty
            ? "all of \(share.bucket)" : "all in \(share.bucket)/\(share.path)"
    }

    /// What the link is limited to, one thing a line.
    private static func restrictions(_ share: RemoteShare) -> [String] {
        var lines = [
            "gives      \(place(share)), to whoever has the link; to read, not to change",
            "lasts      " + (share.expires.map { "until \($0)" } ?? "until it is revoked"),
            "password   " + (share.hasPassword ? "yes" : "none"),
            "download   " + (share.allowsDownload ? "yes" : "no; what is shown can be copied"),
        ]
        if !share.isFolder { lines.append("content    what the key has when it is opened") }
        return lines
    }

    private static func describe(_ share: RemoteShare) -> String {
        var notes = [share.state]
        if let end = share.expires { notes.append("until \(end)") }
        if share.hasPassword { notes.append("password") }
        if !share.allowsDownload { notes.append("no download") }
        return "\(share.id)  \(place(share))  \(notes.joined(separator: ", "))"
    }

    private static func json(_ share: RemoteShare) -> JSONValue {
        guard let link = share.link, case .object(let fields) = share.json else {
            return share.json
        }
        return .object(fields.filter { $0.key != "url" } + [("url", .string(link))])
    }
}

/// A line that is not shown while it is typed.
enum HiddenInput {
    /// From the terminal without echo; where there is none, the first line of standard input.
    static func read(_ prompt: String) throws(UsageError) -> String {
        let isTerminal = isatty(STDIN_FILENO) == 1
        var shown = termios()
        if isTerminal {
            StandardStream.error.write(prompt)
            tcgetattr(STDIN_FILENO, &shown)
            var hidden = shown
            hidden.c_lflag &= ~tcflag_t(ECHO)
            tcsetattr(STDIN_FILENO, TCSANOW, &hidden)
        }
        let line = readLine()
        if isTerminal {
            tcsetattr(STDIN_FILENO, TCSANOW, &shown)
            StandardStream.error.write("\n")
        }
        guard let line, !line.isEmpty else {
            throw UsageError("--password: type one, or give it as a line of standard input")
        }
        return line
    }
}
