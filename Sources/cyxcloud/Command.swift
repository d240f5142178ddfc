internal import CyxClient
internal import CyxCore

/// One command: what it takes, and what it does.
struct Command: Sendable {
    var spec: CommandSpec
    /// Returns when it is done; throws `ClientError`, `SystemError` or `UsageError`.
    var run: @Sendable (ParsedCommand, Console) throws -> Void

    /// Flags that every command takes.
    static let globalFlags = [
        FlagSpec("json", nil, "JSON lines on standard output; the last is {\"result\":…}"),
        FlagSpec("quiet", nil, "no progress"),
        FlagSpec("no-color", nil, "no colours (as NO_COLOR does)"),
        FlagSpec("help", nil, "show this"),
    ]
    /// Flags of commands that speak S3.
    static let gatewayFlags = [
        FlagSpec("gateway", "URL", "S3 address (AWS_ENDPOINT_URL; http://127.0.0.1:9000)"),
        FlagSpec("access-key", "KEY", "S3 key (CYX_ACCESS_KEY, AWS_ACCESS_KEY_ID)"),
        FlagSpec("secret-key", "KEY", "its secret (CYX_SECRET_KEY, AWS_SECRET_ACCESS_KEY)"),
        FlagSpec("parallel", "N", "requests at the same time (4)"),
    ]
    static let changeFlags = [
        FlagSpec("yes", nil, "do not ask"),
        FlagSpec("dry-run", nil, "say what would be done, and do nothing"),
    ]

    static let all: [Command] = [
        DevnetCommand.command, UploadCommand.command, DownloadCommand.command, ListCommand.command,
        RemoveCommand.command, StatusCommand.command, BucketCommand.create, BucketCommand.list,
        BucketCommand.remove, PinCommand.list, PinCommand.remove, PinCommand.add,
        KeyCommand.create, KeyCommand.list, KeyCommand.revoke, ShareCommand.list,
        ShareCommand.revoke, ShareCommand.create, NodeCommand.stop,
        NodeCommand.leave, NodeCommand.drain,
        NodeCommand.replace, NodeCommand.stay, RecoverCommand.key, RecoverCommand.recover,
        NetworkCommand.plan, WhereCommand.command, RepairCommand.status, RepairCommand.now,
        RepairCommand.pause, RepairCommand.throttle, AuditCommand.run, AuditCommand.log,
        AuditCommand.score,
    ]

    /// The first words, without repeats: `bucket` once.
    static var names: [String] {
        all.reduce(into: []) { names, command in
            let name = command.words[0]
            if !names.contains(name) { names.append(name) }
        }
    }

    /// `bucket create` for `cyxcloud bucket create`.
    private var words: [String] { spec.name.split(separator: " ").dropFirst().map(String.init) }

    /// The command that `words` begins with, which are taken off; nil if there is none.
    static func find(_ words: inout [String]) -> Command? {
        for command in all where words.starts(with: command.words) {
            words.removeFirst(command.words.count)
            return command
        }
        return nil
    }

    static var overview: String {
        let width = (all.map { $0.words.joined(separator: " ").count }.max() ?? 0) + 2
        let lines = all.map { command in
            let name = command.words.joined(separator: " ")
            let padding = String(repeating: " ", count: width - name.count)
            return "  \(name)\(padding)\(command.spec.summary)\n"
        }
        return "Store files on a network of peers.\n\nusage: cyxcloud COMMAND [flags]\n\n"
            + lines.joined() + "\ncyxcloud COMMAND --help shows the flags of a command.\n"
    }
}
