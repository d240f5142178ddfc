internal import CyxClient
internal import CyxCore
internal import Glibc

/// `cyxcloud download BUCKET/KEY|pin:ID [DEST]`.
enum DownloadCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud download",
            summary: "Get an object or a pinned version, or with -r all below a prefix.",
            flags: [
                FlagSpec("range", "A-B", "only bytes A to B, both included"),
                FlagSpec("recursive", nil, "all objects whose key begins with KEY (-r)"),
            ] + Command.gatewayFlags + [FlagSpec("dry-run", nil, "say what would be got")]
                + Command.globalFlags,
            arguments: "BUCKET/KEY|pin:ID [DEST]", argumentCount: 1...2),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let pin = PinCommand.id(parsed.arguments[0])
        let target = try Target(parsed.arguments[0])
        let destination = parsed.arguments.count > 1 ? parsed.arguments[1] : nil
        let isRecursive = parsed.has("recursive")
        guard isRecursive || !target.key.isEmpty || pin != nil else {
            throw UsageError("`\(target.text)` names a bucket; write BUCKET/KEY, or add -r")
        }
        guard !isRecursive || pin == nil else {
            throw UsageError("-r does not go with `\(target.text)`, which is one version")
        }
        let range = try parsed.value("range").map(ByteRange.init)
        guard !isRecursive || (range == nil && destination != "-") else {
            throw UsageError("-r goes with neither --range nor `-`")
        }
        let isDry = parsed.has("dry-run")
        signal(SIGINT, SIG_DFL)
        try Session.run(parsed, console) { session in
            var items: [Item]
            if let pin {
                let object = try await session.client.head(pin: pin)
                let path = path(for: object.key, destination)
                items = [Item(source: .pin(pin), object: object, path: path)]
            } else if isRecursive {
                items = try await below(target, in: destination ?? ".", session)
            } else {
                let object = try await session.client.head(bucket: target.bucket, key: target.key)
                items = [
                    Item(
                        source: .object(bucket: target.bucket, key: target.key), object: object,
                        path: path(for: target.key, destination))
                ]
            }
            if isDry {
                for item in items {
                    console.say("\(item.source.text) -> \(item.path)")
                }
                let total = items.reduce(0) { $0 + $1.object.size }
                console.say("\(items.count) files, \(Units.format(bytes: total)) would be got")
                return console.result(.object([("files", .integer(Int64(items.count)))]))
            }
            try await download(items, range: range, session)
        }
    }

    private struct Item: Sendable {
        var source: DownloadSource
        var object: RemoteObject
        var path: String
    }

    /// The last part of the key, in the destination if that is a folder.
    private static func path(for key: String, _ destination: String?) -> String {
        let name = String(key.split(separator: "/").last ?? "object")
        guard let destination else { return name }
        var info = stat()
        let isFolder = stat(destination, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
        guard isFolder || destination.hasSuffix("/") else { return destination }
        return destination + (destination.hasSuffix("/") ? "" : "/") + name
    }

    /// Everything below a prefix. Keys that would lead out of the folder are refused.
    private static func below(
        _ target: Target, in folder: String, _ session: Session
    ) async throws -> [Item] {
        var items: [Item] = []
        var continuation: String?
        repeat {
            let page = try await session.client.list(
                bucket: target.bucket, prefix: target.key, delimiter: nil,
                continuation: continuation)
            for object in page.objects where !object.key.hasSuffix("/") {
                let parts = object.key.split(separator: "/", omittingEmptySubsequences: false)
                guard !parts.contains(where: { $0 == ".." || $0 == "." || $0.isEmpty }) else {
                    throw ClientError(
                        code: "FILE-06", message: "the key \(object.key) is no path below a folder",
                        remedy: "download it by its key, with a DEST of its own")
                }
                items.append(
                    Item(
                        source: .object(bucket: target.bucket, key: object.key), object: object,
                        path: folder + "/" + object.key))
            }
            continuation = page.continuation
        } while continuation != nil
        return items
    }

    private static func download(
        _ items: [Item], range: ByteRange?, _ session: Session
    ) async throws {
        let meter = TransferMeter()
        var jobs: [(item: Item, wanted: Range<UInt64>)] = []
        for item in items {
            let wanted = try range?.within(item.object) ?? 0..<item.object.size
            jobs.append((item, wanted))
        }
        let total = jobs.reduce(UInt64(0)) { $0 + UInt64($1.wanted.count) }
        let label = items.count == 1 ? items[0].object.key : "\(items.count) files"
        let (_, took) = try await session.withProgress(label, total: total, meter: meter) {
            for (item, wanted) in jobs {
                let download = Download(
                    client: session.client, source: item.source, parallel: session.parallel)
                if item.path == "-" {
                    try await download.stream(object: item.object, wanted: wanted, meter: meter)
                } else {
                    try makeFolders(for: item.path)
                    try await download.run(
                        object: item.object, wanted: wanted, path: item.path, meter: meter)
                }
            }
        }
        if items.first?.path == "-" { return }
        session.console.result(
            .object([
                ("files", .integer(Int64(items.count))), ("bytes", .integer(Int64(total))),
                ("seconds", .number(took.inSeconds)),
            ]))
        let what = items.count == 1 ? items[0].path : "\(items.count) files"
        session.console.say(
            "got \(what): \(Units.format(bytes: total)) in "
                + "\(Units.decimal(took.inSeconds, digits: 1)) s (\(formatRate(total, over: took)))"
        )
    }

    private static func makeFolders(for path: String) throws(ClientError) {
        var folder = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/").dropLast() {
            folder += part + "/"
            guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
                throw ClientError(
                    code: "FILE-01", message: "cannot make \(folder)",
                    cause: SystemError.words(errno))
            }
        }
    }
}

/// `A-B`, `A-` or `-N` (the last N), as in HTTP's Range.
struct ByteRange: Sendable, Equatable {
    private var first: UInt64?
    private var last: UInt64?

    init(_ text: String) throws(UsageError) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw UsageError("--range: `\(text)` is not A-B") }
        first = UInt64(parts[0])
        last = UInt64(parts[1])
        guard first != nil || parts[0].isEmpty, last != nil || parts[1].isEmpty,
            first != nil || last != nil, (first ?? 0) <= (last ?? .max) || first == nil
        else { throw UsageError("--range: `\(text)` is not A-B with A up to B") }
    }

    /// The bytes of that object; throws if it ends before them.
    func within(_ object: RemoteObject) throws(ClientError) -> Range<UInt64> {
        guard let first else { return object.size - min(last ?? 0, object.size)..<object.size }
        guard first < object.size else {
            throw ClientError(
                code: "InvalidRange",
                message: "\(object.key) has \(object.size) bytes; the range begins at \(first)")
        }
        return first..<min(last.map { $0 + 1 } ?? object.size, object.size)
    }
}
