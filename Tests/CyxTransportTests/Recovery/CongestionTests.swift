import CyxCore
import Testing

@testable import CyxTransport

/// Acknowledgments of a path with a fixed round trip, for controllers alone.
struct AckSource {
    var now: Int64 = 1_000_000_000
    var number: UInt64 = 0
    var roundTrip: Int64 = 100_000_000

    /// An ACK of `bytes` that were sent one round trip ago.
    mutating func next(
        _ bytes: Int, after: Int64, isLimited: Bool = false, latest: Int64? = nil
    ) -> AckedPackets {
        now += after
        number += 1
        var time = RoundTripTime(initial: roundTrip)
        time.update(sample: roundTrip, acknowledgmentDelay: 0)
        if let latest { time.update(sample: latest, acknowledgmentDelay: 0) }
        return AckedPackets(
            bytes: bytes, latestSent: now - roundTrip, largest: number, nextNumber: number + 20,
            now: now, roundTrip: time, bytesInFlight: 0, isApplicationLimited: isLimited,
            isWindowLimited: !isLimited, delivery: nil)
    }
}

@Suite struct CubicTests {
    @Test func slowStartDoublesPerRoundTrip() {
        var cubic = Cubic(packetSize: 1400)
        var acks = AckSource()
        let start = cubic.window
        cubic.acknowledged(acks.next(start, after: 1))
        #expect(cubic.window == 2 * start)
        cubic.acknowledged(acks.next(start, after: 1, isLimited: true))
        #expect(cubic.window == 2 * start)
    }

    /// A controller after a loss at a window of `window` bytes.
    private func afterLoss(_ window: Int, _ acks: inout AckSource) -> Cubic {
        var cubic = Cubic(packetSize: 1000)
        while cubic.window < window {
            cubic.acknowledged(acks.next(min(cubic.window, window - cubic.window), after: 1))
        }
        acks.now += acks.roundTrip
        cubic.lost(timeSent: acks.now - 2, now: acks.now)
        cubic.lost(timeSent: acks.now - 1, now: acks.now)
        acks.now += acks.roundTrip
        return cubic
    }

    @Test func oneLossEventShrinksTheWindowOnceAndItReturnsAfterK() {
        var acks = AckSource()
        let before = 400_000
        var cubic = afterLoss(before, &acks)
        #expect(cubic.window == before * 7 / 10)
        // K = ∛(W_max (1 − β) / C) seconds, in segments (RFC 9438 §4.2).
        let segments = Double(before) / 1000 * 0.3 / 0.4
        var k = 1.0
        while k * k * k < segments { k += 0.001 }
        let start = acks.now
        var reached: Double?
        for _ in 0..<200 where reached == nil {
            cubic.acknowledged(acks.next(cubic.window, after: acks.roundTrip))
            if cubic.window >= before { reached = Double(acks.now - start) / 1e9 }
        }
        let seconds = reached ?? 0
        #expect(abs(seconds - k) < 0.1 * k, "reached after \(seconds) s, K is \(k) s")
    }

    @Test func timeWithoutEnoughDataDoesNotCount() {
        var acks = AckSource()
        var cubic = afterLoss(400_000, &acks)
        for _ in 0..<10 { cubic.acknowledged(acks.next(cubic.window, after: acks.roundTrip)) }
        let window = cubic.window
        // A minute with little to send: neither growth then nor a jump afterwards.
        for _ in 0..<600 {
            cubic.acknowledged(acks.next(1000, after: acks.roundTrip, isLimited: true))
        }
        #expect(cubic.window == window)
        cubic.acknowledged(acks.next(cubic.window, after: acks.roundTrip))
        #expect(cubic.window < window * 105 / 100)
    }

    @Test func onShortPathsItGrowsLikeReno() {
        var acks = AckSource(roundTrip: 1_000_000)
        var cubic = afterLoss(100_000, &acks)
        let start = cubic.window
        // α = 3 (1 − β) / (1 + β) = 0.53 packets per round trip (RFC 9438 §4.3), where the cubic
        // function itself would hardly move within 20 ms.
        for _ in 0..<20 { cubic.acknowledged(acks.next(cubic.window, after: acks.roundTrip)) }
        let grown = Double(cubic.window - start) / 1000
        #expect(abs(grown - 20 * 0.53) < 1)
    }

    @Test func risingRoundTripsEndSlowStartBeforeALoss() {
        func grow(_ roundTrip: (Int) -> Int64) -> Cubic {
            var cubic = Cubic(packetSize: 1000)
            var acks = AckSource()
            // Rounds of 20 ACKs.
            for index in 0..<400 {
                cubic.acknowledged(
                    acks.next(2000, after: 5_000_000, latest: roundTrip(index / 20)))
            }
            return cubic
        }
        let steady = grow { _ in 100_000_000 }
        #expect(steady.isInSlowStart && steady.window == 832_000)
        let rising = grow { 100_000_000 + Int64($0) * 15_000_000 }
        #expect(!rising.isInSlowStart)
        #expect(rising.window < 300_000)
        // A single slow round is not a queue.
        let passing = grow { $0 == 3 ? 120_000_000 : 100_000_000 }
        #expect(passing.isInSlowStart)
    }

