import CyxCore
import Testing

@testable import CyxTransport

/// Whatever happens to peers and to the network between them, in whatever order: each request is
/// delivered at most once and unchanged, each call ends once and in time, windows and credit are
/// kept, numbers are never used twice, and afterwards everybody reaches everybody and then nothing
/// is left.
@Suite struct SequenceTests {
    private struct Outcome {
        var violation: String?
        /// How many operations were carried out before it was found.
        var operations: Int
        var successes: Int
        var updates: UInt64
    }

    private func run(_ operations: [Operation], nodes: Int, seed: UInt64) -> Outcome {
        var run = SequenceRun(nodes: nodes, seed: seed)
        var count = 0
        for operation in operations {
            count += 1
            run.apply(operation)
            if run.violation != nil { break }
        }
        if run.violation == nil { run.finish() }
        return Outcome(
            violation: run.violation, operations: count, successes: run.successes,
            updates: run.updates)
    }

    /// Leaves out what the violation does not need, within a bound of attempts.
    private func shrunk(
        _ operations: [Operation], nodes: Int, seed: UInt64
    ) -> (operations: [Operation], violation: String) {
        var operations = operations
        var violation = ""
        var attempts = 0
        var size = max(1, operations.count / 2)
        while size > 0, attempts < 150 {
            var start = 0
            var hasShrunk = false
            while start < operations.count, attempts < 150 {
                attempts += 1
                var fewer = operations
                fewer.removeSubrange(start..<min(start + size, fewer.count))
                if let found = run(fewer, nodes: nodes, seed: seed).violation {
                    (operations, violation, hasShrunk) = (fewer, found, true)
                } else {
                    start += size
                }
            }
            if !hasShrunk || size > operations.count { size /= 2 }
        }
        return (operations, violation)
    }

    private func check(seed: UInt64, count: Int = 40) -> Outcome {
        let nodes = seed % 3 == 0 ? 3 : 2
        let operations = Operation.sequence(count, nodes: nodes, seed: seed)
        let outcome = run(operations, nodes: nodes, seed: seed)
        if let violation = outcome.violation {
            let least = shrunk(
                Array(operations.prefix(outcome.operations)), nodes: nodes, seed: seed)
            Issue.record(
                """
                seed \(seed), \(nodes) nodes: \(violation), after \(outcome.operations) operations; \
                least: \(least.violation): \(least.operations)
                """)
        }
        return outcome
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func noOrderOfEventsBreaksAConnection(seed: UInt64) {
        _ = check(seed: seed)
    }

    /// Another one each time; its number is in the message of what it breaks.
    @Test func aFreshOrderOfEventsBreaksNothing() {
        _ = check(seed: UInt64.random(in: 1...UInt64(UInt32.max)))
    }

    /// What a sequence found first: the round trip of a process that stood still became the time
    /// after which a dead peer would have been noticed.
    @Test func aClockThatLeapsDoesNotHideADeadPeer() {
        var pair = Pair()
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        _ = pair.call(0, 1, pattern(5000))
        pair.now += Duration.seconds(40).nanoseconds
        pair.run(.seconds(1))
        pair.nodes[1].isDown = true
        let id = pair.call(0, 1, [2], timeout: .seconds(20))
        #expect(pair.result(0, id, within: .seconds(4)) == .failure(.connectionLost))
    }

    /// Of what the sequences consist, so that they do not come to test nothing.
    @Test func sequencesReachWhatTheyAreMeantTo() {
        var successes = 0
        var updates: UInt64 = 0
        for seed in 101...106 as ClosedRange<UInt64> {
            let outcome = check(seed: seed)
            successes += outcome.successes
            updates += outcome.updates
        }
        #expect(successes > 20)
        #expect(updates > 10)
    }
}
