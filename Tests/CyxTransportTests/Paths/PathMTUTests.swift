import CyxCore
import Testing

@testable import CyxTransport

/// RFC 8899 and RFC 9000 §14.3.
@Suite struct PathMTUTests {
    /// Probes until the search is over; returns how many it took.
    private func search(_ mtu: inout PathMTU, carries: Int, now: Int64 = 0) -> Int {
        var probes = 0
        while let size = mtu.nextProbe(now: now) {
            probes += 1
            mtu.probeSent(size)
            #expect(mtu.nextProbe(now: now) == nil, "one probe at a time")
            if size <= carries {
                mtu.probeAcknowledged(size, now: now)
            } else {
                mtu.probeLost(size, now: now)
            }
            guard probes < 100 else { break }
        }
        return probes
    }

    private func found(maximum: Int = 1452, carries: Int) -> PathMTU {
        var mtu = PathMTU(maximum: maximum)
        mtu.packetWasFull()
        _ = search(&mtu, carries: carries)
        return mtu
    }

    @Test(arguments: [1452, 8952], [1200, 1201, 1280, 1372, 1400, 1452, 4000, 8952])
    func theSearchFindsWhatThePathCarries(maximum: Int, carries: Int) {
        var mtu = PathMTU(maximum: maximum)
        mtu.packetWasFull()
        let probes = search(&mtu, carries: carries)
        let best = min(carries, maximum)
        #expect(mtu.size <= best)
        #expect(mtu.size > best - PathMTU.precision)
        // One where the largest works; otherwise three per halving.
        #expect(carries >= maximum ? probes == 1 : probes <= 40)
    }

    @Test func nothingIsProbedBeforeAPacketWasFull() {
        var mtu = PathMTU(maximum: 1452)
        #expect(mtu.nextProbe(now: 0) == nil)
        mtu.packetWasFull()
        #expect(mtu.nextProbe(now: 0) == 1452)
    }

    @Test func oneLostProbeProvesNothing() {
        var mtu = PathMTU(maximum: 1452)
        mtu.packetWasFull()
        for _ in 1..<PathMTU.probesMax {
            mtu.probeSent(1452)
            mtu.probeLost(1452, now: 0)
            #expect(mtu.nextProbe(now: 0) == 1452)
        }
        mtu.probeSent(1452)
        mtu.probeAcknowledged(1452, now: 0)
        #expect(mtu.size == 1452)
    }

    @Test func aFinishedSearchIsRepeatedAfterTheRaiseInterval() {
        var mtu = found(carries: 1300)
        #expect(mtu.size < 1301)
        #expect(mtu.nextProbe(now: PathMTU.raiseInterval - 1) == nil)
        #expect(mtu.nextProbe(now: PathMTU.raiseInterval) == 1452)
        #expect(search(&mtu, carries: 1452, now: PathMTU.raiseInterval) == 1)
        #expect(mtu.size == 1452)
    }

    @Test func lossesInARowOfLargePacketsAreABlackHole() {
        var mtu = found(carries: 1452)
        for round in 1...3 {
            #expect(mtu.size == 1452)
            mtu.lost(size: 1452, timeSent: Int64(round * 10), now: Int64(round * 10 + 5))
            // The same losses, noticed later, and losses of small packets say nothing more.
            mtu.lost(size: 1452, timeSent: Int64(round * 10 + 4), now: Int64(round * 10 + 6))
            mtu.lost(size: 1200, timeSent: Int64(round * 10 + 7), now: Int64(round * 10 + 8))
            mtu.acknowledged(size: 1200)
        }
        #expect(mtu.size == PathMTU.base)
        _ = search(&mtu, carries: 1300)
        #expect(mtu.size > 1300 - PathMTU.precision && mtu.size <= 1300)
    }

    @Test func largePacketsThatArriveSpeakAgainstABlackHole() {
        var mtu = found(carries: 1452)
        for round in 1...50 {
            mtu.lost(size: 1452, timeSent: Int64(round * 10), now: Int64(round * 10 + 5))
            if round % 2 == 0 { mtu.acknowledged(size: 1452) }
        }
        #expect(mtu.size == 1452)
    }

    // MARK: Connections

    private func sizes(_ pair: Pair) -> [Int] {
        pair.nodes.flatMap { node in
            node.machine.links.keys.compactMap { node.machine.endpoint[$0]?.path.mtu.size }
        }
    }

    @Test func aConnectionSendsAsLargeDatagramsAsThePathCarries() throws {
        var pair = Pair()
        pair.introduce()
        pair.filter = { $0.bytes.count <= 1400 }
        let body = pattern(1 << 20)
        #expect(pair.result(0, pair.call(0, 1, body)) == .success(body))
        pair.run(.seconds(1))
        #expect(pair.result(0, pair.call(0, 1, body)) == .success(body))
        for size in sizes(pair) { #expect(size > 1400 - PathMTU.precision && size <= 1400) }
        // Lost probes are no congestion.
        for node in pair.nodes {
            for handle in node.machine.links.keys {
                #expect(node.machine.endpoint[handle]?.congestion.isInSlowStart == true)
                #expect(
                    node.machine.endpoint[handle]?.congestion.packetSize
                        == node.machine.endpoint[handle]?.path.mtu.size)
            }
        }
    }

    @Test func smallMessagesCauseNoProbes() throws {
        var pair = Pair()
        pair.introduce()
        var largest = 0
        pair.filter = { flight in
            largest = max(largest, flight.bytes.count)
            return true
        }
        for _ in 0..<50 {
            #expect(pair.result(0, pair.call(0, 1, pattern(100))) == .success(pattern(100)))
        }
        #expect(largest == PathMTU.base)
    }

    @Test(arguments: [1 << 20, 3000])
    func aPathThatLosesItsMTUGoesOnCarrying(size: Int) throws {
        var pair = Pair(timings: .production)
        pair.introduce()
        let large = pattern(1 << 20)
        #expect(pair.result(0, pair.call(0, 1, large)) == .success(large))
        #expect(sizes(pair) == [1452, 1452])
        pair.filter = { $0.bytes.count <= 1300 }
        let body = pattern(size)
        #expect(pair.result(0, pair.call(0, 1, body)) == .success(body))
        for size in sizes(pair) { #expect(size <= 1300) }
        for node in pair.nodes { #expect(node.closed.isEmpty) }
        // The path recovers; so does the size, once the search is due again.
        pair.filter = nil
        let wake = pair.now + PathMTU.raiseInterval
        while pair.now < wake {
            _ = pair.result(0, pair.call(0, 1, [1]))
            pair.run(.seconds(30))
        }
        #expect(pair.result(0, pair.call(0, 1, large)) == .success(large))
        #expect(pair.result(0, pair.call(0, 1, large)) == .success(large))
        #expect(sizes(pair) == [1452, 1452])
    }
}
