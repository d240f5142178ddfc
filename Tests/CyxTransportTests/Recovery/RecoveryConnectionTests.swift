import CyxCore
import Testing

@testable import CyxTransport

/// What RFC 9002 and RFC 9000 §13 ask of both ends of a connection.
@Suite struct RecoveryConnectionTests {
    /// The only connection of a node, as a value.
    private func connection(_ pair: Pair, _ index: Int) throws -> Connection {
        let handle = try #require(pair.nodes[index].machine.links.keys.first)
        return try #require(pair.nodes[index].machine.endpoint[handle])
    }

    @Test(arguments: [UInt64(0), 20])
    func whoOnlyReceivesKeepsItsAcknowledgmentsShort(loss: UInt64) throws {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        let handle = try #require(pair.nodes[1].machine.links.keys.first)
        pair.nodes[1].echoes = false
        pair.faults.loss = loss
        pair.faults.rate = 20_000_000
        for _ in 0..<2 { _ = pair.call(0, 1, pattern(8 << 20), timeout: .seconds(60)) }
        var ranges = 0
        var unsettled = 0
        pair.run(.seconds(30)) { pair in
            ranges = max(ranges, pair.nodes[1].machine.endpoint[handle]?.received.ranges.count ?? 0)
            unsettled = max(unsettled, pair.nodes[1].machine.endpoint[handle]?.sent.count ?? 0)
            return pair.nodes[1].requests.count == 3
        }
        #expect(pair.nodes[1].requests.count == 3)
        #expect(ranges < 48)
        #expect(unsettled < 1000)
    }

    /// The first answer comes after the first message was repeated: as an answer to the repetition
    /// it would be half as old as the round trip.
    @Test func anAnswerToARepeatedMessageIsNoRoundTripSample() throws {
        var pair = Pair(timings: .production)
        pair.introduce()
        pair.faults.delay = 200_000_000
        let id = pair.call(0, 1, [1])
        let isAnswered = pair.result(0, id) == .success([1])
        #expect(isAnswered)
        let minimum = try connection(pair, 0).roundTrip.minimum
        #expect(minimum >= 400_000_000)
    }

    @Test func theSpinBitDiffersByConnectionID() throws {
        var bits: Set<UInt8> = []
        for seed in UInt64(1)...12 {
            var pair = Pair(seed: seed)
            pair.introduce()
            var own: [ConnectionID: Set<UInt8>] = [:]
            pair.filter = { flight in
                flight.bytes.withUnsafeBytes { bytes in
                    guard let header = ShortHeader(bytes) else { return }
                    own[header.destination, default: []].insert(
                        bytes[0] & PacketFormat.spinBit)
                }
                return true
            }
            for _ in 0..<5 { _ = pair.result(0, pair.call(0, 1, pattern(3000))) }
            for values in own.values {
                #expect(values.count == 1)
                bits.formUnion(values)
            }
        }
        #expect(bits == [0, PacketFormat.spinBit])
    }

    /// Packets overtake each other by up to 6 ms. What they lose by that at first, they wait for
    /// later on: hardly anything is sent twice.
    @Test func packetsThatAreOnlyLateAreWaitedFor() throws {
        var pair = Pair(timings: .production)
        pair.introduce()
        pair.nodes[1].echoes = false
        pair.faults = LinkFaults(delay: 8_000_000, jitter: 6_000_000)
        let size = 2 << 20
        var extra: [Double] = []
        for count in 1...4 {
            let before = pair.nodes[0].datagramsSent
            _ = pair.call(0, 1, pattern(size), timeout: .seconds(60))
            let isArrived = pair.run(.seconds(60)) { $0.nodes[1].requests.count == count }
            #expect(isArrived)
            let sent = Double(pair.nodes[0].datagramsSent - before)
            extra.append(sent / (Double(size) / 1420) - 1)
        }
        #expect(extra[3] < 0.05, "sent beyond what was needed, by transfer: \(extra)")
    }

    /// The threshold and the wait grow with what is seen, and no further than their bounds.
    @Test func waitingForLatePacketsIsBounded() {
        var reordering = Reordering()
        reordering.lost(10, timeSent: 0)
        // Another packet's acknowledgment teaches nothing.
        reordering.acknowledged(11, 30, largest: 30, now: 1_000, roundTrip: 800)
        #expect(reordering.packetThreshold == 3 && reordering.waitEighths == 1)
        reordering.acknowledged(5, 30, largest: 30, now: 1_000, roundTrip: 800)
        #expect(reordering.packetThreshold == 21 && reordering.waitEighths == 3)
        // Once.
        reordering.acknowledged(5, 90, largest: 90, now: 9_000, roundTrip: 800)
        #expect(reordering.packetThreshold == 21 && reordering.waitEighths == 3)
        for number in UInt64(100)..<1000 { reordering.lost(number, timeSent: 0) }
        reordering.acknowledged(0, 9_999, largest: 9_999, now: 99_000, roundTrip: 800)
        #expect(reordering.packetThreshold == Reordering.packetThresholdMax)
        #expect(reordering.waitEighths == Reordering.extraWait.upperBound)
    }

    @Test func persistentCongestionForgetsTheLeastRoundTrip() throws {
        var time = RoundTripTime(initial: 100)
        time.update(sample: 10_000_000, acknowledgmentDelay: 0)
        time.update(sample: 90_000_000, acknowledgmentDelay: 0)
        #expect(time.minimum == 10_000_000)
        time.forgetMinimum()
        #expect(time.minimum == 90_000_000)
        time.update(sample: 80_000_000, acknowledgmentDelay: 0)
        #expect(time.minimum == 80_000_000)
    }
}
