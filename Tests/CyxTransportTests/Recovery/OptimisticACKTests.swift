import CyxCore
import Testing

@testable import CyxTransport

/// RFC 9000 §21.4.
@Suite struct OptimisticACKTests {
    private static let seconds = 2.0
    /// What the link carries, in bytes per second.
    private static let rate = 1_000_000

    /// Node 0 answers node 1's wish for much more than the link carries in the time. With
    /// `isHonest` false, node 1 acknowledges whatever node 0 has sent, and finds out how much that
    /// is better than any real attacker could.
    private func run(
        isHonest: Bool, sparing: UInt64 = .max, defences: TransportDefences
    ) -> Pair {
        var limits = TransportLimits()
        limits.streamWindow = 8 << 20
        limits.connectionWindow = 64 << 20
        limits.connectionWindowMax = 64 << 20
        var pair = Pair(timings: .production, limits: limits) { $0.defences = defences }
        pair.introduce()
        pair.faults.rate = Int64(OptimisticACKTests.rate)
        for _ in 0..<8 { _ = pair.call(0, 1, pattern(8 << 20)) }
        let end = pair.now + Int64(OptimisticACKTests.seconds * 1e9)
        while pair.now < end, pair.step(until: end) {
            if !isHonest { acknowledgeEverything(&pair, sparing: sparing) }
        }
        return pair
    }

    /// All but each `sparing`th number.
    private func acknowledgeEverything(_ pair: inout Pair, sparing: UInt64) {
        guard let victim = pair.nodes[0].machine.links.keys.first,
            let own = pair.nodes[1].machine.links.keys.first,
            let sent = pair.nodes[0].machine.endpoint[victim]?.sent.nextNumber,
            let largest = pair.nodes[1].machine.endpoint[own]?.received.largest
        else { return }
        var number = largest + 1
        while number < sent {
            defer { number += 1 }
            if number % sparing == sparing - 1 { continue }
            pair.nodes[1].machine.endpoint[own]?.received.insert(
                number, isAckEliciting: true, now: pair.now, maximumDelay: 0)
        }
        pair.settle(1)
    }

    @Test(arguments: [UInt64.max, 11])
    func aPeerThatAcknowledgesWhatItDidNotGetIsCutOff(sparing: UInt64) {
        let pair = run(isHonest: false, sparing: sparing, defences: .all)
        #expect(pair.nodes[0].closed == [.local(.protocolViolation)])
        // Not much more than the first skip was sent by then.
        #expect(pair.nodes[0].datagramsSent < 200)
    }

    @Test func withoutTheDefenceItDrivesTheRateFarBeyondThePaths() {
        let carried = Int(OptimisticACKTests.seconds * Double(OptimisticACKTests.rate)) / 1200
        let honest = run(isHonest: true, defences: .all)
        #expect(honest.nodes[0].closed.isEmpty)
        #expect(honest.nodes[0].datagramsSent < 2 * carried)
        let attacked = run(
            isHonest: false, defences: TransportDefences.all.subtracting(.optimisticACK))
        #expect(attacked.nodes[0].closed.isEmpty)
        #expect(attacked.nodes[0].datagramsSent > 5 * carried)
    }

    @Test func skipsAreApartByTheirIntervalAndDifferBySeed() {
        var all: [[UInt64]] = []
        for seed in UInt64(1)...20 {
            var skips = PacketSkips(seed: seed)
            #expect((1...PacketSkips.firstWithin).contains(skips.next))
            var seen: [UInt64] = []
            for _ in 0..<50 {
                let next = skips.next
                skips.skipped()
                seen.append(next)
                #expect(PacketSkips.interval.contains(skips.next - next))
                #expect(skips.areTouched(by: next, next))
                #expect(!skips.areTouched(by: next + 1, skips.next))
            }
            all.append(seen)
        }
        #expect(Set(all).count == all.count)
        let none = PacketSkips(seed: nil)
        #expect(none.next == .max)
    }

    @Test func aSkipBelowWhatIsOutstandingIsStillNoticed() {
        var skips = PacketSkips(seed: 4)
        let skip = skips.next
        skips.skipped()
        #expect(skips.areTouched(by: 0, skip + 10))
        #expect(!skips.areTouched(by: skip + 1, skip + 10))
    }
}
