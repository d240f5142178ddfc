import CyxCore
import CyxObjects
import Testing

@Suite struct RepairClaimTests {
    @Test func aClaimIsBelievedForAWhileAndNotForEver() {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(3600)
        bench.lose([0, 1, 2])
        for _ in 0..<3 {
            #expect(bench.due == bench.rebuilds(0))
            bench.machine.claimed(bench.segment(0), now: bench.now)
            bench.wait(599)
            #expect(bench.due == [])
            bench.wait(1)
        }
        bench.machine.claimed(bench.segment(0), now: bench.now)
        #expect(bench.due == bench.rebuilds(0))
        // Whole again and broken again, it is another matter.
        bench.restore([0, 1, 2])
        bench.lose([0, 1, 2])
        bench.machine.claimed(bench.segment(0), now: bench.now)
        #expect(bench.due == [])
    }

    /// A custodian that found two shards to be bad, of which the other knows one and replaces it.
    private func halfRepaired() -> RepairBench {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(3600)
        for index in [3, 7] { bench.markBad(0, index: index) }
        bench.machine.claimed(bench.segment(0), now: bench.now)
        #expect(bench.due == [])
        return bench
    }

    @Test func whatAClaimLeftUndoneIsDoneAsSoonAsTheRowsShowItsEnd() {
        var bench = halfRepaired()
        bench.wait(5)
        // Rows that are as they were say nothing of the claim.
        bench.load(0)
        #expect(bench.due == [])
        bench.load(0, also: [bench.entry(3, at: 20)], without: [3])
        #expect(bench.machine.segments[bench.segment(0)]?.missing == [7])
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func whatAClaimLeftUndoneIsDoneWhenItsMakerSaysThatItIsDone() {
        var bench = halfRepaired()
        bench.machine.claimEnded(bench.segment(0))
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func theClaimOfACustodianThatIsGoneEndsWithIt() {
        var bench = RepairBench(peers: 60)
        bench.load(0, rank: 1)
        bench.wait(3600)
        bench.lose([0, 1, 2])
        bench.machine.claimed(bench.segment(0), now: bench.now)
        bench.wait(60)
        bench.machine.setCustody(bench.segment(0), rank: 1)
        #expect(bench.due == [])
        bench.machine.setCustody(bench.segment(0), rank: 0)
        #expect(bench.due == bench.rebuilds(0))
    }
}
