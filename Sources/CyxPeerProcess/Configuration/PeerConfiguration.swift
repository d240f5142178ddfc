internal import CyxCore
internal import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// How a peer is to run, from flags, environment and file, checked.
struct PeerConfiguration: Equatable {
    enum Profile: String, CaseIterable {
        case production, devnet
    }

    struct S3Account: Equatable {
        var name: String
        var accessKey: String
        var secretKey: String
    }

    var dataDirectory = "cyxpeer-data"
    var listen = "0.0.0.0:7700"
    var bootstrap: [String] = []
    var roles: PeerRoles = [.storage]
    var s3Listen = "127.0.0.1:9000"
    /// The name whose subdomains are buckets; nil: buckets stand in paths only.
    var s3Domain: String?
    /// PEM files of the certificate that the S3 server shows, and of its key; nil: see the next.
    var s3CertificateFile: String?
    var s3KeyFile: String?
    /// Whether the S3 server makes itself a certificate. Without either it speaks plain HTTP.
    var s3SelfSigned = false
    /// Whether the gateway serves access keys that accounts it has no seed of made for it.
    var servesForeignKeys = false
    /// Sites whose pages may listen to events.
    var eventOrigins: [String] = []
    var adminListen = "127.0.0.1:7790"
    var zone = "default"
    /// Nil: nine tenths of what the volume has beyond its reserve at start.
    var allocatedBytes: UInt64?
    var networkKeyFile: String?
    /// Who may recover what the network has lost for good; nil: nobody.
    var adminKey: VerifyingKey?
    /// Ranges that are this network's own beside public addresses; nil: all in a private network,
    /// none in a public one.
    var ownRanges: [AddressRange]?
    var relayLimits = RelayLimits()
    /// First S3 account of a new gateway; generated when absent.
    var firstAccount: S3Account?
    var moreAccounts: [S3Account] = []
    /// Whether objects in buckets that are created without a word on it belong to the bucket's owner,
    /// so that there are no ACLs, or to their writers.
    var objectsBelongToBucketOwner = false
    /// How long a day of buckets' lifecycles is; shorter in tests.
    var lifecycleDay = Duration.seconds(86_400)
    /// For how long at a time the gateway's accounts have their data kept; nil: for ever.
    var lease: Duration?
    /// Memory for what a gateway is asked for again and again.
    var cacheBytes = 64 << 20
    /// Memory for a gateway's reads that are under way.
    var readBytes = 256 << 20
    var profile = Profile.production
    /// Bits of the prefixes of the partitions that a network begins with; all its peers have to agree.
    var genesisBits: UInt8 = 8
    var congestion = CongestionAlgorithm.cubic
    var logLevel = LogLevel.info
    /// Where traces of connections go; nil for none.
    var qlogDirectory: String?
}

/// A setting that cannot be used: which, where it came from, and what would be right.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    var message: String
    init(_ message: String) { self.message = message }
    var description: String { message }
}

extension PeerConfiguration {
    /// A lease is renewed three times within it.
    private static let leaseMin = Duration.seconds(3)
    /// With less, a read could not hold its window beside those that stand still.
    private static let readBytesMin = 64 << 20

