/// CUBIC (RFC 9438) in bytes, with the slow start and the loss events of RFC 9002 §7.
struct Cubic: Sendable {
    /// RFC 9438 §4.6 (β) and §5.1 (C).
    static let beta = 0.7
    static let scaling = 0.4
    static let initialWindowPackets = 32
    static let minimumWindowPackets = 2
    /// More than this in flight only fills buffers (64 ms at 2 Gbit/s).
    static let windowMax = 16 << 20

    var packetSize: Int
    private(set) var window: Int
    private(set) var slowStartThreshold = Int.max
    /// Packets sent before this belong to the last congestion event.
    private var recoveryStart: Int64 = .min
    private var epochStart: Int64?
    private var maximumWindow = 0.0
    private var plateau = 0.0
    /// The window that Reno would have (§4.3).
    private var estimate = 0.0
    private var remainder = 0.0

    init(packetSize: Int) {
        self.packetSize = packetSize
        window = packetSize * Cubic.initialWindowPackets
    }

    var isInSlowStart: Bool { window < slowStartThreshold }
    private var minimumWindow: Int { packetSize * Cubic.minimumWindowPackets }

    /// `bytes` of packets that were not sent for want of data were acknowledged.
    mutating func acknowledged(
        bytes: Int, timeSent: Int64, now: Int64, roundTrip: Int64, isApplicationLimited: Bool
    ) {
        guard timeSent > recoveryStart, !isApplicationLimited else { return }
        guard window < Cubic.windowMax else { return }
        if isInSlowStart {
            window = min(window + bytes, Cubic.windowMax)
            return
        }
        avoidCongestion(bytes: bytes, now: now, roundTrip: roundTrip)
    }

    private mutating func avoidCongestion(bytes: Int, now: Int64, roundTrip: Int64) {
        let segment = Double(packetSize)
        let current = Double(window)
        let start: Int64
        if let epochStart {
            start = epochStart
        } else {
            start = now
            epochStart = now
            estimate = current
            maximumWindow = max(maximumWindow, current)
            let distance = max(0, (maximumWindow - current) / segment)
            plateau = cubeRoot(distance / Cubic.scaling)
        }
        let elapsed = Double(now - start + roundTrip) / 1e9
        let offset = elapsed - plateau
        let target = maximumWindow + Cubic.scaling * offset * offset * offset * segment
        let bounded = min(max(target, current), current * 1.5)
        // §4.3: α = 3 (1 − β) / (1 + β) until the estimate passes the old maximum.
        let alpha = estimate < maximumWindow ? 3 * (1 - Cubic.beta) / (1 + Cubic.beta) : 1
        estimate += alpha * segment * Double(bytes) / current
        let growth =
            estimate > bounded
            ? max(0, estimate - current) : (bounded - current) * Double(bytes) / current
        remainder += growth
        let whole = remainder.rounded(.down)
        remainder -= whole
        window = min(Cubic.windowMax, window + Int(whole))
    }

    /// A packet sent at `timeSent` was lost. One event per round trip shrinks the window.
    mutating func lost(timeSent: Int64, now: Int64) {
        guard timeSent > recoveryStart else { return }
        recoveryStart = now
        epochStart = nil
        remainder = 0
        let current = Double(window)
        // Fast convergence (§4.7): give way to newcomers.
        maximumWindow =
            current < maximumWindow ? current * (1 + Cubic.beta) / 2 : current
        window = max(minimumWindow, Int(current * Cubic.beta))
        slowStartThreshold = window
    }

    /// Everything sent over several probe timeouts was lost (RFC 9002 §7.6.2).
    mutating func persistentCongestion() {
        window = minimumWindow
        recoveryStart = .min
        epochStart = nil
    }

    /// Newton's method; no math library below the base.
    private func cubeRoot(_ value: Double) -> Double {
        guard value > 0 else { return 0 }
        var root = max(1, value / 3)
        for _ in 0..<40 {
            let next = (2 * root + value / (root * root)) / 3
            if abs(next - root) < 1e-9 * root { return next }
            root = next
        }
        return root
    }
}
