import CyxOverlay
import ProtocolSimulation
import Testing

/// What it costs a peer to know others, in networks below and above the size of a full view.
@Suite struct ViewTests {
    private func figures(peers: Int) -> ViewFigures {
        var limits = ViewLimits()
        limits.full = 100
        limits.neighbours = 10
        limits.sample = 30
        limits.shown = 4
        return ViewFigures.measure(
            peers: peers, running: 50, seconds: 20, limits: limits, seed: 3, heapBytes: { 0 })
    }

    @Test func whatPartialViewsCostDoesNotGrowWithTheNetwork() {
        let full = figures(peers: 80)
        #expect(!full.isPartial && full.known == 79)
        let small = figures(peers: 400)
        let large = figures(peers: 1600)
        for figures in [small, large] {
            #expect(figures.isPartial && figures.known <= 40 && figures.known > 30)
            #expect(figures.idle.bytes < full.idle.bytes)
        }
        #expect(abs(large.idle.bytes / small.idle.bytes - 1) < 0.2)
        // A probe and its answer a second, and less often a comparison.
        #expect(large.idle.messages > 2 && large.idle.messages < 3)
    }
}
