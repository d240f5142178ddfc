internal import CyxClient
internal import CyxCore

/// `cyxcloud where BUCKET/KEY`.
enum WhereCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud where",
            summary: "Show who holds an object's shards, and how many losses it survives.",
            flags: StatusCommand.adminFlags + Command.globalFlags, arguments: "BUCKET/KEY",
            argumentCount: 1...1)
    ) { parsed, console in
        let target = try Target(parsed.arguments[0])
        guard !target.key.isEmpty else {
            throw UsageError("`\(target.text)` names no object; write BUCKET/KEY")
        }
        let admin = try StatusCommand.admin(parsed)
        let segments = try admin.place(of: target.key, in: target.bucket)
        for segment in segments {
            console.say(
                "segment \(segment.id.prefix(12))  rs(\(segment.k),\(segment.m))  "
                    + "survives \(segment.survives)")
            for holder in segment.holders {
                let index = holder.index < 10 ? " \(holder.index)" : "\(holder.index)"
                let state = holder.isAlive ? "" : "  gone"
                console.say(
                    "  \(index)  \(holder.peer.prefix(12))  \(holder.zone)  \(holder.audit)\(state)"
                )
            }
            console.emit(segment.json)
        }
        let survives = segments.map(\.survives).min()
        console.say(
            survives.map { "\(target.text) survives \($0) more losses of its holders" }
                ?? "\(target.text) lies in its row, at the custodians of its partition")
        console.result(
            .object([
                ("object", .string(target.text)), ("segments", .integer(Int64(segments.count))),
                ("survives", survives.map { .integer($0) } ?? .null),
            ]))
    }
}