    /// Every setting by its flag's name; the file's keys map to these in `PeerConfiguration+File`.
    ///
    /// `origin` says where the text came from, for the error: `--zone` or `peer.yaml line 3`.
    mutating func set(
        _ name: String, to text: String, origin: String
    ) throws(ConfigurationError) {
        func refuse(_ wanted: String) -> ConfigurationError {
            ConfigurationError("\(origin): `\(text)` is not \(wanted)")
        }
        switch name {
        case "data-dir": dataDirectory = try nonEmpty(text, origin: origin)
        case "listen": listen = try address(text, origin: origin)
        case "s3-listen": s3Listen = try address(text, origin: origin)
        case "s3-domain":
            let isName = text.utf8.count <= 253 && text.contains(".") && text.lowercased() == text
            guard isName, !text.hasPrefix("."), !text.contains(where: { "/:".contains($0) }) else {
                throw refuse("a domain in lower case such as s3.example.com")
            }
            s3Domain = text
        case "event-origins":
            eventOrigins = text.split(separator: ",").map(String.init)
            guard eventOrigins.allSatisfy({ $0.hasPrefix("http://") || $0.hasPrefix("https://") })
            else { throw refuse("a list such as https://console.example.com") }
        case "s3-tls-certificate": s3CertificateFile = try nonEmpty(text, origin: origin)
        case "s3-tls-key": s3KeyFile = try nonEmpty(text, origin: origin)
        case "s3-tls-self-signed":
            guard let wish = Bool(text) else { throw refuse("true or false") }
            s3SelfSigned = wish
        case "s3-foreign-keys":
            guard let wish = Bool(text) else { throw refuse("true or false") }
            servesForeignKeys = wish
        case "admin-listen": adminListen = try address(text, origin: origin)
        case "zone":
            guard !text.isEmpty, text.utf8.count <= 64 else { throw refuse("1 to 64 bytes long") }
            zone = text
        case "allocated":
            guard let bytes = Units.parseBytes(text), bytes > 0 else {
                throw refuse("a size such as 500GB")
            }
            allocatedBytes = bytes
        case "network-key": networkKeyFile = try nonEmpty(text, origin: origin)
        case "admin-key":
            guard let key = Hex.decode(text).flatMap({ VerifyingKey(bytes: $0) }) else {
                throw refuse("64 hex digits, as `cyxcloud network admin-key` prints them")
            }
            adminKey = key
        case "relay-circuits":
            guard let count = Int(text), (1...65_536).contains(count) else {
                throw refuse("a number of circuits from 1 to 65536")
            }
            relayLimits.circuits = count
        case "relay-rate":
            guard let bytes = Units.parseBytes(text), let rate = Int64(exactly: bytes), rate > 0
            else { throw refuse("bytes per second such as 1MiB") }
            relayLimits.circuitBytesPerSecond = rate
            relayLimits.circuitBurst = max(RelayLimits.burstMin, rate / 4)
        case "own-ranges":
            var ranges: [AddressRange] = []
            for part in text.split(separator: ",") {
                guard let range = AddressRange(parsing: String(part)) else {
                    throw ConfigurationError(
                        "\(origin): `\(part)` is not a range such as 10.0.0.0/8 or fd00::/8")
                }
                ranges.append(range)
            }
            guard ranges.count <= AddressRule.rangesMax else {
                throw refuse("at most \(AddressRule.rangesMax) ranges")
            }
            ownRanges = ranges
        case "lease":
            guard let length = Units.parseDuration(text), length >= PeerConfiguration.leaseMin
            else { throw refuse("a time of 3s or more, such as 90d") }
            lease = length
        case "s3-lifecycle-day":
            guard let length = Units.parseDuration(text), length >= .seconds(1) else {
                throw refuse("a time of 1s or more, such as 1d")
            }
            lifecycleDay = length
        case "s3-cache":
            guard let bytes = Units.parseBytes(text), let size = Int(exactly: bytes) else {
                throw refuse("a size such as 256MiB, or 0 for none")
            }
            cacheBytes = size
        case "s3-read-memory":
            guard let bytes = Units.parseBytes(text), let size = Int(exactly: bytes),
                size >= PeerConfiguration.readBytesMin
            else { throw refuse("a size of 64MiB or more") }
            readBytes = size
        case "s3-ownership":
            switch text {
            case "BucketOwnerEnforced": objectsBelongToBucketOwner = true
            case "ObjectWriter": objectsBelongToBucketOwner = false
            default: throw refuse("one of BucketOwnerEnforced, ObjectWriter")
            }
        case "genesis-bits":
            guard let bits = UInt8(text), bits <= 8 else { throw refuse("a number from 0 to 8") }
            genesisBits = bits
        case "bootstrap":
            bootstrap = []
            for part in text.split(separator: ",") {
                bootstrap.append(try address(String(part), origin: origin))
            }
        case "roles":
            roles = []
            for part in text.split(separator: ",") {
                roles.insert(try role(String(part), origin: origin))
            }
            guard !roles.isEmpty else { throw refuse("a list of roles") }
        case "profile":
            guard let known = Profile(rawValue: text) else {
                throw refuse("one of production, devnet")
            }
            profile = known
        case "congestion":
            guard let known = CongestionAlgorithm(rawValue: text) else {
                throw refuse("one of cubic, bbr")
            }
            congestion = known
        case "log-level":
            guard let level = LogLevel.allCases.first(where: { "\($0)" == text }) else {
                throw refuse("one of debug, info, warning, error")
            }
            logLevel = level
        case "qlog": qlogDirectory = try nonEmpty(text, origin: origin)
        case "account": moreAccounts.append(try account(text, origin: origin))
        default: preconditionFailure("no setting is called \(name)")
        }
    }

    private func nonEmpty(
        _ text: String, origin: String
    ) throws(ConfigurationError) -> String {
        guard !text.isEmpty else { throw ConfigurationError("\(origin): is empty") }
        return text
    }

    private func address(_ text: String, origin: String) throws(ConfigurationError) -> String {
        guard let colon = text.lastIndex(of: ":"), UInt16(text[text.index(after: colon)...]) != nil,
            colon != text.startIndex
        else {
            throw ConfigurationError("\(origin): `\(text)` is not HOST:PORT, such as 0.0.0.0:7700")
        }
        return text
    }

    private func role(_ text: String, origin: String) throws(ConfigurationError) -> PeerRoles {
        switch text {
        case "storage": return .storage
        case "gateway": return .gateway
        case "relay": return .relay
        case "compute", "scheduler":
            throw ConfigurationError("\(origin): this version has no `\(text)` role yet")
        default:
            let hint = nearest(to: text, among: ["storage", "gateway", "relay"])
            throw ConfigurationError(
                "\(origin): no role is called `\(text)`"
                    + (hint.map { "; did you mean `\($0)`?" } ?? ""))
        }
    }

    private func account(_ text: String, origin: String) throws(ConfigurationError) -> S3Account {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else {
            throw ConfigurationError("\(origin): expected NAME:ACCESS:SECRET")
        }
        return S3Account(name: parts[0], accessKey: parts[1], secretKey: parts[2])
    }
}
