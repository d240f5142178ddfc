import CyxCore
import Testing

@testable import CyxTransport

/// Credit that receivers give, and what it may grow to.
@Suite struct WindowTests {
    private static let roundTrip: Int64 = 100_000_000

    /// Lets a reader take half a window every `interval`; the window after `rounds` of that.
    private func window(
        size: UInt64, sizeMax: UInt64, interval: Int64, rounds: Int
    ) -> FlowWindow {
        var window = FlowWindow(size: size, sizeMax: sizeMax)
        var consumed: UInt64 = 0
        var now: Int64 = 0
        for _ in 0..<rounds {
            now += interval
            consumed += window.size / 2
            _ = window.update(consumed: consumed, now: now, roundTrip: WindowTests.roundTrip)
            #expect(window.limit - consumed <= window.size)
        }
        return window
    }

    @Test func aFastReaderGetsTheLargestWindowAndNoMore() {
        let fast = window(
            size: 1000, sizeMax: 5000, interval: WindowTests.roundTrip / 2, rounds: 50)
        #expect(fast.size == 5000)
    }

    @Test func aSlowReaderKeepsTheFirstWindow() {
        // Half a window in two round trips: twice as much as it needs.
        let slow = window(
            size: 1000, sizeMax: 1 << 30, interval: 2 * WindowTests.roundTrip, rounds: 50)
        #expect(slow.size == 1000)
    }

    /// The second large message is sent as soon as its header was seen, however long the path.
    @Test func laterStreamsBeginWithTheWindowThatEarlierOnesNeeded() throws {
        var pair = Pair(timings: .production)
        pair.faults.delay = 50_000_000
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        pair.nodes[1].echoes = false
        var seconds: [Double] = []
        let body = pattern(2 << 20)
        for round in 1...3 {
            let start = pair.now
            _ = pair.call(0, 1, body, timeout: .seconds(60))
            pair.run(.seconds(20)) { $0.nodes[1].requests.count == round + 1 }
            seconds.append(Double(pair.now - start) / 1e9)
            let handle = try #require(pair.nodes[1].machine.links.keys.first)
            let connection = try #require(pair.nodes[1].machine.endpoint[handle])
            #expect(connection.streams.largestReceiveWindow <= TransportLimits().streamWindowMax)
        }
        // Half a round trip, a whole one until the credit is there, and what the window of
        // congestion control adds.
        #expect(seconds[2] < 0.35, "\(seconds)")
        #expect(seconds[0] > 0.5, "\(seconds)")
    }

    /// A large request that nobody has memory for waits in its first window, however long the
    /// sender would like to go on; then it arrives whole.
    @Test func whatIsNotReadDoesNotGrowItsWindow() throws {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        let limits = TransportLimits()
        pair.nodes[1].machine.reservedBytes = MessagingMachine.incomingBytesMax
        let body = pattern(1 << 20)
        let calls = (0..<4).map { _ in pair.call(0, 1, body, timeout: .seconds(60)) }
        for _ in 0..<5 {
            pair.run(.seconds(1))
            let handle = try #require(pair.nodes[1].machine.links.keys.first)
            let connection = try #require(pair.nodes[1].machine.endpoint[handle])
            #expect(connection.streams.largestReceiveWindow == limits.streamWindow)
            #expect(connection.receiveWindow.size == limits.connectionWindow)
            // All that is held: four first windows.
            #expect(connection.dataReceived - connection.dataConsumed <= 4 * limits.streamWindow)
        }
        pair.nodes[1].machine.reservedBytes = 0
        pair.nodes[1].machine.grantReservations(now: pair.now)
        pair.settle(1)
        for call in calls { #expect(pair.result(0, call) == .success(body)) }
    }
}
