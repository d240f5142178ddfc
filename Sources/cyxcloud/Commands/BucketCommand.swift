internal import CyxClient
internal import CyxCore

/// `cyxcloud bucket create|list|rm`.
enum BucketCommand {
    static let create = Command(
        spec: CommandSpec(
            name: "cyxcloud bucket create", summary: "Make a bucket.",
            flags: Command.gatewayFlags + Command.globalFlags, arguments: "NAME",
            argumentCount: 1...1)
    ) { parsed, console in
        let name = try Target(parsed.arguments[0]).bucket
        try Session.run(parsed, console) { session in
            try await session.client.createBucket(name)
            console.say("made bucket \(name)")
            console.note("next: cyxcloud upload PATH --bucket \(name)")
            console.result(.object([("bucket", .string(name))]))
        }
    }

    static let list = Command(
        spec: CommandSpec(
            name: "cyxcloud bucket list", summary: "List your buckets.",
            flags: Command.gatewayFlags + Command.globalFlags)
    ) { parsed, console in
        try Session.run(parsed, console) { try await printBuckets($0) }
    }

    static let remove = Command(
        spec: CommandSpec(
            name: "cyxcloud bucket rm", summary: "Delete an empty bucket.",
            flags: Command.gatewayFlags + Command.changeFlags + Command.globalFlags,
            arguments: "NAME", argumentCount: 1...1)
    ) { parsed, console in
        let name = try Target(parsed.arguments[0]).bucket
        if parsed.has("dry-run") { return console.say("bucket \(name) would be deleted") }
        try Session.run(parsed, console) { session in
            try await session.client.deleteBucket(name)
            console.say("deleted bucket \(name)")
            console.result(.object([("bucket", .string(name))]))
        }
    }

    static func printBuckets(_ session: Session) async throws {
        let buckets = try await session.client.listBuckets()
        for bucket in buckets {
            session.console.say("\(bucket.created)  \(bucket.name)")
            session.console.emit(
                .object([("bucket", .string(bucket.name)), ("created", .string(bucket.created))]))
        }
        if buckets.isEmpty { session.console.note("no buckets; next: cyxcloud bucket create NAME") }
        session.console.result(.object([("buckets", .integer(Int64(buckets.count)))]))
    }
}
