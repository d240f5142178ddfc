internal import CyxAssembly
internal import CyxCore
internal import CyxCrypto
internal import CyxGateway
internal import CyxHTTP
internal import CyxObjects
internal import CyxOverlay
internal import CyxStorage
internal import CyxTransport

/// The HTTP servers of a peer: admin always, S3 with the gateway role.
struct PeerEdges: Sendable {
    private let peer: PeerAssembly
    private let reactor: Reactor
    private let dataDirectory: String
    private let accounts: [AccountsFile.Entry]
    private let stores: [ObjectGateway]
    private let granted: GrantedKeys?
    /// What accounts elsewhere seal keys for this gateway to, in hexadecimal; nil: it serves none.
    private let gatewayKey: String?
    private let admin: HTTPServer
    private let s3: HTTPServer?
    private let certificate: ShownCertificate?
    private let hub: EventHub?
    private let lifecycles: LifecycleRunner?
    private let token: String
    private let stop: @Sendable () -> Void
    private let status: StatusMetrics

    /// Binds the servers' ports, so that one that is taken is told before anything runs. `stop` ends
    /// the process when the admin API is asked to.
    init(
        configuration: PeerConfiguration, peer: PeerAssembly, environment: Environment,
        reactor: Reactor, stop: @escaping @Sendable () -> Void
    ) throws {
        self.peer = peer
        self.reactor = reactor
        self.stop = stop
        dataDirectory = configuration.dataDirectory
        let secret = try SecretFile.secret(dataDirectory + "/admin.token") {
            environment.random.bytes(32)
        }
        token = Hex.encode(secret)
        if configuration.roles.contains(.gateway) {
            let file = try AccountsFile(
                dataDirectory: dataDirectory, configuration: configuration,
                random: environment.random)
            if let made = file.generated {
                print("access key \(made.accessKey)  secret key \(made.secretKey)  (shown once)")
            }
            accounts = file.entries
            stores = file.entries.map { entry in
                ObjectGateway(
                    context: peer.objects, accountSeed: entry.seed, lease: configuration.lease)
            }
            var known = S3Accounts()
            for (entry, store) in zip(accounts, stores) {
                var account = S3Accounts.Account(
                    name: entry.name, secret: entry.secretKey, service: store)
                account.keys = store
                account.tokens = store
                account.shares = store
                known[entry.accessKey] = account
            }
            // Whose key anybody may use serves anybody: only where the operator wants that.
            let key = GatewayKey(identity: peer.plan.identity)
            granted =
                configuration.servesForeignKeys
                ? GrantedKeys(context: peer.objects, key: key) : nil
            gatewayKey = granted.map { _ in Hex.encode(key.publicKey) }
            known.granted = granted
            var settings = S3Gateway.Settings()
            settings.objectsBelongToBucketOwner = configuration.objectsBelongToBucketOwner
            settings.hostSuffix = configuration.s3Domain
            lifecycles = LifecycleRunner(
                environment: environment, accounts: known, day: configuration.lifecycleDay)
            let report = StatusReport(peer: peer, stores: stores, gatewayKey: gatewayKey)
            let hub = EventHub(environment: environment) { await report.status() }
            let gateway = GatewayRouter(
                environment: environment, accounts: known, settings: settings,
                events: EventSettings(
                    hub: hub, operatorAccount: stores.first?.account.hex,
                    origins: Set(configuration.eventOrigins)))
            self.hub = hub
            certificate = try ShownCertificate(configuration, environment)
            s3 = try HTTPServer(
                environment: environment, reactor: reactor,
                listen: try SocketAddress(parsing: configuration.s3Listen),
                identity: certificate?.identity, incompleteBody: gateway.incompleteBody,
                refused: gateway.refused,
                handler: gateway.handle)
        } else {
            accounts = []
            stores = []
            granted = nil
            gatewayKey = nil
            s3 = nil
            certificate = nil
            hub = nil
            lifecycles = nil
        }
        let report = StatusReport(peer: peer, stores: stores, gatewayKey: gatewayKey)
        let recovery = RecoveryAPI(tables: peer.tables)
        let upkeep = UpkeepReport(peer: peer)
        status = StatusMetrics(peer: peer, report: report)
        let routes: [String: AdminAPI.Route] = [
            "/api/v1/status": { _ in await report.status().encoded },
            "/api/v1/where": { query in try await report.place(query).encoded },
            "/api/v1/recovery": { _ in try await recovery.assess().encoded },
            "/api/v1/departure": { _ in
                PeerEdges.describe(await peer.departure.status).encoded
            },
        ]
        let api = AdminAPI(
            environment: environment, token: token,
            routes: routes.merging(upkeep.routes) { first, _ in first },
            actions: PeerEdges.departures(peer, stop: stop).merging(upkeep.actions) { first, _ in
                first
            }, uploads: ["/api/v1/recover": { try await recovery.install($0).encoded }])
        admin = try HTTPServer(
            environment: environment, reactor: reactor,
            listen: try SocketAddress(parsing: configuration.adminListen), handler: api.handle)
    }

    /// So long an answer has to reach who asked, before the server that gives it ends.
    private static let answerTime = Duration.milliseconds(300)

