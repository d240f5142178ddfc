internal import CyxClient
internal import CyxCore

/// `cyxcloud devnet`: a whole network as separate processes on this machine.
enum DevnetCommand {
    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud devnet", summary: "Run a whole network on this machine.",
            flags: [
                FlagSpec("peers", "N", "how many peers (14); peer 0 is the gateway"),
                FlagSpec("data", "DIR", "where all data is kept (required)"),
                FlagSpec("s3-listen", "HOST:PORT", "S3 address (127.0.0.1:9000)"),
                FlagSpec(
                    "s3-domain", "NAME", "buckets are its subdomains, and in paths (paths only)"),
                FlagSpec("s3-tls-certificate", "FILE", "speak TLS on the S3 address: PEM chain"),
                FlagSpec("s3-tls-key", "FILE", "its key, PEM"),
                FlagSpec(
                    "s3-tls-self-signed", nil, "speak TLS with a certificate of its own making"),
                FlagSpec("zones", "Z", "zones z0 … to spread the peers over (7)"),
                FlagSpec("access-key", "KEY", "S3 key (made at the first start)"),
                FlagSpec("secret-key", "KEY", "its secret, 8 bytes or more"),
                FlagSpec("account", "NAME:ACCESS:SECRET", "a further S3 account", repeats: true),
                FlagSpec(
                    "s3-ownership", "NAME",
                    "of objects in new buckets: BucketOwnerEnforced or ObjectWriter "
                        + "(BucketOwnerEnforced)"),
                FlagSpec(
                    "s3-lifecycle-day", "DUR", "how long buckets' lifecycles take a day for (1d)"),
                FlagSpec("allocated", "SIZE", "space per peer (an equal share of what is free)"),
                FlagSpec("cyxpeer", "PATH", "the peer's program (the one beside this)"),
            ] + Command.globalFlags),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let plan = try DevnetPlan(parsed)
        var devnet = Devnet(plan, console)
        do {
            let status = try devnet.start()
            announce(plan, status, console)
            devnet.run()
            console.note("stopping \(plan.peers) peers; the data stays in \(plan.directory)")
        } catch is Devnet.Interrupted {
            console.note("stopping before the network was ready")
        } catch {
            devnet.stop()
            throw error
        }
        devnet.stop()
    }

    private static func announce(_ plan: DevnetPlan, _ status: PeerStatus, _ console: Console) {
        let folder = plan.folder(of: 0)
        let scheme = plan.usesTLS ? "https://" : "http://"
        let s3 = scheme + (SmallFile.read(folder + "/s3") ?? plan.s3Listen)
        let admin = SmallFile.read(folder + "/admin") ?? ""
        let names = plan.accounts.map { String($0.prefix { $0 != ":" }) }
        var lines = [
            "ready", "S3       \(s3)",
            "admin    http://\(admin) (token in \(folder)/admin.token)",
            "network  \(status.redundancy), survives \(status.survives) peers",
        ]
        for name in names {
            if let id = SmallFile.read("\(folder)/account-\(name)") {
                lines.append("account \(name) \(id)")
            } else {
                console.warn("the gateway has not written \(folder)/account-\(name)")
            }
        }
        let bundle = plan.isSelfSigned ? " AWS_CA_BUNDLE=\(folder)/s3-certificate.pem" : ""
        lines.append(
            "export AWS_ENDPOINT_URL=\(s3) AWS_ACCESS_KEY_ID=\(plan.credentials.accessKey) "
                + "AWS_SECRET_ACCESS_KEY=\(plan.credentials.secretKey) AWS_REGION=auto"
                + bundle)
        // In one piece: whoever waits for `ready` finds the rest behind it.
        console.say(lines.joined(separator: "\n"))
        if status.health != .green { console.warn(status.sentence) }
        console.note("next: cyxcloud bucket create photos && cyxcloud upload FILE --bucket photos")
        console.note("kill a peer: kill -9 $(cat \(plan.folder(of: min(1, plan.peers - 1)))/pid)")
        console.note("Ctrl-C stops the network and keeps its data")
        console.emit(
            .object([
                ("ready", .bool(true)), ("s3", .string(s3)), ("admin", .string(admin)),
                ("redundancy", .string(status.redundancy)), ("survives", .integer(status.survives)),
            ]))
    }
}
