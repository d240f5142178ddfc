/// BBR as draft-ietf-ccwg-bbr-02 has it (its version 3): keeps a model of the path, which is the
/// bandwidth that it delivers, its round trip without queues and how much in flight it bears
/// without losing more than 2 %, and sends by that model. Amounts are bytes, times nanoseconds,
/// rates bytes per second.
struct BBR: Sendable {
    /// §2.4 to §2.9 of the draft, by its names.
    static let pacingMargin = 0.01
    static let lossThreshold = 0.02
    static let beta = 0.7
    static let headroom = 0.15
    static let minimumWindowPackets = 4
    static let initialWindowPackets = 32
    static let startupPacingGain = 2.77
    static let windowGain = 2.0
    static let drainPacingGain = 0.5
    static let probeUpWindowGain = 2.25
    static let probeRTTWindowGain = 0.5
    static let probeRTTInterval: Int64 = 5_000_000_000
    static let probeRTTDuration: Int64 = 200_000_000
    static let minimumRoundTripLife: Int64 = 10_000_000_000
    static let fullBandwidthGrowth = 1.25
    static let fullBandwidthRounds = 3
    static let startupLossEvents = 6
    static let extraAckedRounds = 5
    /// Round trips between probes for bandwidth, so that Reno flows get their turn (§5.3.3.5.2).
    static let renoRoundsMax = 63
    /// More than this in flight is never needed (64 ms at 2 Gbit/s).
    static let windowMax = Cubic.windowMax

    enum State: Sendable {
        case startup
        case drain
        case probeDown
        case probeCruise
        case probeRefill
        case probeUp
        case probeRTT
    }

    /// Where the acknowledgments of a probe for bandwidth are (§5.3.3.6).
    enum AckPhase: Sendable {
        case initial
        case refilling
        case probeStarting
        case probeFeedback
        case probeStopping
    }

    var packetSize: Int
    private(set) var window: Int
    private(set) var pacingRate: Double
    var state = State.startup
    var random: UInt64

    // Rounds.
    var delivered = 0
    var roundEnd = 0
    var isRoundStart = false
    var roundCount = 0
    var isIdleRestart = false
    var hasRoundTrip = false

    // Bandwidth: the largest of this probing cycle and of the last one.
    var cycleBandwidth = 0.0
    var lastCycleBandwidth = 0.0
    var bandwidthLow = Double.infinity
    var latestBandwidth = 0.0

    // Volume: what may be in flight in the long and the short term.
    var inflightLong = Int.max
    var inflightShort = Int.max
    var latestInflight = 0

    // Losses of the round.
    var lossRoundEnd = 0
    var isLossRoundStart = false
    var hasLossInRound = false
    var lossEventsInRound = 0
    var lostInRound = 0
    var ackedInRound = 0

    // Startup.
    var fullBandwidth = 0.0
    var fullBandwidthCount = 0
    var isFullBandwidthNow = false
    var isFullBandwidthReached = false

    // Probing for bandwidth.
    var ackPhase = AckPhase.initial
    var takesProbeSamples = false
    var cycleStart: Int64 = 0
    var probeWait: Int64 = 0
    var roundsSinceProbe = 0
    var probeUpRounds = 0
    var probeUpAcked = 0
    var probeUpBytes = Int.max

    // Round trips.
    var minimumRoundTrip = Int64.max
    var minimumRoundTripTime: Int64 = 0
    var probeRTTMinimum = Int64.max
    var probeRTTMinimumTime: Int64 = 0
    var isProbeRTTExpired = false
    var probeRTTEnd: Int64?
    var isProbeRTTRoundDone = false
    var priorWindow = 0

    // Aggregated acknowledgments (§5.5.9): the largest of the last two spans of rounds.
    var extraAcked = 0
    var lastExtraAcked = 0
    var extraAckedRoundCount = 0
    var extraAckedStart: Int64 = 0
    var extraAckedDelivered = 0

    init(packetSize: Int, seed: UInt64) {
        self.packetSize = packetSize
        random = seed | 1
        window = packetSize * BBR.initialWindowPackets
        // §5.6.2: a window per millisecond until there is a round trip.
        pacingRate = BBR.startupPacingGain * Double(window) * 1000
    }

    var minimumWindow: Int { packetSize * BBR.minimumWindowPackets }
    var maximumBandwidth: Double { max(cycleBandwidth, lastCycleBandwidth) }
    var bandwidth: Double { min(maximumBandwidth, bandwidthLow) }

