internal import CyxClient
internal import CyxCore
internal import CyxCrypto
internal import CyxTables
internal import Glibc

/// `cyxcloud network admin-key|recover`: what a network's admin does once peers are lost for good.
enum RecoverCommand {
    private static let keyFlag = FlagSpec(
        "admin-key-file", "FILE", "the admin's key, 64 hex digits (admin.key); it stays here")

    static let key = Command(
        spec: CommandSpec(
            name: "cyxcloud network admin-key",
            summary: "Print the public half of an admin's key, for every peer's --admin-key.",
            flags: [keyFlag] + Command.globalFlags)
    ) { parsed, console in
        let path = parsed.value("admin-key-file") ?? "admin.key"
        if SmallFile.read(path) == nil {
            try AdminKeyFile.make(path)
            console.note("made \(path): keep it offline, whoever has it can replace lost rows")
        }
        let text = Hex.encode(try AdminKeyFile.read(path).verifyingKey.bytes)
        console.say(text)
        console.result(.object([("admin_key", .string(text))]))
    }

    static let recover = Command(
        spec: CommandSpec(
            name: "cyxcloud network recover",
            summary: "Go on without rows that were lost for good with their peers.",
            flags: [
                keyFlag,
                FlagSpec("confirm", "PHRASE", "what is to be typed, for scripts"),
                FlagSpec("dry-run", nil, "say what would be done, and do nothing"),
            ] + StatusCommand.adminFlags + Command.globalFlags),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let key = try AdminKeyFile.read(parsed.value("admin-key-file") ?? "admin.key")
        let admin = try StatusCommand.admin(parsed)
        let status = try admin.recovery()
        try check(status, key)
        if !status.lost.isEmpty {
            console.say(RecoveryText.losses(status))
            console.emit(RecoveryText.json(status))
            if parsed.has("dry-run") { return }
            try confirm(status, parsed, console)
        } else if parsed.has("dry-run") {
            return console.say("\(status.underWay) partitions are being recovered already")
        }
        var certificates = status.signed
        for lost in status.lost { certificates.append(try sign(lost, key)) }
        try Recovering(admin: admin, console: console).run(certificates)
        console.say("\(certificates.count) partitions serve again")
        console.result(.object([("recovered", .integer(Int64(certificates.count)))]))
    }

    /// Throws where there is nothing to recover, or not with that key, or not yet.
    private static func check(
        _ status: RecoveryStatus, _ key: SigningKey
    ) throws(ClientError) {
        guard let adminKey = status.adminKey else {
            throw ClientError(
                code: "RECOVER-01", message: "this network has no admin key: nobody can recover it",
                remedy: "restart its peers with --admin-key "
                    + Hex.encode(key.verifyingKey.bytes))
        }
        guard adminKey == key.verifyingKey.bytes else {
            throw ClientError(
                code: "RECOVER-02", message: "the key is not that of this network's admin",
                cause: "its public half is \(Hex.encode(key.verifyingKey.bytes)), the network's "
                    + Hex.encode(adminKey),
                remedy: "--admin-key-file FILE")
        }
        guard status.lost.isEmpty, status.signed.isEmpty else { return }
        guard status.waiting.isEmpty else {
            throw ClientError(
                code: "RECOVER-04",
                message:
                    "\(status.waiting.count) partitions have no quorum, but the peers that they "
                    + "miss may come back",
                cause: RecoveryText.missing(status.waiting.flatMap(\.missing)),
                remedy: "start them again; those that have been gone for "
                    + "\(RecoveryText.duration(status.lostAfterSeconds)) count as lost")
        }
        throw ClientError(
            code: "RECOVER-03",
            message: "nothing is lost: \(status.whole) of \(status.partitions) partitions have a "
                + "quorum, \(status.underWay) are about to")
    }

    private static func confirm(
        _ status: RecoveryStatus, _ parsed: ParsedCommand, _ console: Console
    ) throws {
        let phrase = RecoveryText.phrase(status)
        if let given = parsed.value("confirm") {
            guard given == phrase else {
                throw UsageError("--confirm: it is `\(phrase)` now")
            }
            return
        }
        guard isatty(STDIN_FILENO) == 1, StandardStream.error.isTerminal, !console.isJSON else {
            throw UsageError("say --confirm '\(phrase)' to go on")
        }
        StandardStream.error.write("Type `\(phrase)` to go on: ")
        guard readLine() == phrase else {
            throw ClientError(code: "RECOVER-06", message: "not confirmed; nothing was changed")
        }
    }

    /// Signs what a peer proposed, if it is about that partition and nothing but a recovery.
    private static func sign(
        _ lost: RecoveryStatus.Lost, _ key: SigningKey
    ) throws(ClientError) -> [UInt8] {
        let certificate: ViewCertificate?
        do {
            certificate = try RecoveryPlan(bytes: lost.plan).certificate(signedBy: key)
        } catch {
            certificate = nil
        }
        guard let certificate, certificate.isValid(adminKey: key.verifyingKey),
            "\(certificate.view.partition)" == lost.partition
        else {
            throw ClientError(
                code: "NET-09", message: "the plan for partition \(lost.partition) is none",
                remedy: "ask another peer with --data-dir or --admin")
        }
        return certificate.bytes
    }
}

/// An admin's key: 64 hex digits that only their owner may read.
enum AdminKeyFile {
    static func make(_ path: String) throws(ClientError) {
        try SmallFile.write(Hex.encode(KernelRandom().bytes(32)) + "\n", to: path, mode: 0o600)
    }

