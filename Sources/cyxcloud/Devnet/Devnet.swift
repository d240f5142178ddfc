internal import CyxClient
internal import CyxCore
internal import CyxCrypto
internal import Glibc

/// A running network of processes on this machine. It belongs to one thread, which starts the
/// peers, watches them and, on a signal, stops them.
struct Devnet {
    private static let startSeconds = 60
    private static let secondsPerPeer = 3
    private static let stopSeconds = 15
    private static let pollNanoseconds = 100_000_000
    private static let logLines = 15

    /// Somebody asked for the end.
    struct Interrupted: Error {}

    private let plan: DevnetPlan
    private let console: Console
    private let http = HTTPClient()
    private var children: [PeerProcess] = []
    private let signals: sigset_t

    /// Blocks the signals that it waits for, in this thread and those made later.
    init(_ plan: DevnetPlan, _ console: Console) {
        self.plan = plan
        self.console = console
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signals = set
    }

    // MARK: Start

    /// Starts the gateway, then the others; returns when the gateway calls the network whole.
    mutating func start() throws -> PeerStatus {
        for index in 0..<plan.peers {
            let folder = plan.folder(of: index)
            try SmallFile.makeFolder(folder)
            if let pid = PeerProcess.leftover(in: folder) {
                throw ClientError(
                    code: "DEVNET-02", message: "peer \(index) of \(plan.directory) still runs",
                    cause: "process \(pid), of a devnet that was killed or runs elsewhere",
                    remedy: "stop that devnet, or kill \(pid)")
            }
        }
        if SmallFile.read(plan.keyFile) == nil {
            let key = Hex.encode(KernelRandom().bytes(32))
            try SmallFile.write(key + "\n", to: plan.keyFile, mode: 0o600)
        }
        if SmallFile.read(plan.adminKeyFile) == nil { try AdminKeyFile.make(plan.adminKeyFile) }
        console.note("starting \(plan.peers) peers in \(plan.directory)")
        try startPeer(0, bootstrap: nil)
        let address = try waitForFile("listen", of: 0)
        for index in 1..<max(plan.peers, 1) where index < plan.peers {
            try startPeer(index, bootstrap: address)
        }
        return try waitUntilWhole()
    }

    private mutating func startPeer(_ index: Int, bootstrap: String?) throws {
        let folder = plan.folder(of: index)
        let before = SmallFile.read(folder + "/listen")
        let listen = before.flatMap { UDPPort.isFree($0) ? $0 : nil } ?? "127.0.0.1:0"
        var environment = ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"].reduce(into: [:]) {
            $0[$1] = ProcessEnvironment.value($1)
        }
        if index == 0 {
            environment["CYX_ACCESS_KEY"] = plan.credentials.accessKey
            environment["CYX_SECRET_KEY"] = plan.credentials.secretKey
        }
        children.append(
            try PeerProcess(
                index: index, folder: folder,
                arguments: plan.arguments(
                    of: index, listen: listen, bootstrap: bootstrap,
                    adminKey: try AdminKeyFile.read(plan.adminKeyFile).verifyingKey),
                environment: environment))
    }

    /// Waits for what a peer writes once it serves.
    private mutating func waitForFile(_ name: String, of peer: Int) throws -> String {
        let path = plan.folder(of: peer) + "/" + name
        let deadline = Self.now() + Self.startSeconds
        while Self.now() < deadline {
            if let text = SmallFile.read(path) { return text }
            try pause()
            try failIfAnyEnded()
        }
        throw failure(
            "peer \(peer) has not written `\(name)` after \(Self.startSeconds) s", of: peer)
    }

    private mutating func waitUntilWhole() throws -> PeerStatus {
        // What a peer writes last.
        _ = try waitForFile("admin", of: 0)
        let admin = try adminClient()
        let limit = Self.startSeconds + Self.secondsPerPeer * plan.peers
        let deadline = Self.now() + limit
        var last = "it has not answered yet"
        while Self.now() < deadline {
            do throws(ClientError) {
                let status = try admin.status()
                if status.isWhole(peers: plan.peers) { return status }
                last = status.sentence
            } catch let error {
                last = error.message
            }
            try pause()
            try failIfAnyEnded()
        }
        throw failure("the network is not whole after \(limit) s: \(last)", of: 0)
    }

    func adminClient() throws -> AdminClient {
        let folder = plan.folder(of: 0)
        let address = SmallFile.read(folder + "/admin") ?? ""
        return AdminClient(
            address: address, token: SmallFile.read(folder + "/admin.token") ?? "", http: http)
    }

    private mutating func failIfAnyEnded() throws {
        for index in children.indices where children[index].reap() {
            throw failure(
                "peer \(children[index].index) \(children[index].ending) at its start",
                of: children[index].index)
        }
    }

    private func failure(_ message: String, of peer: Int) -> ClientError {
        let log = plan.folder(of: peer) + "/log"
        let lines = SmallFile.tail(log, lines: Self.logLines)
        return ClientError(
            code: "DEVNET-03", message: message,
            cause: lines.isEmpty
                ? "its log \(log) is empty"
                : "\(log) ends with:\n    " + lines.joined(separator: "\n    "))
    }

    // MARK: Run and stop

    /// Runs until a signal. A peer that dies is reported, and the network goes on without it.
    mutating func run() {
        while true {
            do {
                try pause()
            } catch {
                return
            }
            for index in children.indices where children[index].reap() {
                console.note("peer \(children[index].index) \(children[index].ending)")
            }
        }
    }

    /// Asks all peers to end, waits, and kills those that do not.
    mutating func stop() {
        for child in children { child.send(SIGTERM) }
        let deadline = Self.now() + Self.stopSeconds
        while children.contains(where: \.isRunning), Self.now() < deadline {
            _ = nextSignal()
            for index in children.indices { _ = children[index].reap() }
        }
        for child in children where child.isRunning {
            console.warn("peer \(child.index) does not end; killing it")
            child.send(SIGKILL)
        }
        while children.contains(where: \.isRunning) {
            _ = nextSignal()
            for index in children.indices { _ = children[index].reap() }
        }
        for child in children { unlink(child.folder + "/pid") }
    }

    /// Waits a moment, or less if a peer ended; throws `Interrupted` on a signal to stop.
    private func pause() throws {
        switch nextSignal() {
        case SIGINT, SIGTERM, SIGHUP: throw Interrupted()
        default: return
        }
    }

    private func nextSignal() -> Int32 {
        var set = signals
        var limit = timespec(tv_sec: 0, tv_nsec: Self.pollNanoseconds)
        return sigtimedwait(&set, nil, &limit)
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }
}

/// Whether a UDP address may be bound: a devnet that starts again takes its former ports if it can.
enum UDPPort {
    static func isFree(_ text: String) -> Bool {
        let address: SocketAddress
        do {
            address = try SocketAddress(parsing: text)
        } catch {
            return false
        }
        guard address.isIPv4 else { return false }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = address.port.bigEndian
        name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.ip).bigEndian
        return withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
