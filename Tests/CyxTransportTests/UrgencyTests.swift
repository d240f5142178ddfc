import CyxCore
import Testing

@testable import CyxTransport

@Suite struct UrgencyTests {
    @Test func levelsAreServedInOrderAndStreamsOfOneInTurn() {
        var queue = SendQueue()
        let urgencies: [CallUrgency] = [.background, .foreground, .foreground, .immediate]
        for (index, urgency) in urgencies.enumerated() {
            queue.append(StreamID(UInt64(index) * 4), urgency)
        }
        #expect(queue.count == 4)
        #expect((0..<3).map { queue.count(level: $0) } == [1, 2, 1])
        #expect(queue.first(level: 0).index == 3 && queue.first(level: 2).index == 0)
        var isOver = queue.used(Connection.streamTurn - 1, level: 1)
        #expect(!isOver)
        isOver = queue.used(1, level: 1)
        #expect(isOver)
        queue.rotate(level: 1, keep: true)
        #expect(queue.first(level: 1).index == 2)
        // Alone, a stream goes on.
        isOver = queue.used(2 * Connection.streamTurn, level: 2)
        #expect(!isOver)
        for level in [0, 1, 1, 2] { queue.rotate(level: level, keep: false) }
        #expect(queue.isEmpty)
    }

    /// One frame after the other of `bytes` each, as connections write them: what each level sent.
    private func shares(_ waiting: [CallUrgency], frames: Int, bytes: Int) -> [Int] {
        var queue = SendQueue()
        for (index, urgency) in waiting.enumerated() {
            queue.append(StreamID(UInt64(index) * 4), urgency)
        }
        var sent = [0, 0, 0]
        for _ in 0..<frames {
            let first = (0..<3).first { queue.count(level: $0) > 0 }
            guard let level = queue.overdueLevel ?? first else { break }
            sent[level] += bytes
            if queue.used(bytes, level: level) { queue.rotate(level: level, keep: true) }
        }
        return sent
    }

