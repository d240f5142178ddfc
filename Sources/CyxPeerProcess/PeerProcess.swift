internal import CyxAssembly
internal import CyxCore
internal import CyxStorage
package import CyxTransport
internal import Glibc

/// A process that is a peer: what `cyxpeer` does with its command line.
package enum PeerProcess {
    static let version = "0.1.0"

    /// Serves until SIGINT or SIGTERM, then returns; ends the process with exit code 1 when
    /// something failed, 2 when `words` or the settings are wrong.
    ///
    /// `holderMessaging`: what the shard holder is given to answer through; see `PeerAssembly`.
    package static func run(
        _ words: [String],
        holderMessaging: @escaping @Sendable (UDPMessaging) -> any PeerMessaging = { $0 }
    ) {
        ProcessMemory.tune()
        ProcessSignals.ignoreBrokenPipes()
        ProcessSignals.block(.ending)
        let configuration: PeerConfiguration
        do {
            guard let read = try readConfiguration(words) else { return }
            configuration = read
            if CertificateSource(configuration) != nil { ProcessSignals.block(.rereading) }
        } catch {
            fail(error, code: error is StoreProblem ? 1 : 2)
        }
        do {
            let reactor = try Reactor()
            let pool = try ThreadPool()
            let sink = LineLogSink.standardError()
            let program = PeerProgram(
                configuration: configuration, reactor: reactor, pool: pool, sink: sink,
                holderMessaging: holderMessaging)
            try reactor.run { try await program.run() }
        } catch is CancellationError {
            return
        } catch {
            fail(error, code: 1)
        }
    }

    /// Nil when the words only asked for help or the version.
    private static func readConfiguration(_ words: [String]) throws -> PeerConfiguration? {
        let flags = try PeerConfiguration.spec.parse(words)
        if flags.has("help") {
            print(PeerConfiguration.spec.helpText)
            return nil
        }
        if flags.has("version") {
            print("cyxpeer \(version)")
            return nil
        }
        var file: (name: String, bytes: [UInt8])?
        if let name = flags.value("config") {
            guard let bytes = try SecretFile.read(name) else {
                throw ConfigurationError("--config: there is no file \(name)")
            }
            file = (name, bytes)
        }
        var environment: [String: String] = [:]
        for name in ["CYX_ACCESS_KEY", "CYX_SECRET_KEY"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return try PeerConfiguration.combine(flags: flags, file: file, environment: environment)
    }

    private static func fail(_ error: any Error, code: Int32) -> Never {
        let text = Array("error \(ErrorText.describe(error))\n".utf8)
        _ = write(STDERR_FILENO, text, text.count)
        exit(code)
    }
}

/// Errors of every layer as an operator reads them: what, on what, what to do.
enum ErrorText {
    static func describe(_ error: any Error) -> String {
        switch error {
        case let error as BindError:
            let words = String(cString: strerror(error.errno))
            return error.errno == EADDRINUSE
                ? "NET-01: UDP \(error.address) is used by another program\n"
                    + "  try:   stop it, or choose another address with --listen"
                : "NET-02: cannot listen on UDP \(error.address): \(words)\n"
                    + "  try:   an address of this machine with --listen"
        case let error as StoreError: return describe(error)
        case let error as UsageError: return "\(error); `cyxpeer --help` lists the flags"
        default: return "\(error)"
        }
    }

    private static func describe(_ error: StoreError) -> String {
        switch error {
        case .noSpace:
            "STORE-08: the volume of the data directory is full\n  try:   free some space"
        case .corrupt(let detail): "STORE-10: the store is damaged: \(detail)"
        case .failed(let operation, let detail): "STORE-11: \(operation) failed: \(detail)"
        case .closed: "STORE-12: the store is closed"
        }
    }
}
