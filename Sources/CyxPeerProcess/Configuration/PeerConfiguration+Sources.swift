internal import CyxCore

extension PeerConfiguration {
    static let spec = CommandSpec(
        name: "cyxpeer", summary: "One peer of a CyxCloud network.",
        flags: [
            FlagSpec("config", "FILE", "read settings from a YAML file; flags override it"),
            FlagSpec("data-dir", "DIR", "identity, shards and rows (cyxpeer-data)"),
            FlagSpec("listen", "HOST:PORT", "UDP address for peers (0.0.0.0:7700)"),
            FlagSpec("bootstrap", "HOST:PORT,…", "peers to join through; none: found a network"),
            FlagSpec("roles", "ROLE,…", "what to offer: storage, gateway, relay (storage)"),
            FlagSpec("s3-listen", "HOST:PORT", "S3 address of a gateway (127.0.0.1:9000)"),
            FlagSpec("s3-domain", "NAME", "buckets are its subdomains, and in paths (paths only)"),
            FlagSpec("s3-tls-certificate", "FILE", "speak TLS on the S3 address: PEM chain"),
            FlagSpec("s3-tls-key", "FILE", "its key, PEM; both are read again when they change"),
            FlagSpec("s3-tls-self-signed", nil, "speak TLS with a certificate of its own making"),
            FlagSpec("event-origins", "URL,…", "sites whose pages may listen to events (own)"),
            FlagSpec("admin-listen", "HOST:PORT", "metrics, health, admin API (127.0.0.1:7790)"),
            FlagSpec("zone", "NAME", "failure domain: room, rack, house (default)"),
            FlagSpec("allocated", "SIZE", "space to offer, such as 500GB (9/10 of the usable)"),
            FlagSpec("network-key", "FILE", "64 hex digits that make the network private"),
            FlagSpec("admin-key", "HEX", "public key of who may recover lost partitions (nobody)"),
            FlagSpec(
                "own-ranges", "CIDR,…", "private ranges to dial (all with a key)"),
            FlagSpec("relay-circuits", "N", "pairs of peers that a relay carries for (1024)"),
            FlagSpec("relay-rate", "SIZE", "bytes per second of one circuit (1MiB)"),
            FlagSpec("access-key", "KEY", "first S3 account of a new gateway (CYX_ACCESS_KEY)"),
            FlagSpec("secret-key", "KEY", "its secret (CYX_SECRET_KEY); generated when absent"),
            FlagSpec("account", "NAME:ACCESS:SECRET", "a further S3 account", repeats: true),
            FlagSpec(
                "s3-ownership", "NAME",
                "of objects in new buckets: BucketOwnerEnforced or ObjectWriter "
                    + "(ObjectWriter)"),
            FlagSpec("s3-lifecycle-day", "DUR", "how long buckets' lifecycles take a day for (1d)"),
            FlagSpec(
                "lease", "DUR", "delete accounts' data so long after their last gateway (never)"),
            FlagSpec(
                "s3-foreign-keys", nil, "serve access keys that others' accounts make for this one"),
            FlagSpec("s3-cache", "SIZE", "memory for objects that are read often (64MiB)"),
            FlagSpec("s3-read-memory", "SIZE", "memory for all reads under way (256MiB)"),
            FlagSpec("profile", "NAME", "timings: production or devnet (production)"),
            FlagSpec(
                "genesis-bits", "N",
                "of a devnet, the same at all peers: begin with 2^N partitions (8)"),
            FlagSpec("congestion", "NAME", "congestion control: cubic or bbr (cubic)"),
            FlagSpec("qlog", "DIR", "write a qlog trace of each connection into DIR (off)"),
            FlagSpec("log-level", "LEVEL", "debug, info, warning or error (info)"),
            FlagSpec("help", nil, "show this"),
            FlagSpec("version", nil, "show the version"),
        ])

    /// Settings that are copied from flags as they are; keys and file need more than that.
    private static let plainFlags = [
        "data-dir", "listen", "bootstrap", "roles", "s3-listen", "admin-listen", "zone",
        "allocated", "network-key", "admin-key", "own-ranges", "relay-circuits", "relay-rate",
        "profile", "congestion", "log-level", "qlog", "lease", "s3-ownership",
        "s3-lifecycle-day", "s3-domain", "s3-cache", "s3-read-memory", "genesis-bits",
        "s3-tls-certificate", "s3-tls-key", "event-origins",
    ]

