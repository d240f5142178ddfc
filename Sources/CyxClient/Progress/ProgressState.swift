package import CyxCore

/// How far a transfer is, and how that reads (experience.md §1): bytes, rate, time left, and what is
/// safe already.
package struct ProgressState: Sendable {
    /// Cells of the bar.
    static let barWidth = 24

    package var label: String
    package var total: UInt64
    package var moved: UInt64
    package var safe: UInt64
    package var elapsed: Duration
    /// Bytes per second of late; nil before there is any.
    package var rate: Double?

    package init(
        label: String, total: UInt64, moved: UInt64, safe: UInt64, elapsed: Duration, rate: Double?
    ) {
        self.label = label
        self.total = total
        self.moved = moved
        self.safe = safe
        self.elapsed = elapsed
        self.rate = rate
    }

    /// The time that the rest takes at the present rate.
    package var remaining: Duration? {
        guard let rate, rate > 0, total >= moved else { return nil }
        return .seconds(min(Double(total - moved) / rate, 1e7))
    }

    /// One line: `disk.img ━━━━━━────── 512 MiB/1.00 GiB 50 %  120 MiB/s  ETA 0:04  safe 448 MiB`.
    package func line(hasBar: Bool) -> String {
        let share = total == 0 ? 1 : min(Double(moved) / Double(total), 1)
        var line = label
        if hasBar {
            let filled = Int(share * Double(Self.barWidth))
            line += " " + String(repeating: "━", count: filled)
            line += String(repeating: "─", count: Self.barWidth - filled)
        }
        line += " \(Units.format(bytes: moved))/\(Units.format(bytes: total))"
        line += " \(Int(share * 100)) %"
        if let rate { line += "  \(Units.format(bytes: UInt64(max(rate, 0))))/s" }
        if let remaining { line += "  ETA \(Self.clock(remaining))" }
        return line + "  safe \(Units.format(bytes: safe))"
    }

    package var json: JSONValue {
        .object([
            ("progress", .string(label)), ("moved", .integer(Int64(moved))),
            ("total", .integer(Int64(total))), ("safe", .integer(Int64(safe))),
            ("bytes_per_second", .integer(Int64(rate ?? 0))),
        ])
    }

    /// `0:04`, `12:30`, `1:02:03`.
    package static func clock(_ duration: Duration) -> String {
        let seconds = Int(duration.inSeconds.rounded(.up))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        let rest = two(seconds % 60)
        return hours > 0 ? "\(hours):\(two(minutes)):\(rest)" : "\(minutes):\(rest)"
    }
}

/// The rate over the last few samples, so that it follows a link that changes.
package struct RateWindow: Sendable {
    /// How far back the rate looks.
    static let span = Duration.seconds(5)
    private var samples: [(time: Instant, bytes: UInt64)] = []

    package init() {}

    /// Adds a sample and returns bytes per second over the window; nil before it spans any time.
    package mutating func add(_ bytes: UInt64, at now: Instant) -> Double? {
        samples.append((now, bytes))
        while samples.count > 2, now - samples[1].time > Self.span { samples.removeFirst() }
        guard let first = samples.first, now > first.time else { return nil }
        return max(Double(bytes) - Double(first.bytes), 0) / (now - first.time).inSeconds
    }
}
