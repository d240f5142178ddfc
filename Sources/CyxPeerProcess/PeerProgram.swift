internal import CyxAssembly
internal import CyxCore
internal import CyxCrypto
internal import CyxGateway
internal import CyxHTTP
internal import CyxObjects
internal import CyxOverlay
internal import CyxStorage
internal import CyxTransport
internal import Glibc

/// From settings to a serving peer: directory and keys, the peer's parts, its edges.
struct PeerProgram: Sendable {
    let configuration: PeerConfiguration
    let reactor: Reactor
    let pool: ThreadPool
    let sink: LineLogSink
    let holderMessaging: @Sendable (UDPMessaging) -> any PeerMessaging

    private static let recordInterval = Duration.seconds(10)
    private static let membersInterval = Duration.seconds(2)
    /// How long telling others of a restart may keep a peer from ending.
    private static let farewell = Duration.milliseconds(500)

    /// Why it stops.
    private enum Ending: Sendable {
        /// The system's wish: usually a restart or an upgrade.
        case signal
        /// That of the admin API, which has told the others what there is to tell.
        case order
    }

    /// Serves until SIGINT, SIGTERM or the admin API says to stop. Throws what kept it from starting.
    func run() async throws {
        let path = configuration.dataDirectory
        let random = KernelRandom()
        let (directory, identity) = try openDirectory(path, random)
        let metrics = MetricsRegistry()
        ProcessMetrics.register(in: metrics, version: PeerProcess.version)
        let environment = Environment.production(
            reactor: reactor, storage: RocksDBDevice(path: path), blocking: pool, sink: sink,
            minimumLevel: configuration.logLevel, metrics: metrics)
        let plan = try await plan(identity, environment)
        try DataDirectory.checkAllocation(plan.allocatedBytes, used: 0, path: path)
        try directory.requireStore(named: "shards", at: path)
        let peer = try await PeerAssembly(
            environment: environment, plan: plan, holderMessaging: holderMessaging)
        try directory.verify(peer.shards.storeID, at: path)
        let (stops, stop) = AsyncStream.makeStream(of: Ending.self)
        let edges = try PeerEdges(
            configuration: configuration, peer: peer, environment: environment, reactor: reactor,
            stop: { stop.yield(.order) })
        environment.logger.info(
            "packets are encrypted", [("engine", AESGCM.Engine.best.rawValue)])
        warn(environment.logger)
        let signals = try ProcessSignals(.ending)
        let deadline = EndingDeadline(signals: signals.descriptor) { endByForce(peer, $0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let watch = try signals.watch(on: reactor) { stop.yield(.signal) }
            let beginEnding: @Sendable () -> Void = {
                reactor.unwatch(watch)
                begin(deadline, environment.logger)
            }
            group.addTask {
                for await ending in stops {
                    beginEnding()
                    if ending == .signal { await announceRestart(of: peer) }
                    return
                }
            }
            let parts = peer.parts
            group.addTask { try await peer.run() }
            group.addTask { try await edges.run() }
            group.addTask {
                try await parts.run("store record") { try await remember(peer, in: directory) }
            }
            group.addTask { try await parts.run("members") { try await rememberMembers(peer) } }
            if configuration.roles.contains(.gateway) {
                group.addTask { try await parts.run("codes") { try await warnOfOneCopy(peer) } }
            }
            defer {
                beginEnding()
                group.cancelAll()
            }
            try edges.announce()
            try await group.next()
            environment.logger.info("stopping")
        }
    }

    private func begin(_ deadline: EndingDeadline, _ logger: Logger) {
        do {
            try deadline.begin()
        } catch {
            logger.warning("nothing bounds how long ending takes", [("error", "\(error)")])
        }
    }

    /// What was acknowledged is durable, so that this is no worse than a crash.
    private func endByForce(_ peer: PeerAssembly, _ reason: EndingDeadline.Reason) {
        peer.environment.logger.error(
            "ended by force",
            [
                ("reason", reason.rawValue),
                ("parts", peer.parts.names.joined(separator: ", ")),
            ])
        _exit(1)
    }

    /// Tells others that the peer will be back soon, so that nobody accuses it meanwhile.
    private func announceRestart(of peer: PeerAssembly) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await peer.overlay.announceRestart() }
            group.addTask {
                do { try await peer.environment.sleep(for: PeerProgram.farewell) } catch {
                    // The others were told before that.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func openDirectory(
        _ path: String, _ random: any RandomSource
    ) throws(StoreProblem) -> (DataDirectory, SigningKey) {
        try DataDirectory.make(path)
        let seed = try SecretFile.secret(path + "/identity.key") { random.bytes(32) }
        let identity = SigningKey(seed: seed)
        let directory = try DataDirectory(path: path, peer: identity.verifyingKey.peerID)
        return (directory, identity)
    }

    private func plan(_ identity: SigningKey, _ environment: Environment) async throws -> PeerPlan {
        let network: NetworkSecret
        if let file = configuration.networkKeyFile {
            guard let bytes = try SecretFile.read(file) else {
                throw ConfigurationError("--network-key: there is no file \(file)")
            }
            network = NetworkSecret(privateKey: try SecretFile.key(bytes, in: file))
        } else {
            network = NetworkSecret(publicNamed: "main")
        }
        let listen = try await AddressResolver.resolve(configuration.listen, on: pool)[0]
        var bootstrap: [SocketAddress] = []
        for text in configuration.bootstrap {
            bootstrap += try await AddressResolver.resolve(text, on: pool)
        }
        bootstrap += try rememberedMembers()
        let path = configuration.dataDirectory
        let allocated =
            try configuration.allocatedBytes.map { Int64(clamping: $0) }
            ?? DataDirectory.defaultAllocation(path: path)
        var plan = PeerPlan(
            identity: identity, network: network, listen: listen, allocatedBytes: allocated)
        plan.bootstrap = bootstrap
        plan.roles = configuration.roles
        plan.zone = configuration.zone
        plan.adminKey = configuration.adminKey
        plan.relayLimits = configuration.relayLimits
        plan.addresses = configuration.ownRanges.map { AddressRule(ownRanges: $0) }
        plan.congestion = configuration.congestion
        plan.profile = configuration.profile == .devnet ? .devnet : .production
        plan.cacheBytes = configuration.cacheBytes
        plan.readBytes = configuration.readBytes
        plan.genesisDepth = configuration.genesisBits
        if let path = configuration.qlogDirectory {
            plan.qlog = try QlogDirectory(path: path, pool: pool)
        }
        if let ip = AdvertisedAddress.find(listen: listen, toward: bootstrap.first) {
            plan.advertised = SocketAddress(ip: ip, port: listen.port)
        }
        return plan
    }

    private func warn(_ logger: Logger) {
        if configuration.networkKeyFile == nil {
            logger.warning("public network: anyone may join; --network-key makes it private")
        }
        if configuration.zone == "default" {
            logger.warning("zone is `default`: set --zone, or losing one room may lose data")
        }
    }

    /// Warns whenever new objects begin to be kept as one copy, and says when that is over.
    private func warnOfOneCopy(_ peer: PeerAssembly) async throws {
        var code: Redundancy?
        let logger = peer.environment.logger
        while true {
            let now = peer.objects.codes?.best
            if now != code, now == .oneCopy {
                logger.warning("one copy: the loss of one disk loses data; add peers")
            } else if now != code, let now {
                logger.info("new objects are coded", [("code", "\(now)")])
            }
            code = now
            try await peer.environment.sleep(for: PeerProgram.membersInterval)
        }
    }

    /// Keeps the note by which a later start notices that the store is gone (STORE-07).
    private func remember(_ peer: PeerAssembly, in directory: DataDirectory) async throws {
        while true {
            try await peer.environment.sleep(for: PeerProgram.recordInterval)
            let shards = await peer.shards.usage.shards
            let record = StoreRecord(store: peer.shards.storeID, shards: shards)
            await keep("store-record", peer) { () throws(StoreProblem) in
                try directory.remember(record)
            }
        }
    }

    /// Writes a note into the data directory. One that cannot be written is no reason to end: if the
    /// directory is gone, `StoreWatch` says so and the peer stays up to tell.
    private func keep(
        _ name: String, _ peer: PeerAssembly,
        _ write: @escaping @Sendable () throws(StoreProblem) -> Void
    ) async {
        do throws(StoreProblem) {
            try await pool.run(write)
        } catch {
            peer.environment.logger.warning(
                "a note in the data directory was not written",
                [("note", name), ("error", "\(error)")])
        }
    }

    // MARK: Members

    /// Who is tried at the next start beside `--bootstrap`: a founder has nobody else to ask, and
    /// its own address may have changed.
    private static let rememberedMembers = 64
    private var membersFile: String { configuration.dataDirectory + "/members" }

    private func rememberedMembers() throws(StoreProblem) -> [SocketAddress] {
        guard let bytes = try SecretFile.read(membersFile) else { return [] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.prefix(PeerProgram.rememberedMembers).compactMap { line in
            do { return try SocketAddress(parsing: String(line)) } catch { return nil }
        }
    }

    private func rememberMembers(_ peer: PeerAssembly) async throws {
        var written: [String] = []
        while true {
            try await peer.environment.sleep(for: PeerProgram.membersInterval)
            let others = peer.overlay.snapshot.reachable.filter {
                $0.peer != peer.messaging.localPeer && !$0.info.contact.address.isUnspecified
            }
            let lines = others.prefix(PeerProgram.rememberedMembers).map {
                "\($0.info.contact.address)\n"
            }
            guard lines != written, !lines.isEmpty else { continue }
            let file = membersFile
            let text = lines.joined()
            await keep("members", peer) { () throws(StoreProblem) in
                try SecretFile.write(file, text)
            }
            written = lines
        }
    }
}