    @Test func everyLevelThatWaitsGetsItsShare() {
        for bytes in [100, 1350, 8900] {
            for waiting: [CallUrgency] in [
                [.foreground, .background], [.immediate, .background],
                [.immediate, .foreground, .background],
            ] {
                let sent = shares(waiting, frames: 20_000, bytes: bytes)
                let least = Double(sent[2]) / Double(sent[0] + sent[1])
                #expect(least > 0.9 / Double(SendQueue.guaranteedShare))
                // And the urgent ones get nearly all.
                #expect(
                    Double(max(sent[0], sent[1])) > 0.5 * Double(sent[0] + sent[1] + sent[2]))
            }
        }
    }

    @Test func whoHadNothingToSendSavesNothingUp() {
        var queue = SendQueue()
        queue.append(StreamID(0), .foreground)
        _ = queue.used(10_000_000, level: 1)
        queue.append(StreamID(4), .background)
        #expect(queue.overdueLevel == nil)
        _ = queue.used(SendQueue.guaranteedShare * SendQueue.deficitMin - 1, level: 1)
        #expect(queue.overdueLevel == nil)
        _ = queue.used(1, level: 1)
        #expect(queue.overdueLevel == 2)
        // What it was owed is paid with one packet, however long it waited.
        _ = queue.used(10_000_000, level: 1)
        _ = queue.used(SendQueue.deficitMin, level: 2)
        #expect(queue.overdueLevel == nil)
        queue.rotate(level: 2, keep: false)
        _ = queue.used(10_000_000, level: 1)
        #expect(queue.overdueLevel == nil)
    }

    /// Keeps `count` foreground calls of `size` bytes under way until `call` is answered: the
    /// seconds that took, and the foreground bytes that were answered meanwhile.
    private func flood(
        _ pair: inout Pair, count: Int, size: Int, until call: CallID, for duration: Duration
    ) -> (seconds: Double, bytes: Int) {
        let start = pair.now
        let body = pattern(size)
        var calls: [CallID] = []
        var answered = 0
        while pair.now - start < duration.nanoseconds, pair.nodes[0].completed[call] == nil {
            let left = calls.filter { pair.nodes[0].completed[$0] == nil }
            answered += (calls.count - left.count) * size
            calls = left
            while calls.count < count {
                calls.append(pair.call(0, 1, body, timeout: .seconds(120)))
            }
            pair.run(.milliseconds(20))
        }
        return (Double(pair.now - start) / 1e9, answered)
    }

    @Test func backgroundGoesOnBesideAForegroundThatNeverPauses() {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        pair.nodes[1].echoes = true
        pair.faults.rate = 2_000_000
        let call = pair.call(0, 1, pattern(100_000), urgency: .background, timeout: .seconds(120))
        let (seconds, bytes) = flood(
            &pair, count: 8, size: 100_000, until: call, for: .seconds(20))
        // A sixteenth of 2 MB/s for 100 kB, there and back on one link.
        #expect(pair.nodes[0].completed[call] != nil, "\(seconds) s")
        #expect(seconds < 5)
        // The link carries requests and answers.
        #expect(Double(bytes) > 0.7 * seconds * 1_000_000, "\(bytes) in \(seconds) s")
    }

    @Test func aBackgroundCallGetsAStreamThoughMoreUrgentOnesAlwaysWait() {
        var limits = TransportLimits()
        limits.incomingStreams = 4
        var pair = Pair(limits: limits)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        for _ in 0..<8 { _ = pair.call(0, 1, [2]) }
        let call = pair.call(0, 1, [3], urgency: .background)
        let (seconds, _) = flood(&pair, count: 64, size: 10, until: call, for: .seconds(5))
        #expect(pair.nodes[0].completed[call] != nil)
        // 16 more urgent ones first, four at a time.
        #expect(seconds < 0.3, "\(seconds) s")
    }

    /// A pair over 5 MB/s with 4 MB of background calls under way.
    private func busyPair() -> (Pair, [CallID]) {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        pair.faults.rate = 5_000_000
        let calls = (0..<8).map { _ in
            pair.call(0, 1, pattern(500_000), urgency: .background, timeout: .seconds(60))
        }
        pair.run(.milliseconds(300))
        return (pair, calls)
    }

    private func seconds(_ urgency: CallUrgency) -> Double {
        var (pair, calls) = busyPair()
        let start = pair.now
        let call = pair.call(0, 1, pattern(200_000), urgency: urgency, timeout: .seconds(60))
        pair.run(.seconds(60)) { $0.nodes[0].completed[call] != nil }
        let seconds = Double(pair.now - start) / 1e9
        // Those behind are not forgotten.
        pair.run(.seconds(60)) { pair in calls.allSatisfy { pair.nodes[0].completed[$0] != nil } }
        let areAnswered = calls.allSatisfy { id in
            if case .success = pair.nodes[0].completed[id] { true } else { false }
        }
        #expect(areAnswered)
        return seconds
    }

    @Test func aForegroundCallOvertakesBackgroundOnes() {
        let foreground = seconds(.foreground)
        let background = seconds(.background)
        // 200 kB there and back take 80 ms alone, and many times that in turn with the others.
        #expect(foreground < 0.35, "\(foreground) s")
        #expect(background > 2 * foreground, "\(background) s against \(foreground) s")
    }

    @Test func aResponseIsAsUrgentAsItsRequest() throws {
        var pair = Pair()
        pair.introduce()
        pair.nodes[1].echoes = false
        for urgency in CallUrgency.allCases {
            _ = pair.call(0, 1, [1, 2, 3], urgency: urgency)
            pair.run(.milliseconds(100))
            let request = try #require(pair.nodes[1].requests.last).id
            pair.nodes[1].machine.respond(
                request, .success([1]), wall: pair.wall, now: pair.now)
            let stream = pair.nodes[1].machine.endpoint[request.connection]?
                .streams[request.stream]
            #expect(stream?.send?.urgency == urgency)
        }
    }

    @Test func waitingCallsAreOrderedByUrgency() {
        var pair = Pair()
        pair.introduce()
        pair.nodes[1].echoes = false
        // More than the peer takes at once: the rest wait.
        for _ in 0..<80 { _ = pair.call(0, 1, [0], urgency: .background) }
        pair.run(.milliseconds(200))
        let call = pair.call(0, 1, [9], urgency: .immediate)
        pair.run(.milliseconds(200))
        for request in pair.nodes[1].requests.prefix(32) {
            pair.nodes[1].machine.respond(
                request.id, .success([]), wall: pair.wall, now: pair.now)
        }
        pair.settle(1)
        pair.run(.milliseconds(200))
        let order = pair.nodes[1].requests.dropFirst(64).map(\.body)
        #expect(order.first == [9])
        #expect(order.count > 1)
        #expect(pair.nodes[0].completed[call] == nil)
    }

    @Test func unknownFlagsOfARequestAreRefused() {
        let word = RPCHeader(code: 1, length: 5, urgency: .immediate).word
        #expect(RPCHeader(word: word)?.urgency == .immediate)
        #expect(RPCHeader(word: word | 0xF0 << 32) == nil)
    }
}
