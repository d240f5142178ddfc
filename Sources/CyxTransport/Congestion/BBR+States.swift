/// The states and when they change (draft-ietf-ccwg-bbr §5.3).
extension BBR {
    // MARK: Startup and drain

    mutating func resetFullBandwidth() {
        fullBandwidth = 0
        fullBandwidthCount = 0
        isFullBandwidthNow = false
    }

    /// The bandwidth has not grown by a quarter for three rounds (§5.3.1.2).
    mutating func checkFullBandwidth(_ sample: DeliverySample) {
        guard !isFullBandwidthNow, isRoundStart, !sample.isApplicationLimited,
            let rate = sample.rate
        else { return }
        if rate >= fullBandwidth * BBR.fullBandwidthGrowth {
            resetFullBandwidth()
            fullBandwidth = rate
            return
        }
        fullBandwidthCount += 1
        isFullBandwidthNow = fullBandwidthCount >= BBR.fullBandwidthRounds
        if isFullBandwidthNow { isFullBandwidthReached = true }
    }

    /// A round lost too much: the queue is full (§5.3.1.3).
    mutating func checkStartupLoss(_ sample: DeliverySample) {
        guard isLossRoundStart else { return }
        defer { lossEventsInRound = 0 }
        guard state == .startup, !isFullBandwidthReached,
            lossEventsInRound >= BBR.startupLossEvents,
            isTooHigh(inFlight: sample.inFlight, lost: sample.lost)
        else { return }
        isFullBandwidthReached = true
        inflightLong = max(product(maximumBandwidth, 1), latestInflight)
    }

    mutating func checkStartupDone() {
        if state == .startup, isFullBandwidthReached { state = .drain }
    }

    mutating func checkDrainDone(_ acked: AckedPackets) {
        guard state == .drain, acked.bytesInFlight <= product(maximumBandwidth, 1) else { return }
        startProbeDown(now: acked.now)
    }

    // MARK: Probing for bandwidth (§5.3.3)

    var isProbingCycle: Bool {
        switch state {
        case .probeDown, .probeCruise, .probeRefill, .probeUp: true
        case .startup, .drain, .probeRTT: false
        }
    }

    mutating func startProbeDown(now: Int64) {
        resetCongestionSignals()
        probeUpBytes = .max
        roundsSinceProbe = Int(randomNumber(below: 2))
        probeWait = 2_000_000_000 + Int64(randomNumber(below: 1_000_000_000))
        cycleStart = now
        ackPhase = .probeStopping
        startRound()
        state = .probeDown
    }

    private mutating func startProbeRefill() {
        resetLowerBounds()
        probeUpRounds = 0
        probeUpAcked = 0
        ackPhase = .refilling
        startRound()
        state = .probeRefill
    }

    private mutating func startProbeUp(_ sample: DeliverySample, now: Int64) {
        takesProbeSamples = true
        ackPhase = .probeStarting
        startRound()
        cycleStart = now
        resetFullBandwidth()
        fullBandwidth = sample.rate ?? 0
        state = .probeUp
        raiseSlope()
    }

    mutating func updateProbePhase(_ acked: AckedPackets, _ sample: DeliverySample) {
        guard isFullBandwidthReached else { return }
        adaptLongTermBound(acked, sample)
        guard isProbingCycle else { return }
        switch state {
        case .probeDown:
            if refillIfDue(now: acked.now) { return }
            let limit = min(inflightWithHeadroom, product(maximumBandwidth, 1))
            if acked.bytesInFlight <= limit { state = .probeCruise }
        case .probeCruise:
            _ = refillIfDue(now: acked.now)
        case .probeRefill:
            // A round at the full rate, so that probing starts from a full path.
            if isRoundStart { startProbeUp(sample, now: acked.now) }
        case .probeUp:
            if acked.isWindowLimited, window >= inflightLong {
                resetFullBandwidth()
                fullBandwidth = sample.rate ?? 0
            } else if isFullBandwidthNow {
                startProbeDown(now: acked.now)
            }
        case .startup, .drain, .probeRTT: break
        }
    }

    private mutating func refillIfDue(now: Int64) -> Bool {
        let target = min(product(bandwidth, 1), window)
        let renoRounds = min(target / packetSize, BBR.renoRoundsMax)
        guard now > cycleStart + probeWait || roundsSinceProbe >= renoRounds else { return false }
        startProbeRefill()
        return true
    }

    private mutating func adaptLongTermBound(_ acked: AckedPackets, _ sample: DeliverySample) {
        if ackPhase == .probeStarting, isRoundStart { ackPhase = .probeFeedback }
        if ackPhase == .probeStopping, isRoundStart {
            takesProbeSamples = false
            ackPhase = .initial
            if isProbingCycle, !sample.isApplicationLimited { advanceMaximumBandwidth() }
        }
        if isTooHigh(inFlight: sample.inFlight, lost: sample.lost) {
            if takesProbeSamples {
                handleTooHigh(
                    inFlight: sample.inFlight,
                    isApplicationLimited: sample.isApplicationLimited, now: acked.now)
            }
            return
        }
        guard inflightLong != .max else { return }
        inflightLong = max(inflightLong, sample.inFlight)
        if state == .probeUp { probeUpwards(acked, sample) }
    }

    /// The bound grows slowly at first, then twice as fast each round (§5.3.3.4).
    private mutating func probeUpwards(_ acked: AckedPackets, _ sample: DeliverySample) {
        guard acked.isWindowLimited, window >= inflightLong else { return }
        probeUpAcked += sample.newlyAcked
        if probeUpAcked >= probeUpBytes {
            let steps = probeUpAcked / probeUpBytes
            probeUpAcked -= steps * probeUpBytes
            inflightLong += steps * packetSize
        }
        if isRoundStart { raiseSlope() }
    }

    private mutating func raiseSlope() {
        let packets = 1 << probeUpRounds
        probeUpRounds = min(probeUpRounds + 1, 30)
        probeUpBytes = max(window / packets, packetSize)
    }

    // MARK: Probing for the round trip (§5.3.4.3)

    mutating func checkProbeRTT(_ acked: AckedPackets, _ sample: DeliverySample) {
        if state != .probeRTT, isProbeRTTExpired, !isIdleRestart {
            saveWindow()
            state = .probeRTT
            probeRTTEnd = nil
            ackPhase = .probeStopping
            startRound()
        }
        if state == .probeRTT {
            if probeRTTEnd == nil {
                if acked.bytesInFlight <= probeRTTWindow {
                    probeRTTEnd = acked.now + BBR.probeRTTDuration
                    isProbeRTTRoundDone = false
                    startRound()
                }
            } else {
                if isRoundStart { isProbeRTTRoundDone = true }
                if isProbeRTTRoundDone { endProbeRTTIfDone(now: acked.now) }
            }
        }
        if sample.newlyAcked > 0 { isIdleRestart = false }
    }

    mutating func endProbeRTTIfDone(now: Int64) {
        guard let probeRTTEnd, now > probeRTTEnd else { return }
        probeRTTMinimumTime = now
        restoreWindow()
        resetLowerBounds()
        if isFullBandwidthReached {
            startProbeDown(now: now)
            state = .probeCruise
        } else {
            state = .startup
        }
    }
}
