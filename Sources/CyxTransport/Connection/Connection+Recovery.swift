internal import CyxCore

/// Acknowledgments, losses and probes (RFC 9002 §5, §6 and appendix A).
extension Connection {
    /// Packets sent when a probe timeout fires (§6.2.4).
    static let probesPerTimeout = 2
    /// Probe timeouts that a persistent congestion spans (§7.6.1).
    static let persistentCongestionThreshold: Int64 = 3
    /// Probe timeouts without an answer before a peer may count as gone.
    static let unansweredProbesMin = 2
    /// Probe timeouts in a row after which the path may have lost its MTU (RFC 8899 §4.3).
    static let largeProbesMax = 2

    /// Takes a sample of the round trip. What takes longer than a peer's silence is borne was no
    /// network but a process that stood still; its sample would put off probes and losses for as
    /// long again.
    mutating func measured(_ sample: Int64, acknowledgmentDelay: Int64) {
        guard sample <= timings.unresponsiveAfter.nanoseconds else { return }
        roundTrip.update(sample: sample, acknowledgmentDelay: acknowledgmentDelay)
    }

    mutating func handleAcknowledgment(_ frame: AckFrame, now: Int64) throws(TransportError) {
        guard frame.largest < sent.nextNumber else { throw .protocolViolation }
        try keys?.acknowledged(frame.largest, now: now)
        guard frame.largest >= sent.firstNumber else { return }
        let wasLimited = isApplicationLimited
        var largestNew: SentPacket?
        if let packet = sent.packet(frame.largest), packet.state == .outstanding {
            largestNew = packet
        }
        let acked = try settleAcknowledged(frame, now: now)
        guard acked.count > 0 else { return }
        largestAcknowledged = max(largestAcknowledged ?? 0, frame.largest)
        // What was sent on another path tells nothing about this one.
        if let largestNew, largestNew.size > 0, acked.hasAckEliciting {
            measured(
                now - largestNew.timeSent,
                acknowledgmentDelay: min(frame.delay, peerAckDelayMax))
        }
        if ecn.acknowledged(largest: frame.largest, counts: frame.ecn, marked: acked.marked) {
            congestion.congested(timeSent: acked.latestSent, now: now)
        }
        path.mtu.acknowledged(size: acked.largestSize)
        probeCount = 0
        detectLoss(now: now)
        let minimum = roundTrip.minimum
        let delivery = path.delivery?.takeSample(minimumRoundTrip: minimum)
        congestion.acknowledged(
            AckedPackets(
                bytes: acked.bytes, latestSent: acked.latestSent, largest: frame.largest,
                nextNumber: sent.nextNumber, now: now, roundTrip: roundTrip,
                bytesInFlight: sent.bytesInFlight, isApplicationLimited: wasLimited,
                isWindowLimited: frame.largest <= windowLimitedAt,
                delivery: delivery))
        sent.trim()
    }

    /// Frames of one stream, each beginning where the one before ended, as most do: they are
    /// acknowledged in one go.
    private struct AcknowledgedRun {
        var id: StreamID
        var offset: UInt64
        var length: Int
        var isFinal: Bool
    }

    private struct Acknowledged {
        var run: AcknowledgedRun?
        var count = 0
        var bytes = 0
        var latestSent: Int64 = .min
        var hasAckEliciting = false
        /// Of packets that are no probe of the path's MTU.
        var largestSize = 0
        /// Packets sent with ECT(0).
        var marked: UInt64 = 0
    }

