internal import CyxClient
internal import CyxCore

/// `cyxcloud upload PATH… --bucket B`.
enum UploadCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud upload", summary: "Store files and folders in a bucket.",
            flags: [
                FlagSpec("bucket", "NAME", "where to (required)"),
                FlagSpec("prefix", "P", "put before every key, such as photos/"),
                FlagSpec("include", "GLOB", "of folders, only these files", repeats: true),
                FlagSpec("exclude", "GLOB", "of folders, not these files", repeats: true),
            ] + Command.gatewayFlags + Command.changeFlags + Command.globalFlags,
            arguments: "PATH…", argumentCount: 1...4096),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        guard let bucket = parsed.value("bucket"), !bucket.isEmpty else {
            throw UsageError("upload needs --bucket NAME")
        }
        let filter = FileFilter(
            include: parsed.values["include"] ?? [], exclude: parsed.values["exclude"] ?? [])
        var files: [LocalFile] = []
        for path in parsed.arguments {
            files += try LocalFile.collect(path, prefix: parsed.value("prefix") ?? "", filter)
        }
        let total = files.reduce(0) { $0 + $1.size }
        if parsed.has("dry-run") {
            for file in files { console.say("\(file.path) -> \(bucket)/\(file.key)") }
            console.say("\(files.count) files, \(Units.format(bytes: total)) would be stored")
            return console.result(summary(files.count, total, .zero, nil))
        }
        Session.explainInterrupts()
        let found = files
        try Session.run(parsed, console) { session in
            try await upload(found, total: total, bucket: bucket, session)
        }
    }

    private static func upload(
        _ files: [LocalFile], total: UInt64, bucket: String, _ session: Session
    ) async throws {
        let meter = TransferMeter()
        let label = files.count == 1 ? files[0].key : "\(files.count) files"
        let (outcomes, took) = try await session.withProgress(label, total: total, meter: meter) {
            try await inParallel(files, limit: session.parallel) { file in
                await upload(file, bucket: bucket, session, meter)
            }
        }
        var stored: [RemoteObject] = []
        for outcome in outcomes {
            switch outcome {
            case .success(let object): stored.append(object)
            case .failure(let error): session.console.fail(error)
            }
        }
        let bytes = stored.reduce(0) { $0 + $1.size }
        session.console.result(summary(stored.count, bytes, took, stored.first))
        guard let last = stored.last else { return }
        var line =
            "stored \(stored.count == 1 ? "\(bucket)/\(last.key)" : "\(stored.count) files"): "
            + "\(Units.format(bytes: bytes)) in \(Units.decimal(took.inSeconds, digits: 1)) s "
            + "(\(formatRate(bytes, over: took)))"
        if let redundancy = last.redundancy { line += ", \(redundancy)" }
        if let survives = last.survives { line += ", survives \(survives) peers" }
        session.console.say(line)
        let next = stored.count == 1 ? "download \(bucket)/\(last.key)" : "ls \(bucket) --recursive"
        session.console.note("next: cyxcloud \(next)")
    }

    /// One file; an error is a value, so that the others go on.
    private static func upload(
        _ file: LocalFile, bucket: String, _ session: Session, _ meter: TransferMeter
    ) async -> Result<RemoteObject, ClientError> {
        let upload = Upload(
            client: session.client, bucket: bucket, key: file.key, parallel: session.parallel,
            journalDirectory: journalDirectory)
        do {
            return .success(try await upload.run(path: file.path, meter: meter))
        } catch let error as ClientError {
            return .failure(error)
        } catch {
            return .failure(ClientError(code: "SYS-02", message: "\(file.path): \(error)"))
        }
    }

    /// `$XDG_STATE_HOME/cyxcloud/uploads`, by default below `~/.local/state`.
    private static var journalDirectory: String? {
        let state =
            ProcessEnvironment.value("XDG_STATE_HOME")
            ?? ProcessEnvironment.value("HOME").map { $0 + "/.local/state" }
        return state.map { $0 + "/cyxcloud/uploads" }
    }

    private static func summary(
        _ count: Int, _ bytes: UInt64, _ took: Duration, _ sample: RemoteObject?
    ) -> JSONValue {
        var fields: [(key: String, value: JSONValue)] = [
            ("files", .integer(Int64(count))), ("bytes", .integer(Int64(bytes))),
            ("seconds", .number(took.inSeconds)),
        ]
        if let redundancy = sample?.redundancy {
            fields.append(("redundancy", .string(redundancy)))
        }
        if count == 1, let etag = sample?.etag { fields.append(("etag", .string(etag))) }
        return .object(fields)
    }
}
