internal import CyxClient
internal import CyxCore

/// `cyxcloud repair status|now|pause|throttle`.
enum RepairCommand {
    private static let flags = StatusCommand.adminFlags + Command.globalFlags

    static let status = Command(
        spec: CommandSpec(
            name: "cyxcloud repair status",
            summary: "Show what a peer rebuilds, of the segments that it watches first.",
            flags: flags)
    ) { parsed, console in
        show(try StatusCommand.admin(parsed).repair(), console)
    }

    static let now = Command(
        spec: CommandSpec(
            name: "cyxcloud repair now",
            summary: "Rebuild what is missing without waiting for who may come back.",
            flags: flags)
    ) { parsed, console in
        show(try StatusCommand.admin(parsed).repairNow(), console)
    }

    static let pause = Command(
        spec: CommandSpec(
            name: "cyxcloud repair pause",
            summary: "Rebuild only segments that bear one more loss or none.",
            flags: [FlagSpec("resume", nil, "rebuild the others again")] + flags)
    ) { parsed, console in
        show(try StatusCommand.admin(parsed).pauseRepair(!parsed.has("resume")), console)
    }

    static let throttle = Command(
        spec: CommandSpec(
            name: "cyxcloud repair throttle",
            summary: "Bound what rebuilding moves; segments in danger are rebuilt at once anyway.",
            flags: flags, arguments: "RATE|off", argumentCount: 1...1)
    ) { parsed, console in
        let text = parsed.arguments[0]
        let word = text.hasSuffix("/s") ? String(text.dropLast(2)) : text
        guard let rate = word == "off" ? 0 : Units.parseBytes(word), word == "off" || rate > 0
        else { throw UsageError("`\(text)` is no rate such as 10MiB, and not `off`") }
        show(try StatusCommand.admin(parsed).throttleRepair(rate), console)
    }

    private static func show(_ repair: RepairReport, _ console: Console) {
        console.say(text(repair))
        console.result(repair.json)
    }

    static func text(_ repair: RepairReport) -> String {
        var state = repair.isPaused ? "paused but for endangered segments" : "running"
        if let throttle = repair.throttle {
            state += ", at most \(Units.format(bytes: UInt64(clamping: throttle)))/s"
        }
        if let storm = repair.stormSeconds {
            state += ", endangered segments only for \(storm / 60) min (many peers went at once)"
        }
        if repair.isScanning { state += ", still looking" }
        return """
            repair    \(state)
            segments  \(repair.segments) watched: \(repair.full) full, \
            \(repair.degraded) degraded, \(repair.atRisk) at risk, \(repair.lost) lost
            queue     \(repair.queue) to rebuild
            rebuilt   \(Units.format(bytes: UInt64(clamping: repair.bytesRepaired))) since the start
            """
    }
}
