internal import CyxClient
internal import CyxCore
internal import CyxCrypto
internal import Glibc

/// What a devnet is to be, from its flags and from what its folder remembers.
struct DevnetPlan {
    static let peerRange = 1...200
    /// Seven zones: of 14 peers, no zone holds more than two, so that any two zones (4 peers) may
    /// go at once and rs(10,4) still reads; and no table view of nine has more than two of a zone.
    static let defaultZones = 7
    static let largestShare: UInt64 = 64 << 30

    var peers: Int
    var directory: String
    var zones: Int
    var s3Listen: String
    var credentials: Credentials
    var accounts: [String]
    /// Flags that the gateway gets as they are.
    var gatewayFlags: [String] = []
    /// Whether S3 is spoken over TLS, and with a certificate that the gateway makes itself.
    var usesTLS = false
    var isSelfSigned = false
    var program: String
    /// Space that each peer offers.
    var allocatedBytes: UInt64

    init(_ parsed: ParsedCommand) throws {
        guard let folder = parsed.value("data"), !folder.isEmpty else {
            throw UsageError("devnet needs --data DIR")
        }
        peers = try Self.number(parsed, "peers", in: Self.peerRange) ?? 14
        zones = try Self.number(parsed, "zones", in: Self.peerRange) ?? Self.defaultZones
        zones = min(zones, peers)
        s3Listen = parsed.value("s3-listen") ?? "127.0.0.1:9000"
        accounts = parsed.values["account"] ?? []
        for flag in ["s3-domain", "s3-ownership", "s3-lifecycle-day"] {
            if let value = parsed.value(flag) { gatewayFlags += ["--" + flag, value] }
        }
        for flag in ["s3-tls-certificate", "s3-tls-key"] {
            guard let value = parsed.value(flag) else { continue }
            gatewayFlags += ["--" + flag, Self.absolute(value)]
            usesTLS = true
        }
        if parsed.has("s3-tls-self-signed") {
            gatewayFlags.append("--s3-tls-self-signed")
            (usesTLS, isSelfSigned) = (true, true)
        }
        for account in accounts {
            let parts = account.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else {
                throw UsageError("--account: `\(account)` is not NAME:ACCESS:SECRET")
            }
        }
        program = parsed.value("cyxpeer") ?? Self.besideThisProgram("cyxpeer")
        guard access(program, X_OK) == 0 else {
            throw ClientError(
                code: "DEVNET-01", message: "there is no program \(program)",
                cause: SystemError.words(errno),
                remedy: "make build, or name it with --cyxpeer PATH")
        }
        try SmallFile.makeFolder(folder)
        directory = Self.absolute(folder)
        try SmallFile.makeFolder(directory + "/peers")
        credentials = try Self.credentials(parsed, directory)
        allocatedBytes = try Self.allocated(parsed, directory, peers: peers)
    }

    func folder(of peer: Int) -> String { "\(directory)/peers/\(peer)" }
    var keyFile: String { directory + "/network.key" }
    var adminKeyFile: String { directory + "/admin.key" }

    /// The command line of one peer. `listen` is where it was before, if that is free.
    func arguments(
        of peer: Int, listen: String, bootstrap: String?, adminKey: VerifyingKey
    ) -> [String] {
        var words = [
            program, "--data-dir", folder(of: peer), "--listen", listen,
            "--admin-listen", "127.0.0.1:0", "--zone", "z\(peer % zones)",
            "--network-key", keyFile, "--admin-key", Hex.encode(adminKey.bytes), "--profile",
            "devnet", "--allocated", "\(allocatedBytes)",
        ]
        if let bootstrap { words += ["--bootstrap", bootstrap] }
        if peer == 0 {
            words += ["--roles", "storage,gateway", "--s3-listen", s3Listen]
            for account in accounts { words += ["--account", account] }
            words += gatewayFlags
        } else {
            words += ["--roles", "storage"]
        }
        return words
    }

    private static func number(
        _ parsed: ParsedCommand, _ flag: String, in range: ClosedRange<Int>
    ) throws(UsageError) -> Int? {
        guard let text = parsed.value(flag) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError(
                "--\(flag): `\(text)` is not between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }

    private static func besideThisProgram(_ name: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return name }
        let path = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let slash = path.lastIndex(of: "/") else { return name }
        return path[...slash] + name
    }

    private static func absolute(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// From the flags, else from the last time, else new ones, remembered for the next time.
    private static func credentials(
        _ parsed: ParsedCommand, _ directory: String
    ) throws -> Credentials {
        let file = directory + "/credentials"
        switch (parsed.value("access-key"), parsed.value("secret-key")) {
        case (let access?, let secret?):
            return Credentials(accessKey: access, secretKey: secret)
        case (nil, nil):
            let known = SmallFile.read(file)?.split(separator: "\n").map(String.init) ?? []
            if known.count == 2 { return Credentials(accessKey: known[0], secretKey: known[1]) }
            let random = KernelRandom()
            let made = Credentials(
                accessKey: "CYX" + Hex.encode(random.bytes(8)).uppercased(),
                secretKey: Hex.encode(random.bytes(20)))
            try SmallFile.write("\(made.accessKey)\n\(made.secretKey)\n", to: file, mode: 0o600)
            return made
        default:
            throw UsageError("--access-key and --secret-key belong together")
        }
    }

    /// An equal share of what was free at the first start, which is remembered: data that the
    /// peers have stored since must not shrink what they offer.
    private static func allocated(
        _ parsed: ParsedCommand, _ directory: String, peers: Int
    ) throws -> UInt64 {
        if let text = parsed.value("allocated") {
            guard let bytes = Units.parseBytes(text), bytes > 0 else {
                throw UsageError("--allocated: `\(text)` is no size such as 10GiB")
            }
            return bytes
        }
        let file = directory + "/allocated"
        if let known = SmallFile.read(file).flatMap(UInt64.init) { return known }
        var volume = statvfs()
        guard statvfs(directory, &volume) == 0 else { return 1 << 30 }
        let free = UInt64(volume.f_bavail) * UInt64(volume.f_frsize)
        let share = min(free / 10 * 9 / UInt64(peers), largestShare)
        try SmallFile.write("\(share)\n", to: file)
        return share
    }
}