    static func read(_ path: String) throws(ClientError) -> SigningKey {
        guard let text = SmallFile.read(path) else {
            throw ClientError(
                code: "RECOVER-05", message: "there is no admin key in \(path)",
                cause: SystemError.words(errno), remedy: "--admin-key-file FILE")
        }
        guard let seed = Hex.decode(text), seed.count == 32 else {
            throw ClientError(
                code: "RECOVER-05", message: "\(path) must hold 64 hexadecimal digits",
                remedy: "restore the file; of a devnet it is DIR/admin.key")
        }
        return SigningKey(seed: seed)
    }
}

/// Having signed recoveries installed, until their partitions serve.
private struct Recovering {
    let admin: AdminClient
    let console: Console

    private static let pollMilliseconds: Int32 = 500
    /// Looks between two times that the certificates are sent: messages get lost.
    private static let looksPerRound = 10
    private static let rounds = 60
    /// So many certificates, of 17 KiB in hex at most, fit the API's body.
    private static let certificatesPerRequest = 32

    func run(_ certificates: [[UInt8]]) throws(ClientError) {
        var before: Int?
        for _ in 0..<Self.rounds {
            try send(certificates)
            for _ in 0..<Self.looksPerRound {
                poll(nil, 0, Self.pollMilliseconds)
                guard let left = try unfinished() else { continue }
                if left == 0 { return }
                if left != before { console.note("\(left) partitions do not serve yet") }
                before = left
            }
        }
        throw ClientError(
            code: "RECOVER-07", message: "not all partitions serve yet",
            cause: "perhaps more peers were lost meanwhile", remedy: "the same command again")
    }

    private func send(_ certificates: [[UInt8]]) throws(ClientError) {
        var rest = certificates[...]
        while !rest.isEmpty {
            try admin.recover(Array(rest.prefix(Self.certificatesPerRequest)))
            rest = rest.dropFirst(Self.certificatesPerRequest)
        }
    }

    /// Partitions without a quorum whose peers are not just off for a while; nil while a peer that is
    /// alive does not say what it holds.
    private func unfinished() throws(ClientError) -> Int? {
        do {
            let status = try admin.recovery()
            return status.lost.count + status.signed.count
        } catch let error where error.code == "ADMIN-02" {
            return nil
        }
    }
}

/// What is lost, in words.
enum RecoveryText {
    private static let peersShown = 20

    static func losses(_ status: RecoveryStatus) -> String {
        let none = status.lost.count { $0.survivors == 0 }
        let some = status.lost.count - none
        let share = Double(status.lost.count) * 100 / Double(max(1, status.partitions))
        var lines = [
            "\(status.lost.count) of \(status.partitions) partitions have no quorum left. In them lie"
                + " \(Int(share.rounded())) % of all rows:",
            "names of buckets and objects, what they consist of, and who holds their shards.",
        ]
        if some > 0 {
            lines.append(
                "  \(some) keep copies: what only lost peers had acknowledged is gone, the rest stays"
            )
        }
        if none > 0 { lines.append("  \(none) keep no copy: all that was in them is gone") }
        lines.append("lost for good, if you go on:")
        lines.append(missing(status.lost.flatMap(\.missing)))
        if !status.waiting.isEmpty {
            lines.append(
                "\(status.waiting.count) more wait for peers that may come back, and are left alone"
            )
        }
        lines.append(
            "Objects whose rows are gone cannot be read any more. A lost peer that comes back all the"
        )
        lines.append("same gives back rows that nobody has changed since, and serves nothing old.")
        return lines.joined(separator: "\n")
    }

    /// What `losses` says, for programs.
    static func json(_ status: RecoveryStatus) -> JSONValue {
        let peers = Set(status.lost.flatMap(\.missing)).sorted { $0.peer < $1.peer }
        return .object([
            ("partitions", .integer(status.partitions)),
            ("lost", .integer(Int64(status.lost.count))),
            ("without_copies", .integer(Int64(status.lost.count { $0.survivors == 0 }))),
            ("waiting", .integer(Int64(status.waiting.count))),
            ("confirm", .string(phrase(status))),
            (
                "peers",
                .array(
                    peers.map { peer in
                        .object([
                            ("peer", .string(peer.peer)), ("reason", .string(peer.reason)),
                            ("seconds", peer.seconds.map { .integer($0) } ?? .null),
                        ])
                    })
            ),
        ])
    }

    /// What is to be typed.
    static func phrase(_ status: RecoveryStatus) -> String {
        "recover \(status.lost.count) partitions"
    }

    /// A line for each peer.
    static func missing(_ missing: [RecoveryStatus.Missing]) -> String {
        let peers = Set(missing).sorted { $0.peer < $1.peer }
        var lines = peers.prefix(peersShown).map { peer in
            let reason =
                switch peer.reason {
                case "gone": "gone for \(duration(peer.seconds ?? 0))"
                case "away": "off for maintenance"
                case "wiped": "there, with an empty store"
                default: "has left"
                }
            return "  \(peer.peer.prefix(12))  \(reason)"
        }
        if peers.count > peersShown { lines.append("  and \(peers.count - peersShown) more") }
        return lines.joined(separator: "\n")
    }

    static func duration(_ seconds: Int64) -> String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        default: "\(seconds / 3600) h"
        }
    }
}
