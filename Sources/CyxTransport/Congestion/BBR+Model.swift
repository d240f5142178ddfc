/// The model of the path: rounds, bandwidth, losses, round trips (draft-ietf-ccwg-bbr §5.5).
extension BBR {
    mutating func updateRound(_ sample: DeliverySample) {
        isRoundStart = sample.priorDelivered >= roundEnd
        guard isRoundStart else { return }
        startRound()
        roundCount += 1
        roundsSinceProbe += 1
    }

    mutating func startRound() { roundEnd = delivered }

    mutating func updateMaximumBandwidth(_ sample: DeliverySample) {
        guard let rate = sample.rate else { return }
        // What the application held back counts only if it shows more than was known.
        if rate >= maximumBandwidth || !sample.isApplicationLimited {
            cycleBandwidth = max(cycleBandwidth, rate)
        }
    }

    /// The old cycle's maximum goes; only one with samples may take its place.
    mutating func advanceMaximumBandwidth() {
        guard cycleBandwidth > 0 else { return }
        lastCycleBandwidth = cycleBandwidth
        cycleBandwidth = 0
    }

    // MARK: Short-term bounds (§5.5.10)

    mutating func updateLatestSignals(_ sample: DeliverySample) {
        isLossRoundStart = false
        latestBandwidth = max(latestBandwidth, sample.rate ?? 0)
        latestInflight = max(latestInflight, sample.delivered)
        if sample.priorDelivered >= lossRoundEnd {
            lossRoundEnd = delivered
            isLossRoundStart = true
        }
    }

    mutating func advanceLatestSignals(_ sample: DeliverySample) {
        guard isLossRoundStart else { return }
        latestBandwidth = sample.rate ?? 0
        latestInflight = sample.delivered
    }

    mutating func updateCongestionSignals(_ sample: DeliverySample) {
        if sample.newlyLost > 0 {
            hasLossInRound = true
            lossEventsInRound += 1
        }
        lostInRound += sample.newlyLost
        ackedInRound += sample.newlyAcked
        guard isLossRoundStart else { return }
        // The draft lowers the bounds for any loss. Random losses below its own threshold then
        // cost a fifth of the bandwidth, so that a round has to pass the threshold here.
        let isOverThreshold = isTooHigh(inFlight: ackedInRound + lostInRound, lost: lostInRound)
        if isOverThreshold, !isProbingBandwidth { lowerBounds() }
        hasLossInRound = false
        lostInRound = 0
        ackedInRound = 0
    }

    private mutating func lowerBounds() {
        if bandwidthLow == .infinity { bandwidthLow = maximumBandwidth }
        if inflightShort == .max { inflightShort = window }
        bandwidthLow = max(latestBandwidth, BBR.beta * bandwidthLow)
        inflightShort = max(latestInflight, Int(BBR.beta * Double(inflightShort)))
    }

    mutating func resetLowerBounds() {
        bandwidthLow = .infinity
        inflightShort = .max
    }

    mutating func resetCongestionSignals() {
        hasLossInRound = false
        latestBandwidth = 0
        latestInflight = 0
    }

    /// States in which losses are what probing asked for.
    private var isProbingBandwidth: Bool {
        state == .startup || state == .probeRefill || state == .probeUp
    }

    // MARK: Long-term bound

    /// More than the threshold was lost of what was in flight with a packet.
    func isTooHigh(inFlight: Int, lost: Int) -> Bool {
        lost > 0 && Double(lost) > Double(inFlight) * BBR.lossThreshold
    }

    mutating func packetLost(
        bytes: Int, _ record: DeliveryRecord, lostInAll: Int, now: Int64
    ) {
        if !hasLossInRound {
            // A new round of losses ends when what is sent from now on is acknowledged.
            lossRoundEnd = delivered
            hasLossInRound = true
        }
        guard takesProbeSamples else { return }
        let lost = lostInAll - record.lost
        guard isTooHigh(inFlight: record.inFlight, lost: lost) else { return }
        // How much was in flight when the threshold was passed, somewhere within this packet.
        let inFlightBefore = Double(record.inFlight - bytes)
        let lostBefore = Double(lost - bytes)
        let prefix =
            (BBR.lossThreshold * inFlightBefore - lostBefore) / (1 - BBR.lossThreshold)
        handleTooHigh(
            inFlight: Int(max(0, inFlightBefore + prefix)),
            isApplicationLimited: record.isApplicationLimited, now: now)
    }

    mutating func handleTooHigh(inFlight: Int, isApplicationLimited: Bool, now: Int64) {
        // Once per probe.
        takesProbeSamples = false
        if !isApplicationLimited {
            let target = min(product(maximumBandwidth, 1), window)
            inflightLong = max(
                inFlight, Int(BBR.beta * Double(target)), minimumWindow)
        }
        if state == .probeUp { startProbeDown(now: now) }
    }

    // MARK: Aggregation (§5.5.9)

    mutating func updateAggregation(_ sample: DeliverySample, now: Int64) {
        var expected = bandwidth * Double(now - extraAckedStart) / 1e9
        if Double(extraAckedDelivered) <= expected {
            extraAckedDelivered = 0
            extraAckedStart = now
            expected = 0
        }
        extraAckedDelivered += sample.newlyAcked
        let extra = min(window, extraAckedDelivered - Int(expected))
        if isRoundStart {
            extraAckedRoundCount += 1
            if extraAckedRoundCount >= (isFullBandwidthReached ? BBR.extraAckedRounds : 1) {
                extraAckedRoundCount = 0
                lastExtraAcked = extraAcked
                extraAcked = 0
            }
        }
        extraAcked = max(extraAcked, extra)
    }

    // MARK: Round trips (§5.3.4)

    mutating func updateMinimumRoundTrip(_ acked: AckedPackets) {
        let now = acked.now
        isProbeRTTExpired =
            probeRTTMinimum != .max && now > probeRTTMinimumTime + BBR.probeRTTInterval
        let latest = acked.roundTrip.latest
        if latest < probeRTTMinimum || isProbeRTTExpired {
            probeRTTMinimum = latest
            probeRTTMinimumTime = now
        }
        let isOld =
            minimumRoundTrip != .max && now > minimumRoundTripTime + BBR.minimumRoundTripLife
        if probeRTTMinimum < minimumRoundTrip || isOld {
            minimumRoundTrip = probeRTTMinimum
            minimumRoundTripTime = probeRTTMinimumTime
        }
    }
}
