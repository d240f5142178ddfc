/// How large datagrams on one path may be, found out by sending some (DPLPMTUD: RFC 8899, RFC 9000
/// §14.3). Sizes are bytes of UDP payload.
///
/// Nothing is probed before a packet was full, so that connections of small messages cost nothing.
/// Mostly the largest size works and one probe tells; otherwise the range is halved.
struct PathMTU: Sendable {
    /// What every path carries (RFC 9000 §14, BASE_PLPMTU of RFC 8899 §5.1.2).
    static let base = PacketFormat.initialDatagramSizeMin
    /// Losses of probes of one size after which it counts as too large (MAX_PROBES, §5.1.2).
    static let probesMax = 3
    /// The search ends when it could gain less than this.
    static let precision = 16
    /// From the end of a search to the next, as paths change (PMTU_RAISE_TIMER, §5.1.1).
    static let raiseInterval: Int64 = 600_000_000_000
    /// Losses one after the other, with no large packet arriving in between, that say that large
    /// packets no longer get through (§4.3).
    static let blackHoleLosses = 3

    let maximum: Int
    /// The size in use; it got through.
    private(set) var size = PathMTU.base
    /// The largest size that is not known to fail.
    private var ceiling: Int
    private var isWanted = false
    /// Size of the probe under way.
    private var probe: Int?
    private var failures = 0
    private var raiseTime: Int64?
    private var lossCount = 0
    /// When the losses counted last were noticed: packets sent before belong to them.
    private var lossTime: Int64 = .min

    init(maximum: Int) {
        precondition(
            (PathMTU.base...PacketFormat.datagramSizeMax).contains(maximum),
            "datagrams are of sizes that every peer takes")
        self.maximum = maximum
        ceiling = maximum
    }

    /// A path whose datagrams have this size, with nothing to find out: one over a relay.
    init(fixed size: Int) {
        maximum = size
        self.size = size
        ceiling = size
    }

    private var isSearchOver: Bool { ceiling - size < PathMTU.precision }

    /// A packet was full: larger ones would help.
    mutating func packetWasFull() { isWanted = true }

    /// The size of a probe that should be sent now.
    @inline(__always)
    mutating func nextProbe(now: Int64) -> Int? {
        guard isWanted, probe == nil, size < maximum else { return nil }
        return candidate(now: now)
    }

    private mutating func candidate(now: Int64) -> Int? {
        if isSearchOver, let raiseTime, now >= raiseTime {
            ceiling = maximum
            self.raiseTime = nil
        }
        guard !isSearchOver else { return nil }
        return ceiling == maximum ? maximum : size + (ceiling - size + 1) / 2
    }

    mutating func probeSent(_ size: Int) { probe = size }

    mutating func probeAcknowledged(_ size: Int, now: Int64) {
        guard probe == size else { return }
        probe = nil
        failures = 0
        self.size = max(self.size, size)
        endSearchIfOver(now: now)
    }

    /// Says nothing about congestion (RFC 9000 §14.4).
    mutating func probeLost(_ size: Int, now: Int64) {
        guard probe == size else { return }
        probe = nil
        failures += 1
        guard failures >= PathMTU.probesMax else { return }
        failures = 0
        ceiling = size - 1
        endSearchIfOver(now: now)
    }

    private mutating func endSearchIfOver(now: Int64) {
        if isSearchOver { raiseTime = now + PathMTU.raiseInterval }
    }

    /// Another path is in use: nothing will be heard of the probe under way.
    mutating func leave() { probe = nil }

    // MARK: Black holes

    /// The largest of the packets just acknowledged, probes aside, had this size.
    @inline(__always)
    mutating func acknowledged(size: Int) {
        if size > PathMTU.base { lossCount = 0 }
    }

    /// Packets of up to this size were lost, probes aside, the last of them sent at `timeSent`.
    mutating func lost(size: Int, timeSent: Int64, now: Int64) {
        guard self.size > PathMTU.base, size > PathMTU.base, timeSent > lossTime else { return }
        lossTime = now
        lossCount += 1
        if lossCount >= PathMTU.blackHoleLosses { fallBack() }
    }

    /// Nothing gets through any more, or nothing large: back to what every path carries, and search
    /// again.
    mutating func fallBack() {
        size = min(PathMTU.base, maximum)
        ceiling = maximum
        probe = nil
        failures = 0
        lossCount = 0
        raiseTime = nil
    }
}
