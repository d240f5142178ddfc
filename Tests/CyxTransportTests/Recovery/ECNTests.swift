import CyxCore
import Testing

@testable import CyxTransport

/// RFC 9000 §13.4 and RFC 9002 §7.1.
@Suite struct ECNTests {
    /// A validation whose first packets are out.
    private func tested(_ packets: UInt64 = 10) -> ECNValidation {
        var ecn = ECNValidation()
        for _ in 0..<packets { ecn.packetSent() }
        return ecn
    }

    @Test func theFirstPacketsAreMarkedAndThenThePeersWordDecides() {
        var ecn = ECNValidation()
        for _ in 0..<ECNValidation.testPackets {
            #expect(ecn.mark == .ect0)
            ecn.packetSent()
        }
        #expect(ecn.mark == .notECT)
        let news = ecn.acknowledged(largest: 3, counts: ECNCounts(ect0: 4), marked: 4)
        #expect(!news)
        #expect(ecn.mark == .ect0)
    }

    @Test(arguments: [
        // No counts at all; too few; more than were sent; marks that nobody sends.
        nil, ECNCounts(ect0: 3), ECNCounts(ect0: 11), ECNCounts(ect0: 4, ce: 7),
        ECNCounts(ect0: 4, ect1: 1), ECNCounts(),
    ])
    func countsThatCannotBeEndIt(counts: ECNCounts?) {
        var ecn = tested()
        let news = ecn.acknowledged(largest: 3, counts: counts, marked: 4)
        #expect(!news)
        #expect(ecn.state == .failed)
        #expect(ecn.mark == .notECT)
    }

    @Test func countsThatShrinkEndIt() {
        var ecn = tested()
        _ = ecn.acknowledged(largest: 4, counts: ECNCounts(ect0: 4, ce: 1), marked: 5)
        #expect(ecn.state == .capable)
        _ = ecn.acknowledged(largest: 6, counts: ECNCounts(ect0: 7, ce: 0), marked: 2)
        #expect(ecn.state == .failed)
    }

    @Test func anOlderAcknowledgmentProvesNothing() {
        var ecn = tested()
        _ = ecn.acknowledged(largest: 8, counts: ECNCounts(ect0: 6, ce: 1), marked: 7)
        let news = ecn.acknowledged(largest: 5, counts: ECNCounts(ect0: 2), marked: 2)
        #expect(!news)
        #expect(ecn.state == .capable)
    }

    @Test func newMarksOfCongestionAreToldOnce() {
        var ecn = tested()
        let first = ecn.acknowledged(largest: 4, counts: ECNCounts(ect0: 4, ce: 1), marked: 5)
        let second = ecn.acknowledged(largest: 6, counts: ECNCounts(ect0: 6, ce: 1), marked: 2)
        let third = ecn.acknowledged(largest: 8, counts: ECNCounts(ect0: 6, ce: 3), marked: 2)
        #expect([first, second, third] == [true, false, true])
    }

    @Test func aPathThatLosesWhateverIsMarkedIsUsedWithout() {
        var ecn = tested()
        for _ in 0..<9 { ecn.packetLost() }
        #expect(ecn.state == .unknown)
        ecn.packetLost()
        #expect(ecn.state == .failed)
        // Another path has its own chance; the peer's counts go on.
        ecn.pathChanged()
        #expect(ecn.mark == .ect0)
        for _ in 0..<10 { ecn.packetSent() }
        _ = ecn.acknowledged(largest: 15, counts: ECNCounts(ect0: 6), marked: 6)
        #expect(ecn.state == .capable)
    }

