internal import CyxClient
internal import CyxCore

/// `cyxcloud rm BUCKET/KEY…`.
enum RemoveCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud rm", summary: "Delete objects.",
            flags: [
                FlagSpec("recursive", nil, "all objects whose key begins with KEY (-r)")
            ] + Command.gatewayFlags + Command.changeFlags + Command.globalFlags,
            arguments: "BUCKET/KEY…", argumentCount: 1...4096),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        var targets: [Target] = []
        for text in parsed.arguments { targets.append(try Target(text)) }
        let isRecursive = parsed.has("recursive")
        for target in targets where target.key.isEmpty && !isRecursive {
            throw UsageError(
                "`\(target.text)` names a bucket; add -r to delete all in it, or `bucket rm`")
        }
        let wanted = targets
        try Session.run(parsed, console) { session in
            let objects = try await find(wanted, isRecursive, session)
            let bytes = objects.reduce(0) { $0 + $1.size }
            let what = "\(objects.count) objects, \(Units.format(bytes: bytes))"
            if parsed.has("dry-run") {
                for object in objects { console.say(object.target.text) }
                console.say("\(what) would be deleted")
                return console.result(result(0, objects.count))
            }
            if isRecursive, !objects.isEmpty {
                guard try console.confirm("Delete \(what)?", parsed) else {
                    console.say("nothing was deleted")
                    return console.result(result(0, 0))
                }
            }
            let errors = try await inParallel(objects, limit: session.parallel) { object in
                await remove(object.target, session)
            }
            let failures = errors.compactMap(\.self)
            for error in failures { console.fail(error) }
            console.say("deleted \(objects.count - failures.count) of \(what)")
            console.result(result(objects.count - failures.count, objects.count))
        }
    }

    private struct Found: Sendable {
        var target: Target
        var size: UInt64
    }

    private static func find(
        _ targets: [Target], _ isRecursive: Bool, _ session: Session
    ) async throws -> [Found] {
        var found: [Found] = []
        for target in targets {
            guard isRecursive else {
                let object = try await session.client.head(bucket: target.bucket, key: target.key)
                found.append(Found(target: target, size: object.size))
                continue
            }
            var continuation: String?
            repeat {
                let page = try await session.client.list(
                    bucket: target.bucket, prefix: target.key, delimiter: nil,
                    continuation: continuation)
                for object in page.objects {
                    var each = target
                    each.key = object.key
                    found.append(Found(target: each, size: object.size))
                }
                continuation = page.continuation
            } while continuation != nil
        }
        return found
    }

    private static func remove(_ target: Target, _ session: Session) async -> ClientError? {
        do throws(ClientError) {
            try await session.client.delete(bucket: target.bucket, key: target.key)
            return nil
        } catch {
            return error
        }
    }

    private static func result(_ deleted: Int, _ found: Int) -> JSONValue {
        .object([("deleted", .integer(Int64(deleted))), ("found", .integer(Int64(found)))])
    }
}
