internal import CyxClient
internal import CyxCore

/// `cyxcloud ls [BUCKET[/PREFIX]]`.
enum ListCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud ls", summary: "List buckets, or objects and folders of a bucket.",
            flags: [
                FlagSpec("recursive", nil, "all objects below, not folder by folder (-r)"),
                FlagSpec("sum", nil, "add how many and how large"),
            ] + Command.gatewayFlags + Command.globalFlags,
            arguments: "[BUCKET[/PREFIX]]", argumentCount: 0...1),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let target = try parsed.arguments.first.map { try Target($0) }
        let isRecursive = parsed.has("recursive")
        let wantsSum = parsed.has("sum")
        try Session.run(parsed, console) { session in
            if let target {
                try await list(target, isRecursive, wantsSum, session)
            } else {
                try await BucketCommand.printBuckets(session)
            }
        }
    }

    private static func list(
        _ target: Target, _ isRecursive: Bool, _ wantsSum: Bool, _ session: Session
    ) async throws {
        var count = 0
        var bytes: UInt64 = 0
        var continuation: String?
        repeat {
            let page = try await session.client.list(
                bucket: target.bucket, prefix: target.key, delimiter: isRecursive ? nil : "/",
                continuation: continuation)
            for prefix in page.prefixes {
                session.console.say(row(size: "folder", modified: "", name: prefix))
                session.console.emit(.object([("prefix", .string(prefix))]))
            }
            for object in page.objects {
                count += 1
                bytes += object.size
                session.console.say(
                    row(
                        size: Units.format(bytes: object.size), modified: object.modified,
                        name: object.key))
                session.console.emit(
                    .object([
                        ("key", .string(object.key)), ("size", .integer(Int64(object.size))),
                        ("modified", .string(object.modified)), ("etag", .string(object.etag)),
                    ]))
            }
            continuation = page.continuation
        } while continuation != nil
        if wantsSum { session.console.say("\(count) objects, \(Units.format(bytes: bytes))") }
        session.console.result(
            .object([("objects", .integer(Int64(count))), ("bytes", .integer(Int64(bytes)))]))
    }

    private static func row(size: String, modified: String, name: String) -> String {
        let left = String(repeating: " ", count: max(10 - size.count, 0)) + size
        let middle = modified + String(repeating: " ", count: max(24 - modified.count, 0))
        return "\(left)  \(middle)  \(name)"
    }
}