    @Test func persistentCongestionStartsOver() {
        var acks = AckSource()
        var cubic = afterLoss(400_000, &acks)
        cubic.persistentCongestion()
        #expect(cubic.window == 2000)
        cubic.acknowledged(acks.next(2000, after: acks.roundTrip))
        #expect(cubic.window == 4000)
    }
}

@Suite struct PacerTests {
    @Test func anIdlePathTakesAnInitialWindowAtOnceAndThenTheRate() {
        var pacer = Pacer(packetSize: 1000)
        var now: Int64 = 5_000_000_000
        // 10 MB/s: trains of 10 packets each millisecond.
        var sent: [(time: Int64, packets: Int)] = []
        let end = now + 100_000_000
        while now < end {
            pacer.refill(rate: 10e6, now: now)
            var packets = 0
            while !pacer.isHolding {
                pacer.sent(1000)
                packets += 1
            }
            sent.append((now, packets))
            let next = pacer.deadline(now: now)
            #expect(next > now)
            now = next
        }
        #expect(sent[0].packets == Cubic.initialWindowPackets)
        #expect(sent.dropFirst().allSatisfy { $0.packets == 10 })
        let total = sent.dropFirst().reduce(0) { $0 + $1.packets }
        #expect((980...1010).contains(total))
    }

    @Test func fastPathsSendWholeSegmentedBatches() {
        var pacer = Pacer(packetSize: 1000)
        pacer.refill(rate: 1e9, now: 0)
        var packets = 0
        while !pacer.isHolding {
            pacer.sent(1000)
            packets += 1
        }
        #expect(packets == 2000)
        let next = pacer.deadline(now: 0)
        pacer.refill(rate: 1e9, now: next - 1000)
        #expect(pacer.isHolding)
        pacer.refill(rate: 1e9, now: next)
        #expect(!pacer.isHolding)
        #expect((63_000...66_000).contains(next))
    }

    @Test func aConnectionSpreadsItsPacketsOverTheRoundTrip() {
        var pair = Pair(timings: .production)
        pair.faults.delay = 50_000_000
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, pattern(400_000)))
        // A window of hundreds of packets is open: how many leave within each millisecond?
        var leaving: [Int64: Int] = [:]
        var last = pair.nodes[0].datagramsSent
        let call = pair.call(0, 1, pattern(400_000))
        leaving[0] = pair.nodes[0].datagramsSent - last
        let start = pair.now
        while pair.nodes[0].completed[call] == nil, pair.step(until: start + 1_000_000_000) {
            let sent = pair.nodes[0].datagramsSent - last
            last = pair.nodes[0].datagramsSent
            leaving[(pair.now - start) / 1_000_000, default: 0] += sent
        }
        #expect(leaving.values.max() ?? 0 < 3 * Cubic.initialWindowPackets)
        #expect(leaving.values.filter { $0 > 0 }.count > 15)
    }
}

@Suite struct DeliverySamplerTests {
    @Test func theRateIsWhatWasDeliveredOverTheLongerInterval() throws {
        var sampler = DeliverySampler()
        var records: [DeliveryRecord] = []
        // Ten packets at 1 ms, acknowledged from 20 ms on at 2 ms each.
        for index in 0..<10 {
            records.append(
                sampler.sent(bytes: 1000, inFlight: index * 1000, now: Int64(index) * 1_000_000))
        }
        var sample: DeliverySample?
        for index in 0..<10 {
            sampler.acknowledged(
                records[index], bytes: 1000, timeSent: Int64(index) * 1_000_000,
                now: 20_000_000 + Int64(index) * 2_000_000)
            sample = sampler.takeSample(minimumRoundTrip: 20_000_000)
        }
        let last = try #require(sample)
        // 10,000 bytes in 38 ms, as nothing was delivered before them.
        #expect(abs((last.rate ?? 0) - 10_000 / 0.038) < 1)
        #expect(last.delivered == 10_000 && last.deliveredInAll == 10_000)
        #expect(last.inFlight == 10_000 && last.newlyAcked == 1000)
        #expect(sampler.takeSample(minimumRoundTrip: 0) == nil)
        // The next packet's sample starts at the last delivery.
        let record = sampler.sent(bytes: 1000, inFlight: 1000, now: 40_000_000)
        #expect(record.delivered == 10_000 && record.deliveredTime == 38_000_000)
    }

    @Test func lossesAndWantOfDataAreNoted() throws {
        var sampler = DeliverySampler()
        let first = sampler.sent(bytes: 1000, inFlight: 0, now: 0)
        let second = sampler.sent(bytes: 1000, inFlight: 1000, now: 1)
        sampler.applicationLimited(inFlight: 2000)
        let third = sampler.sent(bytes: 1000, inFlight: 2000, now: 2)
        #expect(!first.isApplicationLimited && !second.isApplicationLimited)
        #expect(third.isApplicationLimited)
        sampler.lost(bytes: 1000)
        sampler.acknowledged(second, bytes: 1000, timeSent: 1, now: 100)
        let taken = sampler.takeSample(minimumRoundTrip: 0)
        let sample = try #require(taken)
        #expect(sample.lost == 1000 && sample.newlyLost == 1000)
        // Shorter than a round trip: no rate.
        #expect(sampler.takeSample(minimumRoundTrip: 0)?.rate == nil)
        sampler.acknowledged(third, bytes: 1000, timeSent: 2, now: 101)
        #expect(sampler.takeSample(minimumRoundTrip: 200)?.rate == nil)
    }
}