    private mutating func settleAcknowledged(
        _ frame: AckFrame, now: Int64
    ) throws(TransportError) -> Acknowledged {
        // Lowest range first, so that the frame cursor only moves forward. They come highest first,
        // and mostly there is one.
        var acked = Acknowledged()
        var cursor = SentPackets.FrameCursor()
        let lowest = frame.largest - frame.firstLength
        guard !skips.areTouched(by: lowest, frame.largest) else { throw .protocolViolation }
        let trip = roundTrip.longer
        path.reordering.acknowledged(
            lowest, frame.largest, largest: frame.largest, now: now, roundTrip: trip)
        guard frame.rangeCount > 0 else {
            settleRange(lowest, frame.largest, &cursor, &acked, now: now)
            endRun(&acked)
            return acked
        }
        ackRanges.removeAll(keepingCapacity: true)
        let first = sent.firstNumber
        var isHonest = true
        try frame.forEachRange { range in
            path.reordering.acknowledged(
                range.lowerBound, range.upperBound, largest: frame.largest, now: now,
                roundTrip: trip)
            guard range.upperBound >= first else { return }
            if skips.areTouched(by: range.lowerBound, range.upperBound) { isHonest = false }
            ackRanges.append(range)
        }
        guard isHonest else { throw .protocolViolation }
        while let range = ackRanges.popLast() {
            settleRange(range.lowerBound, range.upperBound, &cursor, &acked, now: now)
        }
        endRun(&acked)
        return acked
    }

    private mutating func settleRange(
        _ lowest: UInt64, _ highest: UInt64, _ cursor: inout SentPackets.FrameCursor,
        _ acked: inout Acknowledged, now: Int64
    ) {
        var number = max(lowest, sent.firstNumber)
        while number <= highest {
            defer { number += 1 }
            guard let packet = sent.packet(number), packet.state == .outstanding else { continue }
            acked.count += 1
            acked.latestSent = max(acked.latestSent, packet.timeSent)
            if packet.isMarked { acked.marked += 1 }
            if packet.isAckEliciting {
                acked.hasAckEliciting = true
                acked.bytes += Int(packet.size)
                if !packet.isMTUProbe {
                    acked.largestSize = max(acked.largestSize, Int(packet.size))
                }
                if sent.keepsRecords { noteDelivery(number, packet, now: now) }
            }
            let frames = sent.settle(number, as: .acknowledged, cursor: &cursor)
            for index in frames { frameAcknowledged(sent.frame(at: index), &acked, now: now) }
        }
    }

    private mutating func noteDelivery(_ number: UInt64, _ packet: SentPacket, now: Int64) {
        guard packet.size > 0, let record = sent.record(number) else { return }
        path.delivery?.acknowledged(
            record, bytes: Int(packet.size), timeSent: packet.timeSent, now: now)
    }

    private mutating func noteLoss(_ number: UInt64, _ packet: SentPacket, now: Int64) {
        guard packet.size > 0, let record = sent.record(number) else { return }
        path.delivery?.lost(bytes: Int(packet.size))
        let lost = path.delivery?.lost ?? 0
        congestion.packetLost(bytes: Int(packet.size), record, lostInAll: lost, now: now)
    }

    private mutating func endRun(_ acked: inout Acknowledged) {
        guard let run = acked.run else { return }
        acked.run = nil
        if streams.acknowledge(
            run.id, offset: run.offset, length: run.length, isFinal: run.isFinal)
        {
            finishIfDone(run.id)
        }
    }

    private mutating func frameAcknowledged(
        _ frame: SentFrame, _ acked: inout Acknowledged, now: Int64
    ) {
        switch frame {
        case .stream(let id, let offset, let length, let isFinal):
            if let run = acked.run, run.id == id, run.offset + UInt64(run.length) == offset {
                acked.run?.length += length
                acked.run?.isFinal = run.isFinal || isFinal
            } else {
                endRun(&acked)
                acked.run = AcknowledgedRun(
                    id: id, offset: offset, length: length, isFinal: isFinal)
            }
        case .resetStream(let id):
            streams[id]?.send?.resetAcknowledged()
            finishIfDone(id)
        case .acknowledgment(let below): received.forget(below: below)
        case .mtuProbe(let size): path.updateMTU { $0.probeAcknowledged(size, now: now) }
        case .maxData, .maxStreamData, .maxStreams, .stopSending, .handshakeDone, .datagram,
            .newConnectionID, .retireConnectionID:
            break
        }
    }