    /// Combines the three sources; flags win over the file, and both over the defaults.
    static func combine(
        flags: ParsedCommand, file: (name: String, bytes: [UInt8])?, environment: [String: String]
    ) throws(ConfigurationError) -> PeerConfiguration {
        var configuration = PeerConfiguration()
        if let file { try configuration.apply(file: file.bytes, named: file.name) }
        for name in plainFlags {
            guard let text = flags.value(name) else { continue }
            try configuration.set(name, to: text, origin: "--\(name)")
        }
        if flags.has("s3-tls-self-signed") { configuration.s3SelfSigned = true }
        if flags.has("s3-foreign-keys") { configuration.servesForeignKeys = true }
        for text in flags.values["account"] ?? [] {
            try configuration.set("account", to: text, origin: "--account")
        }
        let access = flags.value("access-key") ?? environment["CYX_ACCESS_KEY"]
        let secret = flags.value("secret-key") ?? environment["CYX_SECRET_KEY"]
        switch (access, secret) {
        case (nil, nil): break
        case (let access?, let secret?) where !access.isEmpty && secret.utf8.count >= 8:
            configuration.firstAccount = S3Account(
                name: "default", accessKey: access, secretKey: secret)
        default:
            throw ConfigurationError(
                "--access-key and --secret-key belong together; the secret needs 8 bytes or more")
        }
        guard (configuration.s3CertificateFile == nil) == (configuration.s3KeyFile == nil) else {
            throw ConfigurationError("--s3-tls-certificate and --s3-tls-key belong together")
        }
        guard !configuration.s3SelfSigned || configuration.s3CertificateFile == nil else {
            throw ConfigurationError(
                "--s3-tls-self-signed makes a certificate; leave it away to use the one in"
                    + " --s3-tls-certificate")
        }
        // Peers that begin with others would never find each other's partitions.
        guard configuration.profile == .devnet || configuration.genesisBits == 8 else {
            throw ConfigurationError("genesis-bits needs the profile devnet")
        }
        return configuration
    }

    private mutating func apply(file: [UInt8], named name: String) throws(ConfigurationError) {
        let document: YAMLValue
        do {
            document = try YAMLDocument.parse(file)
        } catch {
            throw ConfigurationError("\(name) \(error)")
        }
        guard case .map(let entries) = document else {
            throw ConfigurationError("\(name): expected `key: value` lines")
        }
        for entry in entries {
            try apply(entry.key, entry.value, file: name, line: entry.line)
        }
    }

    /// Keys of the file and the setting each one is. `compute` and `locality_bonus` are read by
    /// the compute role, which this version does not have, so they are named as such.
    private static let fileKeys = [
        "listen": "listen", "bootstrap": "bootstrap", "roles": "roles", "zone": "zone",
        "s3_listen": "s3-listen", "admin_listen": "admin-listen", "network_key": "network-key",
        "network.admin_key": "admin-key", "own_ranges": "own-ranges",
        "relay.circuits": "relay-circuits", "relay.rate": "relay-rate", "gateway.lease": "lease",
        "gateway.domain": "s3-domain", "gateway.tls_certificate": "s3-tls-certificate",
        "gateway.event_origins": "event-origins", "gateway.tls_key": "s3-tls-key",
        "gateway.tls_self_signed": "s3-tls-self-signed",
        "gateway.foreign_keys": "s3-foreign-keys",
        "gateway.ownership": "s3-ownership",
        "gateway.lifecycle_day": "s3-lifecycle-day", "gateway.cache": "s3-cache",
        "gateway.read_memory": "s3-read-memory",
        "profile": "profile", "network.genesis_bits": "genesis-bits",
        "transport.congestion": "congestion", "log_level": "log-level",
        "storage.path": "data-dir", "storage.allocated": "allocated", "transport.qlog": "qlog",
    ]

    private mutating func apply(
        _ key: String, _ value: YAMLValue, file: String, line: Int
    ) throws(ConfigurationError) {
        let origin = "\(file) line \(line)"
        switch value {
        case .map(let entries):
            for entry in entries {
                try apply("\(key).\(entry.key)", entry.value, file: file, line: entry.line)
            }
        case .scalar(let text) where key == "mode":
            guard text == "storage" || text == "gateway" else {
                throw ConfigurationError(
                    "\(origin): mode `\(text)` needs the compute role, which this version does not"
                        + " have yet; use `mode: storage`")
            }
            try set("roles", to: text == "gateway" ? "storage,gateway" : text, origin: origin)
        case .scalar(let text):
            try set(try Self.setting(for: key, origin: origin), to: text, origin: origin)
        case .list(let items):
            var texts: [String] = []
            for item in items {
                guard case .scalar(let text) = item else {
                    throw ConfigurationError("\(origin): `\(key)` is a list of plain words")
                }
                texts.append(text)
            }
            let joined = texts.joined(separator: ",")
            try set(try Self.setting(for: key, origin: origin), to: joined, origin: origin)
        }
    }

    private static func setting(
        for key: String, origin: String
    ) throws(ConfigurationError) -> String {
        if let setting = fileKeys[key] { return setting }
        if key.hasPrefix("compute.") || key == "locality_bonus" {
            throw ConfigurationError("\(origin): `\(key)`: this version has no compute role yet")
        }
        let hint = nearest(to: key, among: fileKeys.keys.sorted() + ["mode"])
        throw ConfigurationError(
            "\(origin): no setting is called `\(key)`"
                + (hint.map { "; did you mean `\($0)`?" } ?? ""))
    }
}
