internal import CyxCore
internal import CyxHTTP
internal import CyxStorage

/// The certificate that a server shows, and how its files were when it was read.
struct ShownCertificate: Sendable {
    let source: CertificateSource
    var identity: TLSIdentity
    var stamp: CertificateSource.Stamp

    /// Nil when S3 is to be plain HTTP.
    init?(_ configuration: PeerConfiguration, _ environment: Environment) throws(StoreProblem) {
        guard let source = CertificateSource(configuration) else { return nil }
        let now = environment.wallTime()
        stamp = source.stamp()
        identity = try source.load(now)
        self.source = source
        CertificateWatch.tell(identity, now, environment.logger)
        if source.ownNames != nil {
            print("S3 certificate \(source.certificateFile)  sha256 \(identity.printedFingerprint)")
        }
    }
}

/// Shows the S3 server's new connections another certificate when its files change or SIGHUP comes.
/// What cannot be used is named in the log, and the certificate before it stays.
struct CertificateWatch: Sendable {
    /// How often the files are looked at.
    private static let interval = Duration.seconds(3)

    let server: HTTPServer
    let environment: Environment
    let reactor: Reactor

    private enum Wish: Sendable {
        /// Look whether they changed.
        case look
        /// Read them again.
        case read
    }

    /// Until cancelled.
    func run(_ first: ShownCertificate) async throws {
        let (wishes, wish) = AsyncStream.makeStream(
            of: Wish.self, bufferingPolicy: .bufferingNewest(8))
        let watch = try ProcessSignals(.rereading).watch(on: reactor) { wish.yield(.read) }
        defer { reactor.unwatch(watch) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: environment.executor) {
                while true {
                    try await environment.sleep(for: CertificateWatch.interval)
                    wish.yield(.look)
                }
            }
            var shown = first
            let source = first.source
            for await wish in wishes {
                let now = environment.wallTime()
                let newest = await environment.blocking.run { source.stamp() }
                guard wish == .read || newest != shown.stamp || source.isEnding(shown.identity, now)
                else { continue }
                shown.stamp = newest
                if let identity = await read(source, now) { shown.identity = identity }
            }
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func read(_ source: CertificateSource, _ now: WallTime) async -> TLSIdentity? {
        do {
            let identity = try await environment.blocking.run { () throws(StoreProblem) in
                try source.load(now)
            }
            await server.use(identity)
            environment.metrics.counter("cyxcloud_tls_reloads_total", [("result", "ok")]).add()
            CertificateWatch.tell(identity, now, environment.logger)
            return identity
        } catch {
            environment.metrics.counter("cyxcloud_tls_reloads_total", [("result", "failed")]).add()
            environment.logger.error(
                "the certificate before stays in use", [("problem", "\(error)")])
            return nil
        }
    }

    /// Logs what is shown, and that it is not valid if so.
    static func tell(_ identity: TLSIdentity, _ now: WallTime, _ logger: Logger) {
        logger.info(
            "S3 speaks TLS",
            [
                ("sha256", identity.printedFingerprint),
                ("until", identity.validity.upperBound.rfc3339),
            ])
        if !identity.validity.contains(now) {
            logger.warning(
                "the certificate is not valid now; clients will refuse it",
                [
                    ("from", identity.validity.lowerBound.rfc3339),
                    ("until", identity.validity.upperBound.rfc3339),
                ])
        }
    }
}
