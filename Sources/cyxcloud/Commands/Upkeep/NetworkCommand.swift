internal import CyxClient
internal import CyxCore
internal import CyxDurability

/// `cyxcloud network plan`.
enum NetworkCommand {
    /// Beyond that the simulation takes minutes, and says nothing new.
    private static let peersMost = 5000

    static let plan = Command(
        spec: CommandSpec(
            name: "cyxcloud network plan",
            summary: "Say what a network could store, and how safely: models and a simulation.",
            flags: [
                FlagSpec("peers", "N", "storage peers, 1 to 5000"),
                FlagSpec("zones", "Z", "rooms, racks or sites that fail as one (1)"),
                FlagSpec("uptime", "PERCENT", "of the time a peer is up (99.5)"),
                FlagSpec("disk", "SIZE", "what each allocates (1TB)"),
                FlagSpec("line", "MBITS", "each one's line, Mbit/s each way (100)"),
                FlagSpec("losses", "PERCENT", "of the peers that are lost for good a year (20)"),
            ] + Command.globalFlags),
        run: run)

    private static func run(_ parsed: ParsedCommand, _ console: Console) throws {
        let wanted = parsed.value("peers").flatMap { Int($0) }
        guard let peers = wanted, (1...peersMost).contains(peers) else {
            throw UsageError("`--peers` is needed, from 1 to \(peersMost)")
        }
        let zones = try number("zones", parsed, 1, 1...Double(peers))
        var setup = NetworkPlan.Setup(peers: peers, zones: Int(zones))
        setup.uptime = try number("uptime", parsed, 99.5, 50...100) / 100
        setup.lossRate = try number("losses", parsed, 20, 0.01...1000) / 100
        setup.lineBytesPerSecond = try number("line", parsed, 100, 0.1...1_000_000) * 125_000
        if let text = parsed.value("disk") {
            guard let bytes = Units.parseBytes(text), bytes >= 1 << 30 else {
                throw UsageError("`--disk \(text)` is no size of at least 1GB")
            }
            setup.diskBytes = bytes
        }
        let plan = NetworkPlan(setup)
        console.say(text(plan, setup))
        console.result(json(plan))
    }

    private static func number(
        _ flag: String, _ parsed: ParsedCommand, _ fallback: Double, _ range: ClosedRange<Double>
    ) throws(UsageError) -> Double {
        guard let text = parsed.value(flag) else { return fallback }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError(
                "`--\(flag) \(text)` is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func text(_ plan: NetworkPlan, _ setup: NetworkPlan.Setup) -> String {
        let hours = { (value: Double) in "\(Units.decimal(value, digits: 1)) h" }
        let repair =
            plan.survivesPeers == 0
            ? "nothing can be rebuilt: there is one copy"
            : "\(hours(plan.repairHours.median)) after a loss, 1 in 100 later than "
                + "\(hours(plan.repairHours.high)) (a day's wait for peers that come back where "
                + "three more may go; moving what one peer held takes \(hours(plan.movingHours)))"
        return """
            objects     \(plan.code), survives \(plan.survivesPeers) peers, or \
            \(plan.survivesZones) of \(setup.zones) zones
            usable      \(Units.format(bytes: plan.usableBytes)) of \
            \(Units.format(bytes: UInt64(setup.peers) * setup.diskBytes)); room to rebuild is kept
            lost        \(RareRate.text(plan.lossesPerYear)) of \(plan.segments) segments of 64 MiB a \
            year
            unreadable  \(RareRate.text(plan.unreadableShare)) of the time, with peers up \
            \(Units.decimal(setup.uptime * 100, digits: 2)) %
            repair      \(repair)
            at risk     \(RareRate.text(plan.atRiskShare)) of the time a segment bears one more loss \
            or none
            """
    }

    private static func json(_ plan: NetworkPlan) -> JSONValue {
        // JSON of this program knows whole numbers and text; small rates are text.
        .object([
            ("redundancy", .string("\(plan.code)")),
            ("usable_bytes", .integer(Int64(clamping: plan.usableBytes))),
            ("survives_peers", .integer(Int64(plan.survivesPeers))),
            ("survives_zones", .integer(Int64(plan.survivesZones))),
            ("segments", .integer(Int64(plan.segments))),
            ("losses_per_year", .string(RareRate.text(plan.lossesPerYear))),
            ("unreadable_share", .string(RareRate.text(plan.unreadableShare))),
            ("at_risk_share", .string(RareRate.text(plan.atRiskShare))),
            ("repair_seconds_median", .integer(Int64(plan.repairHours.median * 3600))),
            ("repair_seconds_p99", .integer(Int64(plan.repairHours.high * 3600))),
            ("moving_seconds", .integer(Int64(plan.movingHours * 3600))),
        ])
    }
}
