internal import CyxClient
internal import CyxCore

/// `cyxcloud audit run|log|score`.
enum AuditCommand {
    private static let flags = StatusCommand.adminFlags + Command.globalFlags
    private static let defaultSample = 100

    static let run = Command(
        spec: CommandSpec(
            name: "cyxcloud audit run",
            summary: "Audit shards that a peer watches, drawn at random, now.",
            flags: [FlagSpec("sample", "N", "how many (\(defaultSample))")] + flags)
    ) { parsed, console in
        let text = parsed.value("sample") ?? "\(defaultSample)"
        guard let count = Int(text), count > 0 else {
            throw UsageError("--sample: `\(text)` is no number of shards")
        }
        let audits = try StatusCommand.admin(parsed).runAudits(count)
        show(audits.filter { $0.result != "pass" }, console)
        let counts = Dictionary(grouping: audits, by: \.result).mapValues(\.count)
        let words = counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        console.say(
            audits.isEmpty
                ? "this peer watches no shards of others"
                : "\(audits.count) audits: " + words.joined(separator: ", "))
        console.result(
            .object(
                [("audits", .integer(Int64(audits.count)))]
                    + counts.sorted { $0.key < $1.key }.map { ($0.key, .integer(Int64($0.value))) })
        )
        if let wrong = counts["wrong"] {
            console.fail(
                ClientError(
                    code: "AUDIT-01", message: "\(wrong) shards are wrong or missing",
                    remedy: "they are being rebuilt: cyxcloud repair status"))
        }
    }

    static let log = Command(
        spec: CommandSpec(
            name: "cyxcloud audit log", summary: "Show the latest audits that a peer made.",
            flags: flags)
    ) { parsed, console in
        let audits = try StatusCommand.admin(parsed).auditLog()
        show(audits, console)
        console.result(.object([("audits", .integer(Int64(audits.count)))]))
    }

    static let score = Command(
        spec: CommandSpec(
            name: "cyxcloud audit score",
            summary: "Show how peers have done in audits: their three tracks and standing.",
            flags: flags, arguments: "[PEER]", argumentCount: 0...1)
    ) { parsed, console in
        let scores = try StatusCommand.admin(parsed).auditScores(parsed.arguments.first ?? "")
        console.say("peer          right   answers  online  standing")
        for score in scores {
            let tracks = [score.wrong, score.unknown, score.online].map { track in
                track.map { Units.decimal($0, digits: 3) } ?? "–    "
            }
            let reason = score.reason.isEmpty ? "" : " (\(score.reason))"
            console.say(
                "\(score.peer.prefix(12))  \(tracks[0])   \(tracks[1])    \(tracks[2])   "
                    + score.standing + reason)
            console.emit(score.json)
        }
        console.result(.object([("peers", .integer(Int64(scores.count)))]))
    }

    private static func show(_ audits: [AuditLine], _ console: Console) {
        for audit in audits {
            console.say(
                "\(audit.time)  \(audit.result.padded(to: 7))  "
                    + "\(audit.segment.prefix(12))/\(audit.index)  \(audit.peer.prefix(12))")
            console.emit(audit.json)
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
