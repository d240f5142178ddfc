import CyxCore
import Testing

@testable import CyxTransport

@Suite struct RangeSetTests {
    @Test func insertionsAndRemovalsMatchASetOfNumbers() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            var ranges = RangeSet()
            var model: Set<UInt64> = []
            for _ in 0..<60 {
                let low = generator.next() % 100
                let range = low..<low + generator.next() % 12
                if generator.next() % 3 == 0 {
                    ranges.remove(range)
                    model.subtract(range)
                } else {
                    ranges.insert(range)
                    model.formUnion(range)
                }
                #expect(ranges.ranges.flatMap { Array($0) } == model.sorted())
                for index in 1..<max(1, ranges.count) {
                    #expect(ranges[index - 1].upperBound < ranges[index].lowerBound)
                }
                let probe = generator.next() % 115
                #expect(ranges.contains(probe) == model.contains(probe))
            }
        }
    }

    @Test func forgettingBelowABoundCutsRanges() {
        var ranges = RangeSet()
        ranges.insert(0..<5)
        ranges.insert(8..<12)
        ranges.removeBelow(9)
        #expect(ranges.ranges == [9..<12])
        ranges.removeBelow(40)
        #expect(ranges.isEmpty)
    }
}

@Suite struct AcknowledgmentTests {
    @Test func anAckFrameSaysWhatWasReceived() throws {
        var ranges = RangeSet()
        for range in [3..<4, 6..<10, 100..<200, 5000..<5001] as [Range<UInt64>] {
            ranges.insert(range)
        }
        let buffer = PacketBuffer(byteCount: 200)
        var writer = PacketWriter(buffer.bytes)
        let isWritten = writer.writeAcknowledgment(ranges, delayNanoseconds: 80_000)
        #expect(isWritten)
        var decoder = FrameDecoder(
            UnsafeRawBufferPointer(rebasing: buffer.bytes[..<writer.offset]))
        guard case .acknowledgment(let frame)? = try decoder.next() else {
            Issue.record("not an ACK frame")
            return
        }
        var seen = RangeSet()
        try frame.forEachRange { seen.insert($0.lowerBound..<$0.upperBound + 1) }
        #expect(seen == ranges)
        #expect(frame.largest == 5000)
        #expect(frame.delay == 80_000)
        let end = try decoder.next()
        #expect(end == nil)
    }

    @Test func duplicatesAreKnownHoweverManyGapsThereWere() {
        var received = ReceivedPackets()
        var taken: Set<UInt64> = []
        var generator = SeededGenerator(seed: 9)
        for _ in 0..<5000 {
            let number = generator.next() % 2000
            if received.isDuplicate(number) {
                continue
            }
            let isNew = taken.insert(number).inserted
            #expect(isNew)
            received.insert(number, isAckEliciting: true, now: 0, maximumDelay: 1)
            #expect(received.ranges.count <= ReceivedPackets.rangesMax)
        }
    }

    @Test func theSecondPacketAndAGapAreAcknowledgedAtOnce() {
        var received = ReceivedPackets()
        received.insert(0, isAckEliciting: true, now: 10, maximumDelay: 5)
        #expect(!received.isAcknowledgmentDue)
        #expect(received.deadline == 15)
        received.insert(1, isAckEliciting: true, now: 11, maximumDelay: 5)
        #expect(received.isAcknowledgmentDue)
        received.acknowledged()
        #expect(received.deadline == nil)
        received.insert(3, isAckEliciting: true, now: 12, maximumDelay: 5)
        #expect(received.isAcknowledgmentDue)
    }
}

@Suite struct RoundTripTests {
    @Test func estimatesFollowRFC9002() {
        var time = RoundTripTime(initial: 100)
        time.update(sample: 40_000_000, acknowledgmentDelay: 5_000_000)
        #expect(time.smoothed == 40_000_000)
        #expect(time.variance == 20_000_000)
        time.update(sample: 60_000_000, acknowledgmentDelay: 12_000_000)
        // 60 − 12 = 48: (7·40 + 48)/8 and (3·20 + 8)/4.
        #expect(time.smoothed == 41_000_000)
        #expect(time.variance == 17_000_000)
        #expect(time.minimum == 40_000_000)
        // The delay is not taken off where that would fall below the minimum.
        time.update(sample: 41_000_000, acknowledgmentDelay: 12_000_000)
        #expect(time.smoothed == 41_000_000)
        #expect(time.probeTimeout(maximumAcknowledgmentDelay: 0) == 41_000_000 + 4 * 12_750_000)
        #expect(time.lossDelay() == 41_000_000 * 9 / 8)
    }
}
