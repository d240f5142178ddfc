import CyxCore
import Testing

@testable import CyxTables

/// Which rows may have something to forget is told by changes, and by a walk where those were not heard.
@Suite struct TombstoneSweepTests {
    private static let age = Duration.seconds(10)
    private let view = ViewID(
        partition: Partition(holding: .zero, depth: 0), generation: 0, epoch: 3)

    private func time(_ seconds: Int) -> Instant {
        Instant(nanoseconds: 0) + .seconds(seconds)
    }

    private func due(_ sweep: TombstoneSweep, at seconds: Int) -> [[UInt8]] {
        sweep.due(now: time(seconds), age: Self.age)
    }

    @Test func aRowIsDueOnceItHasNotChangedForTheAge() {
        var sweep = TombstoneSweep()
        sweep.beginWalk(view)
        sweep.noteChange([2], in: view, isRemovable: true, now: time(0))
        sweep.noteChange([1], in: view, isRemovable: true, now: time(1))
        #expect(due(sweep, at: 9) == [])
        #expect(due(sweep, at: 10) == [[2]])
        sweep.noteChange([2], in: view, isRemovable: true, now: time(10))
        #expect(due(sweep, at: 19) == [[1]])
        #expect(due(sweep, at: 20) == [[1], [2]])
    }

    @Test func aRowThatIsWrittenAgainIsNotDue() {
        var sweep = TombstoneSweep()
        sweep.beginWalk(view)
        sweep.noteChange([1], in: view, isRemovable: true, now: time(0))
        sweep.noteChange([1], in: view, isRemovable: false, now: time(5))
        #expect(due(sweep, at: 60) == [])
    }

    @Test func eachViewIsWalkedOnceAndHeardOfFromThenOn() {
        var sweep = TombstoneSweep()
        #expect(sweep.needsWalk(view))
        sweep.noteChange([1], in: view, isRemovable: true, now: time(0))
        #expect(due(sweep, at: 60) == [])
        sweep.beginWalk(view)
        #expect(!sweep.needsWalk(view))
        sweep.noteFound([1], in: view.partition, now: time(60))
        #expect(due(sweep, at: 70) == [[1]])
        var next = view
        next.epoch += 1
        #expect(sweep.needsWalk(next))
    }

    @Test func aWalkDoesNotMakeAChangeOlderOrYounger() {
        var sweep = TombstoneSweep()
        sweep.beginWalk(view)
        sweep.noteChange([1], in: view, isRemovable: true, now: time(5))
        sweep.noteFound([1], in: view.partition, now: time(8))
        #expect(due(sweep, at: 14) == [])
        #expect(due(sweep, at: 15) == [[1]])
    }

    @Test func aPartitionWithMoreThanIsWaitedForIsWalkedAgain() {
        var sweep = TombstoneSweep()
        sweep.beginWalk(view)
        for index in 0..<TombstoneSweep.candidatesMax {
            let key = [UInt8(index >> 8), UInt8(index & 0xff)]
            sweep.noteChange(key, in: view, isRemovable: true, now: time(0))
        }
        #expect(!sweep.needsWalk(view))
        sweep.noteChange([1, 2, 3], in: view, isRemovable: true, now: time(1))
        #expect(sweep.needsWalk(view))
        #expect(due(sweep, at: 60).count == TombstoneSweep.candidatesMax)
    }

    @Test func nothingIsKeptOfPartitionsThatAreNotHeldAnyMore() throws {
        var sweep = TombstoneSweep()
        let parts = try #require(view.partition.children)
        let lower = ViewID(partition: parts.lower, generation: 0, epoch: 4)
        sweep.beginWalk(view)
        sweep.beginWalk(lower)
        sweep.keepWalks { $0 == parts.lower }
        #expect(sweep.needsWalk(view))
        #expect(!sweep.needsWalk(lower))
    }

    @Test func allIsWalkedAgainAfterAWriteFailed() {
        var sweep = TombstoneSweep()
        sweep.beginWalk(view)
        sweep.noteFailures(0)
        #expect(!sweep.needsWalk(view))
        sweep.noteFailures(1)
        #expect(sweep.needsWalk(view))
    }
}
