internal import CyxClient
internal import CyxCore
internal import Glibc

/// What a command that speaks S3 needs: a reactor for its tasks, threads for its requests, and the
/// client.
struct Session: Sendable {
    static let defaultGateway = "http://127.0.0.1:9000"
    static let parallelRange = 1...64

    let client: S3Client
    let parallel: Int
    let console: Console
    let reactor: Reactor

    /// Reads the gateway's flags and environment, then runs `body` to its end.
    static func run(
        _ parsed: ParsedCommand, _ console: Console,
        _ body: @escaping @Sendable (Session) async throws -> Void
    ) throws {
        let address =
            parsed.value("gateway") ?? ProcessEnvironment.value("CYX_GATEWAY")
            ?? ProcessEnvironment.value("AWS_ENDPOINT_URL") ?? defaultGateway
        guard let endpoint = Endpoint(address) else {
            throw UsageError("--gateway: `\(address)` is not http://HOST:PORT")
        }
        let parallelText = parsed.value("parallel") ?? "4"
        guard let parallel = Int(parallelText), parallelRange.contains(parallel) else {
            throw UsageError("--parallel: `\(parallelText)` is not between 1 and 64")
        }
        let credentials = try credentials(parsed)
        let reactor = try Reactor()
        let pool = try ThreadPool(threadCount: parallel)
        let client = S3Client(
            endpoint: endpoint, credentials: credentials,
            region: ProcessEnvironment.value("AWS_REGION") ?? "auto",
            http: HTTPClient(trusted: ProcessEnvironment.value("AWS_CA_BUNDLE")),
            pool: pool, wallTime: { reactor.wallTime() })
        let session = Session(
            client: client, parallel: parallel, console: console, reactor: reactor)
        try reactor.run { try await body(session) }
    }

    private static func credentials(_ parsed: ParsedCommand) throws -> Credentials {
        let access =
            parsed.value("access-key") ?? ProcessEnvironment.value("CYX_ACCESS_KEY")
            ?? ProcessEnvironment.value("AWS_ACCESS_KEY_ID")
        let secret =
            parsed.value("secret-key") ?? ProcessEnvironment.value("CYX_SECRET_KEY")
            ?? ProcessEnvironment.value("AWS_SECRET_ACCESS_KEY")
        guard let access, let secret else {
            throw ClientError(
                code: "AUTH-01", message: "there is no S3 key to sign with",
                remedy: "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…, or --access-key and"
                    + " --secret-key")
        }
        return Credentials(accessKey: access, secretKey: secret)
    }

    /// Shows progress while `body` runs; returns its result and how long it took.
    func withProgress<Result: Sendable>(
        _ label: String, total: UInt64, meter: TransferMeter,
        _ body: () async throws -> Result
    ) async throws -> (result: Result, took: Duration) {
        let reporter = ProgressReporter(
            label: label, total: total, meter: meter, console: console, executor: reactor)
        reporter.start()
        do {
            let result = try await body()
            return (result, reporter.stop())
        } catch {
            _ = reporter.stop()
            throw error
        }
    }

    /// What Ctrl-C says and does: nothing stored is lost, and the exit code is 1.
    static func explainInterrupts() {
        signal(SIGINT) { _ in
            let text: StaticString =
                "\ninterrupted. What is stored is kept: the same command goes on from there.\n"
            _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
            _exit(1)
        }
    }
}

/// `bucket/key`, or `s3://bucket/key`.
struct Target: Sendable, Equatable {
    var bucket: String
    var key: String

    init(_ text: String) throws(UsageError) {
        let path = text.hasPrefix("s3://") ? text.dropFirst(5) : text[...]
        let parts = path.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty else {
            throw UsageError("`\(text)` names no bucket; write BUCKET/KEY")
        }
        bucket = String(first)
        key = parts.count > 1 ? String(parts[1]) : ""
    }

    var text: String { key.isEmpty ? bucket : "\(bucket)/\(key)" }
}

/// `123 MiB/s`.
func formatRate(_ bytes: UInt64, over duration: Duration) -> String {
    let seconds = max(duration.inSeconds, 0.001)
    return Units.format(bytes: UInt64(Double(bytes) / seconds)) + "/s"
}