    /// Declares packets lost that are far enough behind the largest acknowledged one.
    mutating func detectLoss(now: Int64) {
        lossTime = nil
        guard let largest = largestAcknowledged, largest >= sent.firstNumber else { return }
        let delay = roundTrip.lossDelay(eighths: path.reordering.waitEighths)
        let threshold = path.reordering.packetThreshold
        var cursor = SentPackets.FrameCursor()
        var lastLost: SentPacket?
        var firstLost: SentPacket?
        var largestSize = 0
        var lossSpan: Int64 = 0
        var number = sent.firstNumber
        while number < largest {
            defer { number += 1 }
            guard let packet = sent.packet(number), packet.state == .outstanding else {
                // One that arrived ends a run of losses.
                if sent.packet(number)?.state == .acknowledged { firstLost = nil }
                continue
            }
            guard
                largest - number >= threshold || packet.timeSent <= now - delay
            else {
                lossTime = packet.timeSent + delay
                break
            }
            trace?.lost(number, now: now)
            let frames = sent.settle(number, as: .lost, cursor: &cursor)
            for index in frames { frameLost(sent.frame(at: index), now: now) }
            if packet.isMarked { ecn.packetLost() }
            if packet.isAckEliciting, !packet.isMTUProbe, packet.size > 0 {
                largestSize = max(largestSize, Int(packet.size))
                let first = firstLost ?? packet
                firstLost = first
                lossSpan = max(lossSpan, packet.timeSent - first.timeSent)
                lastLost = packet
                path.reordering.lost(number, timeSent: packet.timeSent)
                if sent.keepsRecords { noteLoss(number, packet, now: now) }
            }
        }
        if let lastLost {
            congestion.congested(timeSent: lastLost.timeSent, now: now)
            path.updateMTU { $0.lost(size: largestSize, timeSent: lastLost.timeSent, now: now) }
            let span =
                roundTrip.probeTimeout(maximumAcknowledgmentDelay: peerAckDelayMax)
                * Connection.persistentCongestionThreshold
            if roundTrip.hasSample, lossSpan > span {
                congestion.persistentCongestion()
                roundTrip.forgetMinimum()
            }
        }
        sent.trim()
    }

    private mutating func frameLost(_ frame: SentFrame, now: Int64) {
        switch frame {
        case .stream(let id, let offset, let length, let isFinal):
            streams[id]?.send?.lose(offset: offset, length: length, isFinal: isFinal)
            streams.enqueue(id)
        case .acknowledgment, .datagram: break
        case .mtuProbe(let size): path.updateMTU { $0.probeLost(size, now: now) }
        case .maxData: control.add(.maxData)
        case .maxStreamData(let id):
            if streams[id]?.receive.finalSize == nil { control.add(.maxStreamData(id)) }
        case .maxStreams: control.add(.maxStreams)
        case .resetStream(let id): control.add(.resetStream(id))
        case .stopSending(let id): control.add(.stopSending(id))
        case .handshakeDone: control.add(.handshakeDone)
        case .newConnectionID(let sequence):
            if localIDs.entry(sequence) != nil { control.add(.newConnectionID(sequence)) }
        case .retireConnectionID(let sequence): control.add(.retireConnectionID(sequence))
        }
    }

    /// Repeats the oldest unanswered packets' contents, or declares the peer gone.
    mutating func probeTimedOut(now: Int64) {
        if let since = unansweredSince, probeCount >= Connection.unansweredProbesMin,
            now - since >= timings.unresponsiveAfter.nanoseconds
        {
            return close(.unresponsive, telling: nil)
        }
        probeCount += 1
        returnIfUnfollowed(now: now)
        if probeCount == Connection.doubtfulProbes { events.append(.pathDoubtful) }
        probesDue = Connection.probesPerTimeout
        if !isConfirmed { isHandshakeDue = true }
        // Perhaps only large packets are lost: what repeats their contents had better be small.
        if probeCount >= Connection.largeProbesMax { path.updateMTU { $0.fallBack() } }
        var frames: [SentFrame] = []
        sent.forEachOutstandingFrame(packets: Connection.probesPerTimeout) { frames.append($0) }
        for frame in frames {
            // The probe may still be answered; it has no contents to repeat.
            if case .mtuProbe = frame { continue }
            frameLost(frame, now: now)
        }
    }
}