    /// How long it is told that everything is handed over before the peer stops.
    private static let lastWords = Duration.seconds(3)

    /// `POST /api/v1/stop?seconds=N`: off for so long, and back. `POST /api/v1/leave`: gives its
    /// shards and its part of the rows away, then goes for good; with `now=1` it goes at once.
    /// `POST /api/v1/drain`: gives them away and stays. Both take `successor=PEER`, who gets them as far as it may hold them.
    /// `POST /api/v1/stay`: what is left stays after all.
    private static func departures(
        _ peer: PeerAssembly, stop: @escaping @Sendable () -> Void
    ) -> [String: AdminAPI.Route] {
        let executor = peer.environment.executor
        let stopSoon: @Sendable () -> Void = {
            _ = executor.schedule(at: peer.environment.now() + answerTime, stop)
        }
        return [
            "/api/v1/stop": { query in
                guard let seconds = query["seconds"].flatMap({ Int64($0) }), seconds > 0,
                    .seconds(seconds) <= MembershipLimits.maintenance
                else { throw ConfigurationError("`seconds` is from 1 to 86400, a day") }
                await peer.overlay.announceMaintenance(for: .seconds(seconds))
                stopSoon()
                return JSONValue.object([("away_seconds", .integer(seconds))]).encoded
            },
            "/api/v1/leave": { query in
                guard query["now"] == "1" else { return try await depart(peer, .leave, query) }
                await peer.overlay.leave()
                stopSoon()
                return JSONValue.object([("left", .bool(true))]).encoded
            },
            "/api/v1/drain": { query in try await depart(peer, .drain, query) },
            "/api/v1/stay": { _ in
                try await peer.departure.cancel()
                return describe(await peer.departure.status).encoded
            },
        ]
    }

    private static func depart(
        _ peer: PeerAssembly, _ purpose: Departure.Purpose, _ query: [String: String]
    ) async throws -> String {
        var successor: PeerID?
        if let text = query["successor"] {
            let matches = peer.overlay.snapshot.storers.filter { $0.peer.hex.hasPrefix(text) }
            guard matches.count == 1, text.count >= 8, let match = matches.first else {
                throw ConfigurationError("`successor` names no one reachable storage peer")
            }
            successor = match.peer
        }
        try await peer.departure.begin(purpose, successor: successor)
        return describe(await peer.departure.status).encoded
    }

    private static func describe(_ status: DepartureStatus) -> JSONValue {
        .object([
            ("phase", .string(status.phase.rawValue)),
            ("shards", .integer(Int64(status.shards))),
            ("shards_left", .integer(Int64(status.shardsLeft))),
            ("bytes", .integer(Int64(clamping: status.bytes))),
            ("bytes_handed_over", .integer(Int64(clamping: status.bytesHandedOver))),
            ("partitions_left", .integer(Int64(status.partitionsLeft))),
            ("problem", status.problem.map { .string($0) } ?? .null),
        ])
    }

    /// Ends the process once everything is handed over, if that was for leaving.
    private func leaveWhenEmpty() async throws {
        for await purpose in peer.departure.ends where purpose == .leave {
            try await peer.environment.sleep(for: PeerEdges.lastWords)
            try await peer.departure.forget()
            await peer.overlay.leave()
            stop()
        }
        try Task.checkCancellation()
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let parts = peer.parts
            group.addTask { try await parts.run("admin API") { try await admin.run() } }
            group.addTask { try await parts.run("metrics") { try await status.run() } }
            if let s3 {
                group.addTask { try await parts.run("S3") { try await s3.run() } }
                if let certificate {
                    let watch = CertificateWatch(
                        server: s3, environment: peer.environment, reactor: reactor)
                    group.addTask {
                        try await parts.run("TLS") { try await watch.run(certificate) }
                    }
                }
            }
            if let hub { group.addTask { try await parts.run("events") { try await hub.run() } } }
            if let lifecycles {
                group.addTask { try await parts.run("lifecycles") { try await lifecycles.run() } }
            }
            for store in stores {
                group.addTask { try await parts.run("gateway") { try await store.run() } }
            }
            if let granted {
                group.addTask { await parts.run("granted keys") { await granted.run() } }
            }
            group.addTask { try await parts.run("leaving") { try await leaveWhenEmpty() } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Writes the addresses that are served into the data directory, where scripts look for them.
    func announce() throws(StoreProblem) {
        let udp = "\(peer.messaging.localAddress)"
        try SecretFile.write(dataDirectory + "/listen", udp + "\n")
        if let s3 {
            try SecretFile.write(dataDirectory + "/s3", "\(s3.localAddress)\n")
        }
        if let gatewayKey {
            try SecretFile.write(dataDirectory + "/gateway-key", gatewayKey + "\n")
        }
        for entry in accounts {
            let account = AccountKeys(seed: entry.seed).account
            try SecretFile.write(dataDirectory + "/account-\(entry.name)", account.hex + "\n")
        }
        try SecretFile.write(dataDirectory + "/admin", "\(admin.localAddress)\n")
        peer.environment.logger.info(
            "serving",
            [
                ("udp", udp), ("admin", "\(admin.localAddress)"),
                ("s3", s3.map { "\($0.localAddress)" } ?? "none"),
            ])
    }
}