    /// Bytes in flight that fill the path `gain` times at `bandwidth` (§5.6.4.2).
    func product(_ bandwidth: Double, _ gain: Double) -> Int {
        guard minimumRoundTrip != .max else { return packetSize * BBR.initialWindowPackets }
        let bytes = gain * bandwidth * Double(minimumRoundTrip) / 1e9
        return Int(min(bytes, Double(BBR.windowMax)))
    }

    mutating func acknowledged(_ acked: AckedPackets) {
        guard let sample = acked.delivery else { return }
        delivered = sample.deliveredInAll
        if !hasRoundTrip { startPacing(smoothedRoundTrip: acked.roundTrip.smoothed) }
        updateLatestSignals(sample)
        updateRound(sample)
        updateMaximumBandwidth(sample)
        updateCongestionSignals(sample)
        updateAggregation(sample, now: acked.now)
        checkFullBandwidth(sample)
        checkStartupLoss(sample)
        checkStartupDone()
        checkDrainDone(acked)
        updateProbePhase(acked, sample)
        updateMinimumRoundTrip(acked)
        checkProbeRTT(acked, sample)
        advanceLatestSignals(sample)
        setPacingRate()
        setWindow(sample)
    }

    private mutating func startPacing(smoothedRoundTrip: Int64) {
        hasRoundTrip = true
        pacingRate =
            BBR.startupPacingGain * Double(window) * 1e9 / Double(max(1, smoothedRoundTrip))
    }

    // MARK: Control parameters (§5.6)

    private var pacingGain: Double {
        switch state {
        case .startup: BBR.startupPacingGain
        case .drain: BBR.drainPacingGain
        case .probeDown: 0.9
        case .probeCruise, .probeRefill, .probeRTT: 1
        case .probeUp: 1.25
        }
    }

    func setsPacing(gain: Double) -> Double { gain * bandwidth * (1 - BBR.pacingMargin) }

    private mutating func setPacingRate() {
        let rate = setsPacing(gain: pacingGain)
        // Before the path is known to be full, a sample may be too low for want of data.
        if rate > 0, isFullBandwidthReached || rate > pacingRate { pacingRate = rate }
    }

    /// Packets go out after a pause: at the path's rate and not at a probing one (§5.4.1).
    mutating func restarted(now: Int64) {
        isIdleRestart = true
        extraAckedStart = now
        extraAckedDelivered = 0
        if isProbingCycle {
            let rate = setsPacing(gain: 1)
            if rate > 0 { pacingRate = rate }
        } else if state == .probeRTT {
            endProbeRTTIfDone(now: now)
        }
    }

    /// In whole trains of packets (§5.6.4.2), so that segment offload does not starve.
    private func quantized(_ inflight: Int) -> Int {
        let train = pacingRate * Double(Pacer.trainTime) / 1e9
        let offload = 3 * min(Int(train), Pacer.trainPacketsMax * packetSize)
        let extra = state == .probeUp ? 2 * packetSize : 0
        return max(inflight, offload, minimumWindow) + extra
    }

    private mutating func setWindow(_ sample: DeliverySample) {
        let gain = state == .probeUp ? BBR.probeUpWindowGain : BBR.windowGain
        let largest = quantized(
            product(bandwidth, gain) + max(extraAcked, lastExtraAcked))
        if isFullBandwidthReached {
            window = min(window + sample.newlyAcked, largest)
        } else if window < largest
            || delivered < 2 * packetSize * BBR.initialWindowPackets
        {
            window += sample.newlyAcked
        }
        window = max(window, minimumWindow)
        if state == .probeRTT { window = min(window, probeRTTWindow) }
        boundWindow()
    }

    private mutating func boundWindow() {
        var bound = Int.max
        if state == .probeRTT || state == .probeCruise {
            bound = inflightWithHeadroom
        } else if isProbingCycle {
            bound = inflightLong
        }
        bound = max(min(bound, inflightShort), minimumWindow)
        window = min(window, bound, BBR.windowMax)
    }

    var probeRTTWindow: Int {
        max(product(bandwidth, BBR.probeRTTWindowGain), minimumWindow)
    }

    /// Room for others' flows to grow into (§5.5.11).
    var inflightWithHeadroom: Int {
        guard inflightLong != .max else { return .max }
        let room = max(packetSize, Int(BBR.headroom * Double(inflightLong)))
        return max(inflightLong - room, minimumWindow)
    }

    mutating func saveWindow() {
        priorWindow = state == .probeRTT ? max(priorWindow, window) : window
    }

    mutating func restoreWindow() { window = max(window, priorWindow) }

    mutating func persistentCongestion() {
        saveWindow()
        window = minimumWindow
    }

    /// A number below `bound` (§5.3.3.5.3); xorshift, as it need not be unpredictable.
    mutating func randomNumber(below bound: UInt64) -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return (random >> 11) % bound
    }
}
