internal import CyxCore

/// The timings of repair (B4).
package struct RepairTimings: Sendable {
    /// How often the custodian looks at its segments.
    package var tick: Duration
    /// How long a segment may miss shards before it is rebuilt, by margin h − k: 0–1, 2, 3 and more.
    package var delays: (endangered: Duration, thin: Duration, comfortable: Duration)
    /// How much later the custodian of the next rank starts.
    package var rankStagger: Duration
    /// How long the other custodians leave a segment alone that one says it rebuilds.
    package var claim: Duration
    /// How long a new segment may miss holders before that counts as missing: its writer may be
    /// still adding them.
    package var settle: Duration
    /// How long a segment's rows are believed without reading them again.
    package var refresh: Duration
    /// Pause between two looks of a gateway for objects that could be coded wider.
    package var recode: Duration
    /// How long peers' uptimes have to call for more parity until old objects are given it.
    package var recodePatience: Duration
    /// Losses within `window` count together; after too many of them, only endangered segments are
    /// rebuilt for `hold`: most of what vanishes at once comes back at once.
    package var storm: (window: Duration, hold: Duration)
    /// How long a full segment may lie badly (a zone above its share, two shards at one peer)
    /// before a shard of it is moved.
    package var declump: Duration
    /// How long holders beyond the spares are kept.
    package var surplus: Duration

    package static let production = RepairTimings(
        tick: .seconds(30), delays: (.zero, .seconds(3600), .seconds(24 * 3600)),
        rankStagger: .seconds(60), claim: .seconds(600), settle: .seconds(60),
        refresh: .seconds(3600), recode: .seconds(600),
        recodePatience: .seconds(7 * 24 * 3600), storm: (.seconds(15 * 60), .seconds(3600)),
        declump: .seconds(3600), surplus: .seconds(24 * 3600))

    package static let devnet = RepairTimings(
        tick: .milliseconds(500), delays: (.zero, .zero, .zero), rankStagger: .seconds(5),
        claim: .seconds(20), settle: .seconds(2), refresh: .seconds(10), recode: .seconds(2),
        recodePatience: .seconds(20), storm: (.seconds(5), .seconds(1)), declump: .seconds(10),
        surplus: .seconds(60))
}

/// How much of repair one peer does at a time.
package struct RepairLimits: Sendable {
    /// Endangered segments that are rebuilt at once (B4), outside the throttle.
    package var endangered = 4
    /// Other segments that are rebuilt, or have a shard moved, at once.
    package var ordinary = 2
    /// Bytes per second that rebuilding the others may move, on average; nil: any number.
    package var bytesPerSecond: UInt64?
    /// Holders of one index that are kept beside the first (B4).
    package var spares = 2

    package init(bytesPerSecond: UInt64? = nil) { self.bytesPerSecond = bytesPerSecond }

    /// A peer on a 1 Gbit/s line gives about an eighth of it.
    package static let production = RepairLimits(bytesPerSecond: 16 << 20)
    package static let devnet = RepairLimits()
}

/// Whether the budget of repair allows to begin something more: a bucket of tokens that what was
/// begun may leave in debt, since a segment is worth many seconds of it. A machine.
struct RepairThrottle: Sendable {
    /// Time without repairs after which no more is saved up.
    static let burst = Duration.seconds(4)

    private(set) var bytesPerSecond: UInt64?
    /// When everything that was begun is paid for.
    private var paidAt = Instant(nanoseconds: .min / 2)

    init(bytesPerSecond: UInt64?) { self.bytesPerSecond = bytesPerSecond }

    mutating func set(_ bytesPerSecond: UInt64?, now: Instant) {
        self.bytesPerSecond = bytesPerSecond
        paidAt = min(paidAt, now)
    }

    /// When the next may begin.
    var readyAt: Instant { bytesPerSecond == nil ? Instant(nanoseconds: .min / 2) : paidAt }

    mutating func charge(_ bytes: Int, now: Instant) {
        guard let bytesPerSecond else { return }
        let nanoseconds = Double(bytes) / Double(max(1, bytesPerSecond)) * 1e9
        paidAt = max(paidAt, now - RepairThrottle.burst) + .nanoseconds(Int64(nanoseconds))
    }
}
