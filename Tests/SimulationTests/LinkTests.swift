import CyxTransport
import ProtocolSimulation
import Testing

/// Small versions of what `simulate links` measures.
@Suite struct LinkTests {
    private func figures(
        _ algorithm: CongestionAlgorithm, roundTrip: Double, loss: Double
    ) -> LinkFigures {
        var path = LinkPath(name: "", bandwidth: 2e7, roundTrip: roundTrip, loss: loss)
        path.warmup = 2
        path.seconds = 5
        return LinkFigures.measure(path, [algorithm], seed: 5)
    }

    @Test func cubicGetsWhatTheResponseFunctionGivesUnderLoss() throws {
        let ratio = try #require(figures(.cubic, roundTrip: 0.02, loss: 0.01).ratio)
        #expect((0.7...1.3).contains(ratio), "\(ratio)")
    }

    @Test func bbrFillsALinkThatLosesLessThanItsThreshold() throws {
        let bbr = figures(.bbr, roundTrip: 0.02, loss: 0.01)
        let ratio = try #require(bbr.ratio)
        // This small path holds 36 packets: already two lost of them pass the threshold.
        #expect((0.6...1.01).contains(ratio), "\(ratio)")
        let cubic = figures(.cubic, roundTrip: 0.02, loss: 0.01)
        #expect(bbr.goodput[0] > 1.5 * cubic.goodput[0])
    }

    @Test(arguments: CongestionAlgorithm.allCases)
    func bothFillACleanLink(algorithm: CongestionAlgorithm) throws {
        let ratio = try #require(figures(algorithm, roundTrip: 0.05, loss: 0).ratio)
        // Above 1 where what was lost before the measurement completes messages within it.
        #expect((0.85...1.1).contains(ratio), "\(ratio)")
    }

    /// 250 kB are on their way on this path; the first windows hold a fraction of it.
    @Test func windowsGrowUntilTheyFillALongPath() throws {
        var path = LinkPath(name: "", bandwidth: 2e7, roundTrip: 0.1, loss: 0)
        path.warmup = 3
        path.seconds = 4
        var load = LinkLoad()
        load.messageBytes = 1_000_000
        load.messagesUnderWay = 4
        load.limits.streamWindow = 16 << 10
        load.limits.connectionWindow = 64 << 10
        load.limits.streamWindowMax = 1 << 20
        load.limits.connectionWindowMax = 2 << 20
        let tuned = LinkFigures.measure(path, [.cubic], load: load, seed: 5)
        let ratio = try #require(tuned.ratio)
        #expect(ratio >= 0.9, "\(ratio)")
        #expect(tuned.window.connection > 250_000 && tuned.window.connection <= 2 << 20)
        #expect(tuned.window.stream <= 1 << 20)
        load.limits.streamWindowMax = load.limits.streamWindow
        load.limits.connectionWindowMax = load.limits.connectionWindow
        let fixed = LinkFigures.measure(path, [.cubic], load: load, seed: 5)
        #expect(fixed.window == (64 << 10, 16 << 10))
        #expect(try #require(fixed.ratio) < 0.5)
    }

    @Test func messagesSurviveReorderingAndDuplication() {
        var (forward, back) =
            LinkPath(name: "", bandwidth: 2e7, roundTrip: 0.02, loss: 0.01).links
        forward.reordering = 0.02
        forward.duplication = 0.02
        back.loss = 0.05
        var run = LinkRun(flows: [.cubic], forward: forward, back: back, seed: 3)
        run.start(flow: 0)
        run.run(seconds: 4)
        #expect(run.arrived[0] > 500_000)
    }

    @Test func oneSeedGivesOneResult() {
        let first = figures(.bbr, roundTrip: 0.02, loss: 0.01)
        let second = figures(.bbr, roundTrip: 0.02, loss: 0.01)
        #expect(first.goodput == second.goodput)
    }
}
