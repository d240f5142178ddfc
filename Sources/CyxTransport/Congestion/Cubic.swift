/// CUBIC (RFC 9438) in bytes, with the loss events of RFC 9002 §7 and the slow start of RFC 9406.
struct Cubic: Sendable {
    /// RFC 9438 §4.6 (β) and §5.1 (C).
    static let beta = 0.7
    static let scaling = 0.4
    static let initialWindowPackets = 32
    static let minimumWindowPackets = 2
    /// More than this in flight only fills buffers (64 ms at 2 Gbit/s).
    static let windowMax = 16 << 20
    /// How much faster than a window per round trip packets leave (RFC 9002 §7.7), so that pacing
    /// never is what limits; in slow start the window doubles meanwhile.
    static let pacingGain = 1.25
    static let slowStartPacingGain = 2.0

    var packetSize: Int
    private(set) var window: Int
    private(set) var slowStartThreshold = Int.max
    private var slowStartExit = SlowStartExit()
    /// Packets sent before this belong to the last congestion event.
    private var recoveryStart: Int64 = .min
    private var epochStart: Int64?
    /// Since when the application has not filled the window.
    private var limitedSince: Int64?
    private var maximumWindow = 0.0
    /// The window before the last congestion event.
    private var priorWindow = 0.0
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

    func pacingRate(smoothedRoundTrip: Int64) -> Double {
        let gain = isInSlowStart ? Cubic.slowStartPacingGain : Cubic.pacingGain
        return gain * Double(window) * 1e9 / Double(max(1, smoothedRoundTrip))
    }

    mutating func acknowledged(_ acked: AckedPackets) {
        guard acked.latestSent > recoveryStart else { return }
        // A window that was not filled says nothing about the path (RFC 9002 §7.8).
        guard !acked.isApplicationLimited else {
            limitedSince = limitedSince ?? acked.now
            return
        }
        skipLimitedTime(now: acked.now)
        if isInSlowStart {
            growFast(acked)
        } else {
            avoidCongestion(
                bytes: acked.bytes, now: acked.now, roundTrip: acked.roundTrip.smoothed)
        }
    }

    /// The window does not grow while it is not filled, and must not jump afterwards: such time
    /// does not count (RFC 9438 §4.2 on t).
    private mutating func skipLimitedTime(now: Int64) {
        if let limitedSince, let start = epochStart { epochStart = start + (now - limitedSince) }
        limitedSince = nil
    }

    private mutating func growFast(_ acked: AckedPackets) {
        var growth = acked.bytes
        if slowStartThreshold == .max {
            let isOver = slowStartExit.sample(
                acked.roundTrip.latest, largest: acked.largest, nextNumber: acked.nextNumber)
            if slowStartExit.isConservative { growth /= SlowStartExit.growthDivisor }
            if isOver {
                slowStartThreshold = window
                return
            }
        }
        window = min(window + growth, Cubic.windowMax)
    }

    private mutating func avoidCongestion(bytes: Int, now: Int64, roundTrip: Int64) {
        guard window < Cubic.windowMax else { return }
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
        let elapsed = Double(now - start) / 1e9
        let target = cubicWindow(after: elapsed + Double(roundTrip) / 1e9)
        let bounded = min(max(target, current), current * 1.5)
        // §4.3: α = 3 (1 − β) / (1 + β) until the estimate passes the window of before.
        let alpha = estimate < priorWindow ? 3 * (1 - Cubic.beta) / (1 + Cubic.beta) : 1
        estimate += alpha * segment * Double(bytes) / current
        let growth =
            estimate > cubicWindow(after: elapsed) && estimate > current
            ? estimate - current : (bounded - current) * Double(bytes) / current
        remainder += growth
        let whole = remainder.rounded(.down)
        remainder -= whole
        window = min(Cubic.windowMax, window + Int(whole))
    }

    /// W_cubic (§4.2), in bytes.
    private func cubicWindow(after seconds: Double) -> Double {
        let offset = seconds - plateau
        return maximumWindow + Cubic.scaling * offset * offset * offset * Double(packetSize)
    }

    /// A packet sent at `timeSent` was lost. One event per round trip shrinks the window.
    mutating func lost(timeSent: Int64, now: Int64) {
        guard timeSent > recoveryStart else { return }
        recoveryStart = now
        epochStart = nil
        limitedSince = nil
        remainder = 0
        let current = Double(window)
        priorWindow = current
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
        limitedSince = nil
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
