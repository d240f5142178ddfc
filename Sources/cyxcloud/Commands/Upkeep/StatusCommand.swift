internal import CyxClient
internal import CyxCore
internal import Glibc

/// `cyxcloud status`.
enum StatusCommand {
    private static let watchInterval: Int32 = 2_000

    static let command = Command(
        spec: CommandSpec(
            name: "cyxcloud status", summary: "Say how the network and a peer are.",
            flags: adminFlags + [FlagSpec("watch", nil, "again every 2 s, until Ctrl-C")]
                + Command.globalFlags),
        run: run)

    /// Flags of commands that ask one peer.
    static let adminFlags = [
        FlagSpec("data-dir", "DIR", "data directory of the peer to ask (cyxpeer-data)"),
        FlagSpec("admin", "HOST:PORT", "its admin address (from DIR, or 127.0.0.1:7790)"),
        FlagSpec("admin-token", "FILE", "its token (DIR/admin.token)"),
    ]

    /// The admin API of the peer that the flags name.
    static func admin(_ parsed: ParsedCommand) throws(ClientError) -> AdminClient {
        let directory = parsed.value("data-dir") ?? "cyxpeer-data"
        let tokenFile = parsed.value("admin-token") ?? directory + "/admin.token"
        let address =
            parsed.value("admin") ?? SmallFile.read(directory + "/admin") ?? "127.0.0.1:7790"
        guard let token = SmallFile.read(tokenFile) else {
            throw ClientError(
                code: "ADMIN-03", message: "there is no admin token in \(tokenFile)",
                cause: SystemError.words(errno),
                remedy: "--data-dir DIR of a running peer (of a devnet: DIR/peers/0)")
        }
        return AdminClient(address: address, token: token, http: HTTPClient())
    }

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let admin = try admin(parsed)
        while true {
            let status = try admin.status()
            if parsed.has("watch"), StandardStream.output.isTerminal, !console.isJSON {
                StandardStream.output.write("\u{1b}[H\u{1b}[2J")
            }
            if console.isJSON, !parsed.has("watch") {
                console.result(status.json)
            } else {
                console.emit(status.json)
                console.say(text(status, console))
            }
            guard parsed.has("watch") else { return }
            poll(nil, 0, watchInterval)
        }
    }

    /// The whole screen.
    static func text(_ status: PeerStatus, _ console: Console) -> String {
        let colors = [PeerStatus.Health.green: "32", .amber: "33", .red: "31"]
        let health = console.color(colors[status.health] ?? "0", status.health.rawValue)
        let zones = status.zones.map { "\($0.name) \($0.peers)" }.joined(separator: ", ")
        func counts(_ items: [(name: String, count: Int64)]) -> String {
            items.map { "\($0.count) \($0.name.replacingUnderscores)" }.joined(separator: ", ")
        }
        let store = status.store.map { item in
            item.name == "shards"
                ? "\(item.value) shards"
                : "\(Units.format(bytes: UInt64(max(item.value, 0)))) \(item.name)"
        }
        return """
            network   \(status.network.prefix(12)): \(health). \(status.sentence)
            objects   \(status.redundancy), survives \(status.survives) more losses: \
            data \(status.dataSurvives), rows \(status.rowsSurvive)\(uptime(status))
            peers     \(status.alive) alive, \(status.suspect) suspect, \(status.dead) dead\(others(status))
            zones     \(zones)
            tables    \(status.fullPartitions) of \(status.partitions) partitions whole, \
            \(status.unavailablePartitions) unavailable
            views     up to epoch \(status.epoch), \(status.changingPartitions) changing, \
            rows \(status.lagSeconds) s behind
            segments  \(counts(status.segments))
            store     \(store.joined(separator: ", "))
            peer      \(status.peer.prefix(12)), version \(status.version)\(gatewayKey(status))
            """
    }
}

private func uptime(_ status: PeerStatus) -> String {
    guard let uptime = status.uptimePPM else { return "" }
    return "; peers up \(Units.decimal(Double(uptime) / 10_000, digits: 2)) % of the time"
}

private func gatewayKey(_ status: PeerStatus) -> String {
    status.gatewayKey.map { "\ngateway   key \($0)" } ?? ""
}

/// The peers of which there mostly are none.
private func others(_ status: PeerStatus) -> String {
    (status.away > 0 ? ", \(status.away) off for maintenance" : "")
        + (status.draining > 0 ? "; \(status.draining) giving away what they hold" : "")
}

extension String {
    fileprivate var replacingUnderscores: String { split(separator: "_").joined(separator: " ") }
}