    @Test(arguments: [ECNCounts(), ECNCounts(ect0: 70, ect1: 0, ce: 16_400)])
    func anAckFrameSaysWhatWasMarked(counts: ECNCounts) throws {
        var ranges = RangeSet()
        ranges.insert(3..<9)
        ranges.insert(20..<21)
        let buffer = PacketBuffer(byteCount: 200)
        var writer = PacketWriter(buffer.bytes)
        let isWritten = writer.writeAcknowledgment(ranges, delayNanoseconds: 0, ecn: counts)
        #expect(isWritten)
        writer.writePing()
        var decoder = FrameDecoder(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<writer.offset]))
        guard case .acknowledgment(let frame)? = try decoder.next(),
            case .ping? = try decoder.next()
        else {
            Issue.record("not an ACK and a PING")
            return
        }
        #expect(frame.ecn == (counts.isEmpty ? nil : counts))
        #expect(buffer.bytes[0] == (counts.isEmpty ? 2 : 3))
        #expect(frame.largest == 20)
    }

    @Test func aMarkOfCongestionIsAcknowledgedAtOnceAndCountedOnce() {
        var received = ReceivedPackets()
        received.insert(0, isAckEliciting: true, now: 0, maximumDelay: 5, ecn: .ect0)
        #expect(!received.isAcknowledgmentDue)
        received.acknowledged()
        received.insert(1, isAckEliciting: true, now: 0, maximumDelay: 5, ecn: .ce)
        #expect(received.isAcknowledgmentDue)
        #expect(received.ecnCounts == ECNCounts(ect0: 1, ect1: 0, ce: 1))
    }

    // MARK: Connections

    private func transfer(_ pair: inout Pair, count: Int = 4) {
        pair.introduce()
        for _ in 0..<count {
            let body = pattern(1 << 20)
            let id = pair.call(0, 1, body, timeout: .seconds(60))
            let isAnswered = pair.result(0, id) == .success(body)
            #expect(isAnswered)
        }
    }

    private func states(_ pair: Pair) -> [ECNValidation.State] {
        pair.nodes.flatMap { node in
            node.machine.links.keys.compactMap { node.machine.endpoint[$0]?.ecn.state }
        }
    }

    @Test func marksAreUsedWhereThePathCarriesThem() {
        var pair = Pair(timings: .production)
        pair.faults = LinkFaults(loss: 20, duplication: 30, delay: 5_000_000, jitter: 4_000_000)
        transfer(&pair)
        #expect(states(pair) == [.capable, .capable])
    }

    @Test(arguments: [ECNCodepoint.notECT, .ect1])
    func marksAreGivenUpWhereThePathChangesThem(mark: ECNCodepoint) {
        var pair = Pair(timings: .production)
        pair.faults.remarks = { _ in mark }
        transfer(&pair, count: 1)
        #expect(states(pair) == [.failed, .failed])
        var marked = 0
        pair.filter = { flight in
            marked += flight.ecn == .notECT ? 0 : 1
            return true
        }
        transfer(&pair, count: 1)
        #expect(marked == 0)
    }

    @Test func whatIsMarkedIsLostAndTheConnectionGoesOn() {
        var pair = Pair(timings: .production)
        pair.filter = { $0.ecn == .notECT }
        transfer(&pair, count: 1)
        #expect(states(pair).allSatisfy { $0 == .failed })
    }

    /// A queue of 50 ms that marks from 5 ms on: the sender slows down before anything is lost.
    @Test func aMarkingQueueStaysShortWithoutLosses() throws {
        func run(marksAbove: Int64) -> (dropped: Int, longest: Int64) {
            var pair = Pair(timings: .production)
            pair.faults.rate = 5_000_000
            pair.faults.marksAbove = marksAbove
            transfer(&pair, count: 6)
            return (pair.dropped, pair.longestQueue)
        }
        let without = run(marksAbove: .max)
        let with = run(marksAbove: 5_000_000)
        #expect(with.dropped == 0)
        #expect(with.longest * 3 < without.longest * 2, "\(with) against \(without)")
    }

    @Test func congestionIsTakenOncePerRoundTrip() throws {
        var pair = Pair(timings: .production)
        transfer(&pair, count: 2)
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        let before = try #require(pair.nodes[0].machine.endpoint[handle]?.congestion.window)
        // Every packet of one flight comes marked.
        pair.faults.remarks = { $0 == .ect0 ? .ce : $0 }
        _ = pair.call(0, 1, pattern(60_000))
        pair.run(.milliseconds(14))
        let after = try #require(pair.nodes[0].machine.endpoint[handle]?.congestion.window)
        #expect(after == Int(Double(before) * Cubic.beta))
    }
}
